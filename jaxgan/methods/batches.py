"""What an objective takes from a batch, refused in words where it is not there."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import UserError
from jaxgan.state import PyTree

__all__ = ["check_pixels", "class_labels", "entry", "real_images"]


def entry(batch: PyTree, name: str) -> jax.Array:
    """An entry of a batch, which is refused if it has none."""
    if not isinstance(batch, Mapping) or name not in batch:
        got = f"entries {', '.join(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise UserError(f"batch: got {got}, expected {name!r} among them")
    return batch[name]


def class_labels(batch: PyTree) -> jax.Array:
    """The classes of a batch, which are refused if they are not one integer an image."""
    labels, expected = entry(batch, "label"), entry(batch, "image").shape[:1]
    if labels.shape != expected or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise UserError(
            f"label: got {labels.dtype} of shape {labels.shape}, expected int {expected}, one of "
            "each image"
        )
    return labels


def check_pixels(batch: PyTree, name: str) -> None:
    """Refuses images that are no floats, or, where they are at hand, not finite.

    Args:
      batch: an example of what a game is trained on; its entries may be shapes and dtypes alone.
      name: the entry.
    """
    images = entry(batch, name)
    _expect_floats(name, images)
    at_hand = isinstance(images, np.ndarray) or (
        isinstance(images, jax.Array)
        and not isinstance(images, jax.core.Tracer)
        and images.is_fully_addressable
    )
    if at_hand and not np.isfinite(images).all():
        raise UserError(f"{name}: got NaN or infinity among the pixels, expected finite floats")


def real_images(batch: PyTree, fakes: jax.Array, name: str = "image") -> jax.Array:
    """The images of a batch, which are refused if they are not of the fakes' kind and shape."""
    images = entry(batch, name)
    _expect_floats(name, images)
    if images.shape != fakes.shape:
        raise UserError(
            f"{name}: got a batch of shape {images.shape}, expected {fakes.shape}, which is "
            "what the generator makes"
        )
    return images


def _expect_floats(name: str, images: jax.Array) -> None:
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(
            f"{name}: got {images.dtype}, expected float32 pixels in the generator's value_range"
        )
