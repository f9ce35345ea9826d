"""Fidelity and variety apart: precision and recall, density and coverage.

All four estimate the region that a set of features fills by balls around its samples, each as
large as the distance to the sample's k-th nearest neighbour in the set, itself not counted. A
sample on the very edge of a ball is inside, which matters where features are discrete or repeat.

None is streamed: all features must be there at once, (N + M) D numbers. The distances are computed
in blocks of rows, which takes O(block_size (N + M)) memory.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_pair

__all__ = ["DensityCoverage", "PrecisionRecall", "density_coverage", "precision_recall"]


class PrecisionRecall(NamedTuple):
    """Two shares in [0, 1].

    Attributes:
      precision: of the fakes that look real.
      recall: of the real samples that the generator could have made.
    """

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Two metrics that are about 1 for fakes like real samples.

    Attributes:
      density: how many real balls a fake is in, over k, on average; at least 0, with no bound
        above.
      coverage: share of the real samples with a fake in their ball.
    """

    density: float
    coverage: float


def precision_recall(
    real: ArrayLike, fake: ArrayLike, *, k: int = 3, block_size: int = 1000
) -> PrecisionRecall:
    """Improved precision and recall.

        precision = share of fakes inside the ball of any real sample
        recall = share of real samples inside the ball of any fake

    As in the authors' code, the edge of a ball counts. Differs from the package `prdc`, which
    leaves it out: of 500 samples with two features that are 0, 1 or 2, it finds none inside where
    here all are. Where no two distances are equal the two agree.

    Args:
      real: (N, D) float.
      fake: (M, D) float.
      k: the neighbour that gives a ball its radius.
      block_size: rows of distances computed at once; the result does not depend on it.

    Returns:
      The `PrecisionRecall`. Exchanging the sets exchanges the two.

    Raises:
      UserError: features of different widths, not floating point or not finite; a k below 1 or not
        below the number of samples; a block size below 1.

    Examples:
      >>> real = np.arange(8.0)[:, None]
      >>> precision_recall(real, np.array([[0.0], [0.1], [0.2], [0.3]]))
      PrecisionRecall(precision=1.0, recall=0.125)

    Source: Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative
    Models", equations 1 and 2.
    """
    real, fake = _centred(real, fake)
    _check_sizes(k, block_size, real=real, fake=fake)
    real_radii = _squared_radii(real, k, block_size)
    fake_radii = _squared_radii(fake, k, block_size)
    precise, recalled = 0, np.zeros(len(real), bool)
    for rows, distances in _cross_distances(fake, real, block_size):
        precise += int(np.count_nonzero(np.any(distances <= real_radii[None, :], axis=1)))
        recalled |= np.any(distances <= fake_radii[rows, None], axis=0)
    return PrecisionRecall(precise / len(fake), float(np.mean(recalled)))


def density_coverage(
    real: ArrayLike, fake: ArrayLike, *, k: int = 5, block_size: int = 1000
) -> DensityCoverage:
    """Density and coverage, which unlike precision and recall use balls around real samples alone.

        density = 1 / (k M) sum_j #{i: fake_j inside the ball of real_i}
        coverage = share of real samples whose ball has any fake inside

    A few fakes, or real samples, far from all others therefore do not change either much. Where
    both sets come from one distribution, density is 1 in expectation, and coverage 1 - 2^-k for
    many samples, as many fakes as real ones.

    Differs from the authors' package, `prdc`: the edge of a ball counts, as in `precision_recall`.
    Where features repeat, density is more than 1 here, and less there.

    Args:
      real: (N, D) float.
      fake: (M, D) float.
      k: the neighbour that gives a ball its radius.
      block_size: rows of distances computed at once; the result does not depend on it.

    Returns:
      The `DensityCoverage`.

    Raises:
      UserError: features of different widths, not floating point or not finite; a k below 1 or not
        below the number of real samples; a block size below 1.

    Examples:
      >>> real = np.arange(8.0)[:, None]
      >>> density_coverage(real, np.array([[0.5], [1.5]]), k=1)
      DensityCoverage(density=2.0, coverage=0.375)

    Source: Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models",
    section 3.2.
    """
    real, fake = _centred(real, fake)
    _check_sizes(k, block_size, real=real)
    radii = _squared_radii(real, k, block_size)
    inside, covered = 0, np.zeros(len(real), bool)
    for _, distances in _cross_distances(fake, real, block_size):
        in_ball = distances <= radii[None, :]
        inside += int(np.count_nonzero(in_ball))
        covered |= np.any(in_ball, axis=0)
    return DensityCoverage(inside / (k * len(fake)), float(np.mean(covered)))


def _check_sizes(k: int, block_size: int, **sets: np.ndarray) -> None:
    for name, features in sets.items():
        if not 1 <= k < len(features):
            raise UserError(
                f"k: got {k} with {len(features)} {name} samples, expected 1 to "
                f"{len(features) - 1}, the neighbours that a sample has"
            )
    if block_size < 1:
        raise UserError(f"block_size: got {block_size}, expected 1 or more")


def _centred(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    # Distances do not change, and |x|^2 + |y|^2 - 2 x.y loses least near the origin.
    real, fake = check_pair(real, fake)
    mean = np.mean(real, axis=0)
    return real - mean, fake - mean


def _distance_blocks(
    x: np.ndarray, y: np.ndarray, block_size: int, tolerance: float = 0.0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of a block of rows of `x` to all of `y`, and which rows they are.

    (1 - tolerance) (|x|^2 + |y|^2) - 2 x . y
    """
    x_norms, y_norms = ((1 - tolerance) * np.sum(a * a, axis=1) for a in (x, y))
    for start in range(0, len(x), block_size):
        rows = slice(start, start + block_size)
        yield rows, np.add.outer(x_norms[rows], y_norms) - 2 * (x[rows] @ y.T)


def _squared_radii(points: np.ndarray, k: int, block_size: int) -> np.ndarray:
    """The squared distance of each point to its k-th nearest neighbour other than itself."""
    radii = np.empty(len(points))
    for rows, distances in _distance_blocks(points, points, block_size):
        # Itself by its position, not by distance zero: a duplicate is a neighbour.
        own = np.arange(len(distances))
        distances[own, rows.start + own] = np.inf
        radii[rows] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return radii


def _cross_distances(
    fake: np.ndarray, real: np.ndarray, block_size: int
) -> Iterator[tuple[slice, np.ndarray]]:
    # A distance that equals a radius, as those of duplicates do, comes from another matrix product
    # and is rounded otherwise. Lowered by what rounding can do, it is inside as it should be.
    tolerance = 8 * np.finfo(np.float64).eps * math.sqrt(real.shape[1])
    return _distance_blocks(fake, real, block_size, tolerance)
