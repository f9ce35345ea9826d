"""What an objective takes from a batch, refused in words where it is not there."""

from collections.abc import Mapping

import jax

from jaxgan.errors import UserError
from jaxgan.state import PyTree

__all__ = ["entry", "real_images"]


def entry(batch: PyTree, name: str) -> jax.Array:
    """An entry of a batch, which is refused if it has none."""
    if not isinstance(batch, Mapping) or name not in batch:
        got = f"entries {', '.join(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise UserError(f"batch: got {got}, expected {name!r} among them")
    return batch[name]


def real_images(batch: PyTree, fakes: jax.Array) -> jax.Array:
    """The images of a batch, which are refused if they are of another shape than the fakes."""
    images = entry(batch, "image")
    if images.shape != fakes.shape:
        raise UserError(
            f"image: got a batch of shape {images.shape}, expected {fakes.shape}, which is "
            "what the generator makes"
        )
    return images
