"""The two players of a game of images, freshly initialised and checked against the data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxgan.errors import UserError
from jaxgan.methods.batches import check_pixels, entry
from jaxgan.network import NetworkLike, check
from jaxgan.state import PyTree, TrainState, create_player, create_train_state, init_variables

__all__ = ["are_logits", "make_init"]


def are_logits(shape: Any) -> bool:
    """Of `make_init`: an image is given one logit, (1,), or several, (1, ...)."""
    return isinstance(shape, tuple) and shape[:1] == (1,) and all(shape)


def make_init(
    generator: NetworkLike,
    discriminator: NetworkLike,
    examples: Callable[[PyTree], tuple[tuple, tuple]],
    is_right: Callable[[Any], bool] = lambda shapes: True,
    expected: str = "",
    make_extra: Callable[[], PyTree] = lambda: None,
    target: str = "image",
) -> Callable[..., TrainState]:
    """The `init` of a method with one generator and one discriminator of images.

    Args:
      generator, discriminator: the networks.
      examples: batch, of shapes and dtypes alone -> what the generator and what the discriminator
        is given for one example, two tuples of arrays with a first axis of 1.
      is_right: tells of the shapes of what the discriminator gives for one image, a pytree of
        tuples, whether the method can use it.
      expected: those shapes in words.
      make_extra: makes the state's `extra`.
      target: the entry of the batch whose like the generator makes.

    Returns:
      As `Method.init`. It raises a `UserError` where the batch's images are no finite floats, the
      generator makes images of another shape, the discriminator gives what the method cannot use,
      or `network.check` refuses one of them.
    """

    def init(
        key: jax.Array,
        batch: PyTree,
        gen_tx: optax.GradientTransformation,
        disc_tx: optax.GradientTransformation,
        *,
        ema: bool = False,
    ) -> TrainState:
        gen_key, disc_key, train_key = jax.random.split(key, 3)
        check_pixels(batch, target)
        image_shape = jnp.shape(entry(batch, target))[1:]
        batch = jax.tree.map(_shape_of, batch)
        shown_latents, shown_images = examples(batch)
        made = check("generator", generator, gen_key, *shown_latents)
        if made.shape != (1, *image_shape):
            raise UserError(
                f"image_size, channels: got data of shape {tuple(image_shape)}, expected "
                f"{made.shape[1:]}, which is what the generator makes"
            )
        outputs = check("discriminator", discriminator, disc_key, *shown_images)
        shapes = jax.tree.map(lambda output: output.shape, outputs)
        if not is_right(shapes):
            raise UserError(
                f"discriminator: got logits {shapes} for one image, expected {expected}"
            )
        gen_vars = init_variables(generator, gen_key, *shown_latents, train=False)
        disc_vars = init_variables(discriminator, disc_key, *shown_images, train=False)
        return create_train_state(
            train_key,
            create_player(gen_vars, gen_tx, ema=ema),
            create_player(disc_vars, disc_tx),
            make_extra(),
        )

    return init


def _shape_of(array: jax.Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Its shape, and its dtype in JAX, which has no float64 unless it is asked for it."""
    return jax.ShapeDtypeStruct(array.shape, jax.dtypes.canonicalize_dtype(array.dtype))
