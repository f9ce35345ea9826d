"""The nearest images of a data set, to see whether samples are copies."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError

__all__ = ["Neighbours", "nearest_neighbours"]


class Neighbours(NamedTuple):
    """The k nearest of each query, nearest first.

    Attributes:
      indices: (Q, k) int64, numbers of the references; of equally near ones the first.
      distances: (Q, k) float64, Euclidean.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_neighbours(
    queries: ArrayLike,
    references: ArrayLike,
    *,
    k: int = 1,
    features: Callable[[jax.Array], jax.Array] | None = None,
    block_size: int = 1000,
) -> Neighbours:
    """Finds the references nearest to each query, in pixels or in features.

        |f(q) - f(r)|,  f the pixels in [0, 1] or the features, as one vector

    Pixels find copies only where nothing moved; features of a classifier or a discriminator find
    what looks alike. The references are gone through in blocks, so that memory is that of the
    bytes, of one block and of the k found.

    Args:
      queries: (Q, H, W, C), uint8 or float in [0, 1].
      references: (N, H, W, C), uint8 or float in [0, 1].
      k: how many for each query.
      features: images (B, H, W, C) float32 in [0, 1] -> (B, ...); None compares pixels.
      block_size: references compared at once; the result does not depend on it.

    Returns:
      The `Neighbours`.

    Raises:
      UserError: images of different shapes or other dtypes, a k below 1 or above N, a block size
        below 1.

    Examples:
      >>> references = np.linspace(0, 1, 5).reshape(5, 1, 1, 1)
      >>> nearest_neighbours(np.full((1, 1, 1, 1), 0.7), references, k=2).indices
      array([[3, 2]])
    """
    queries, references = np.asarray(queries), np.asarray(references)
    for name, images in (("queries", queries), ("references", references)):
        if images.ndim != 4 or not len(images) or images.shape[1:] != queries.shape[1:]:
            raise UserError(
                f"{name}: got shape {images.shape}, expected (N, H, W, C), alike for queries and "
                "references"
            )
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise UserError(f"{name}: got dtype {images.dtype}, expected uint8 or floating point")
    if not 1 <= k <= len(references):
        raise UserError(f"k: got {k}, expected 1 to {len(references)}, the number of references")
    if block_size < 1:
        raise UserError(f"block_size: got {block_size}, expected 1 or more")

    def vectors(images):
        images = images / np.float32(255) if images.dtype == np.uint8 else images
        images = images if features is None else np.asarray(features(images.astype(np.float32)))
        return images.reshape(len(images), -1).astype(np.float64)

    points = np.concatenate(
        [vectors(queries[i : i + block_size]) for i in range(0, len(queries), block_size)]
    )
    squares = np.sum(points**2, axis=1)
    found = np.empty((len(points), 0))
    indices = np.empty((len(points), 0), np.int64)
    for start in range(0, len(references), block_size):
        block = vectors(references[start : start + block_size])
        distances = np.add.outer(squares, np.sum(block**2, axis=1)) - 2 * points @ block.T
        numbers = np.broadcast_to(np.arange(start, start + len(block)), distances.shape)
        found = np.concatenate([found, distances], axis=1)
        indices = np.concatenate([indices, numbers], axis=1)
        # Stable, so that of equals the first found stays first.
        nearest = np.argsort(found, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(found, nearest, axis=1)
        indices = np.take_along_axis(indices, nearest, axis=1)
    # Rounding takes the squared distance of equals a little below zero.
    return Neighbours(indices, np.sqrt(np.maximum(found, 0.0)))
