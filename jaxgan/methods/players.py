"""The two players of a game of images, freshly initialised and checked against the data."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan.errors import UserError
from jaxgan.state import PyTree, TrainState, create_player, create_train_state, init_variables

__all__ = ["init_players"]


def init_players(
    key: jax.Array,
    generator: nn.Module,
    discriminator: nn.Module,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    *,
    latent_dim: int,
    image_shape: tuple[int, int, int],
    shown_shape: tuple[int, int, int] | None = None,
    generator_takes_labels: bool = False,
    discriminator_takes_labels: bool = False,
    is_right: Callable[[PyTree], bool],
    expected: str,
    ema: bool = False,
) -> TrainState:
    """Initialises a generator and a discriminator of images and makes the state at step 0.

    Args:
      key: `jax.random.key(seed)`.
      generator: module (latents (B, latent_dim), or latents and labels (B,)) -> images.
      discriminator: module of images, or of images and labels.
      gen_tx, disc_tx: the Optax optimisers.
      latent_dim: size of the latents.
      image_shape: (H, W, C) of the data.
      shown_shape: (H, W, C) of what the discriminator is shown, by default the same.
      generator_takes_labels, discriminator_takes_labels: which of them.
      is_right: tells of the shapes of what the discriminator gives for one image, a pytree of
        tuples, whether the method can use it.
      expected: those shapes in words.
      ema: keep an average of the generator's parameters.

    Returns:
      The `TrainState`.

    Raises:
      UserError: the generator makes images of another shape than `image_shape`, or the
        discriminator gives what the method cannot use.
    """
    gen_key, disc_key, train_key = jax.random.split(key, 3)
    label = (jnp.zeros((1,), jnp.int32),)
    latents = (jnp.zeros((1, latent_dim)), *label * generator_takes_labels)
    shown = (jnp.zeros((1, *(shown_shape or image_shape))), *label * discriminator_takes_labels)
    made = _output(generator, gen_key, *latents)
    if made.shape != (1, *image_shape):
        raise UserError(
            f"image_size, channels: got data of shape {tuple(image_shape)}, expected "
            f"{made.shape[1:]}, which is what the generator makes"
        )
    outputs = _output(discriminator, disc_key, *shown)
    shapes = jax.tree.map(lambda output: output.shape, outputs)
    if not is_right(shapes):
        raise UserError(f"discriminator: got logits {shapes} for one image, expected {expected}")
    return create_train_state(
        train_key,
        create_player(init_variables(generator, gen_key, *latents, train=False), gen_tx, ema=ema),
        create_player(init_variables(discriminator, disc_key, *shown, train=False), disc_tx),
    )


def _output(module: nn.Module, key: jax.Array, *inputs: jax.Array) -> PyTree:
    """What a module gives for inputs, in shape and dtype alone."""
    init = functools.partial(module.init_with_output, train=False)
    return jax.eval_shape(init, key, *inputs)[0]
