"""What the methods share whose generator makes images of latents, and of classes or not."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxgan.inputs import Classes, Latents
from jaxgan.latent import sample_latents
from jaxgan.methods.batches import entry
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree
from jaxgan.step import Context, apply_train, local_key

__all__ = ["latent_inputs", "make_generate", "one_of_each"]


def make_generate(
    generator: NetworkLike,
    latents: Latents,
    labels: Callable[[PyTree], tuple[jax.Array, ...]],
    axis_name: str | None,
) -> Callable[..., tuple[jax.Array, PyTree]]:
    """The `generate` of an objective: as many images as the batch has, from latents drawn anew.

    Args:
      generator: module (latents (B, dim), or latents and labels (B,)) -> images, taking `train`.
      latents: the prior.
      labels: batch -> (labels (B,),), or () where the generator takes none.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      (gen_vars, batch, context) -> (images, new model state).
    """

    def generate(gen_vars: PyTree, batch: PyTree, context: Context) -> tuple[jax.Array, PyTree]:
        latent_key, key = jax.random.split(context.key)
        drawn = sample_latents(
            latent_key,
            entry(batch, "image").shape[0],
            latents.dim,
            prior=latents.prior,
            axis_name=axis_name,
        )
        key = local_key(key, axis_name)
        return apply_train(generator, gen_vars, drawn, *labels(batch), key=key)

    return generate


def latent_inputs(latents: Latents, num_classes: int | None) -> Mapping[str, Latents | Classes]:
    """The `inputs` of a method from latents, and from classes if there are so many."""
    classes = {} if num_classes is None else {"labels": Classes(num_classes)}
    return {"latents": latents, **classes}


def one_of_each(inputs: Mapping[str, Latents | Classes]) -> tuple[jax.Array, ...]:
    """An example of each input, zero, with a first axis of 1."""
    return tuple(
        jnp.zeros((1,), jnp.int32) if isinstance(of, Classes) else jnp.zeros((1, of.dim))
        for of in inputs.values()
    )
