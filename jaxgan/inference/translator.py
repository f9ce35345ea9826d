"""From a run that translates images to the function that does."""

from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import networks
from jaxgan.errors import UserError
from jaxgan.inference.load import draw_images, restore_player
from jaxgan.methods.translation import variables_of
from jaxgan.state import PyTree

__all__ = ["load_translator", "make_translate"]


def load_translator(
    workdir: str | Path,
    direction: str,
    *,
    step: int | None = None,
    generator: nn.Module | None = None,
) -> Callable[[jax.Array], jax.Array]:
    """Loads one of the two generators of a CycleGAN or a DiscoGAN as a jitted function.

    Args:
      workdir: the folder of a run.
      direction: "ab", from domain a to domain b, or "ba".
      step: which checkpoint; by default the newest that is not damaged.
      generator: the module, where it is not one of `jaxgan.networks`.

    Returns:
      Images in [0, 1], (B, H, W, C) float -> images in [0, 1], (B, H, W, C) float32. Its attributes
      `generator` (the module), `step` and `config` (the run's, a dict) say of what, when and in
      what run it was saved.

    Raises:
      UserError: another direction, no run there, no such checkpoint, a damaged one, a run that
        does not translate; when called, other arrays.

    Example:
      >>> translate = load_translator("runs/", "ab")  # doctest: +SKIP
      >>> images = translate(images)  # doctest: +SKIP
    """
    if direction not in ("ab", "ba"):
        raise UserError(f"direction: got {direction!r}, expected 'ab' or 'ba'")
    step, description, variables, _ = restore_player(workdir, step, "generator")
    if set(variables["params"]) != {"ab", "ba"}:
        raise UserError(f"workdir: {workdir} holds no run that translates images")
    if generator is None:
        generator = networks.from_description(description["generator"])
    translate = make_translate(generator, variables_of(variables, direction))
    translate.generator = generator
    translate.step = step
    translate.config = description.get("config", {})
    return translate


def make_translate(generator: nn.Module, variables: PyTree) -> Callable[[jax.Array], jax.Array]:
    """Makes of a generator and its variables the function that `load_translator` gives.

    Args:
      generator: module from images to images in its `value_range`, with its `channels`.
      variables: its Flax collections, of one direction.

    Returns:
      Images in [0, 1], (B, H, W, C) float -> images in [0, 1], (B, H, W, C) float32.

    Raises:
      UserError: when called, other arrays.

    Example:
      >>> generator, _ = networks.cyclegan(image_size=28, width=4, blocks=1)
      >>> images = jnp.zeros((2, 28, 28, 3))
      >>> make_translate(generator, generator.init(jax.random.key(0), images))(images).shape
      (2, 28, 28, 3)
    """
    low, high = generator.value_range
    channels = generator.channels  # of either domain

    def translate(images: jax.Array) -> jax.Array:
        images = jnp.asarray(images)
        right = images.ndim == 4 and images.shape[-1] == channels
        if not right or not jnp.issubdtype(images.dtype, jnp.floating):
            raise UserError(
                f"images: got {images.dtype} of shape {images.shape}, expected floats "
                f"(B, H, W, {channels})"
            )
        return draw_images(generator, variables, low + (high - low) * images)

    return translate
