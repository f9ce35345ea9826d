"""Modes: how many the generator catches, and how evenly.

Where the modes are known, each sample is given to one: by a classifier (`count_modes`), or as the
nearest of known centres (`count_point_modes`). Counts of batches are added by `merge_modes`.
"""

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_ids, check_rows

__all__ = [
    "ModeCounts",
    "count_modes",
    "count_point_modes",
    "high_quality_share",
    "merge_modes",
    "modes_caught",
    "reverse_kl",
]


class ModeCounts(NamedTuple):
    """How many samples each mode has.

    Attributes:
      count: number of samples, those in no mode among them.
      in_mode: (K,) int64, the number in each mode.
    """

    count: int  # type: ignore[assignment]
    in_mode: np.ndarray


def count_modes(ids: ArrayLike, num_modes: int) -> ModeCounts:
    """The counts of samples whose modes a classifier names.

    Args:
      ids: (N,) integers in [0, num_modes); of stacked MNIST, 100 a + 10 b + c for the digits
        predicted in the three channels.
      num_modes: K, all modes that there are.

    Returns:
      The `ModeCounts`.

    Raises:
      UserError: ids that are not (N,) integers in range.

    Examples:
      >>> count_modes(np.array([2, 0, 2]), 4).in_mode.tolist()
      [1, 0, 2, 0]

    Source: Srivastava et al. 2017, "VEEGAN: Reducing Mode Collapse in GANs using Implicit
    Variational Learning", section 5.2.
    """
    ids = check_ids("ids", ids, num_modes)
    return ModeCounts(len(ids), np.bincount(ids, minlength=num_modes))


def count_point_modes(
    points: ArrayLike, centres: ArrayLike, std: float, *, max_stds: float = 3.0
) -> ModeCounts:
    """The counts of points around known centres, as of a ring or a grid of Gaussians.

    A point belongs to its nearest centre if it is of high quality, which is: within `max_stds`
    standard deviations of it; otherwise to none. Of a true Gaussian in the plane, 1 - exp(-9/2) =
    0.989 of the points are within three.

    Args:
      points: (N, D) float.
      centres: (K, D) float.
      std: the standard deviation of the modes along each axis.
      max_stds: how many of it a point may be away.

    Returns:
      The `ModeCounts`, whose `in_mode` are the points of high quality.

    Raises:
      UserError: points and centres of different widths, not floating point or not finite; a `std`
        or `max_stds` that is not a positive number.

    Examples:
      >>> centres = np.array([[0.0, 0.0], [1.0, 0.0]])
      >>> count_point_modes(np.array([[0.1, 0.0], [0.5, 0.0]]), centres, std=0.1)
      ModeCounts(count=2, in_mode=array([1, 0]))

    Source: Srivastava et al. 2017, "VEEGAN", section 5.1; Lin et al. 2018, "PacGAN: The power of
    two samples in generative adversarial networks", section 4.1.
    """
    centres = check_rows("centres", centres)
    points = check_rows("points", points, columns=centres.shape[1])
    for name, value in (("std", std), ("max_stds", max_stds)):
        if not 0 < value < math.inf:
            raise UserError(f"{name}: got {value}, expected a positive number")
    nearest = np.zeros(len(points), np.int64)
    squared = np.full(len(points), np.inf)
    for mode, centre in enumerate(centres):
        to_centre = np.sum(np.square(points - centre[None]), axis=1)
        nearest = np.where(to_centre < squared, mode, nearest)
        squared = np.minimum(squared, to_centre)
    good = squared <= (max_stds * std) ** 2
    return ModeCounts(len(points), np.bincount(nearest[good], minlength=len(centres)))


def merge_modes(first: ModeCounts, second: ModeCounts) -> ModeCounts:
    """The counts of two disjoint sets of samples together.

    Args:
      first, second: of the two sets.

    Returns:
      New `ModeCounts`.

    Raises:
      UserError: counts of different numbers of modes.

    Examples:
      >>> merge_modes(count_modes(np.array([0]), 2), count_modes(np.array([1]), 2)).count
      2
    """
    if first.in_mode.shape != second.in_mode.shape:
        raise UserError(f"second: got {len(second.in_mode)} modes, expected {len(first.in_mode)}")
    return ModeCounts(first.count + second.count, first.in_mode + second.in_mode)


def modes_caught(counts: ModeCounts) -> int:
    """The number of modes with at least one sample.

    Args:
      counts: from `count_modes` or `count_point_modes`.

    Returns:
      0 to K.

    Examples:
      >>> modes_caught(count_modes(np.array([2, 0, 2]), 4))
      2

    Source: Srivastava et al. 2017, "VEEGAN", section 5.
    """
    return int(np.count_nonzero(counts.in_mode))


def high_quality_share(counts: ModeCounts) -> float:
    """The share of the samples that belong to a mode.

    Args:
      counts: from `count_point_modes`; after `count_modes` it is 1.

    Returns:
      0 to 1.

    Examples:
      >>> centres = np.array([[0.0, 0.0], [1.0, 0.0]])
      >>> points = np.array([[0.1, 0.0], [0.5, 0.0]])
      >>> high_quality_share(count_point_modes(points, centres, std=0.1))
      0.5

    Source: Srivastava et al. 2017, "VEEGAN", section 5.1.
    """
    return int(np.sum(counts.in_mode)) / counts.count


def reverse_kl(generated: ModeCounts, reference: ModeCounts | None = None) -> float:
    """The divergence of the generated modes from the data's, in nats.

        KL(q || p) = sum_k q_k log(q_k / p_k),  q generated, p the reference

    Args:
      generated: of generated samples; those in no mode do not count.
      reference: of data, given to modes in the same way; None for modes that are all equally
        frequent.

    Returns:
      At least 0; against equally frequent modes at most log K, where all samples are in one.
      Infinite where samples are in a mode that the reference never has, NaN where no sample is in
      any mode.

    Raises:
      UserError: counts of different numbers of modes, a reference without samples in any.

    Examples:
      >>> print(f"{reverse_kl(count_modes(np.array([0, 0, 1, 1]), 4)):.4f}")  # log 2
      0.6931

    Source: Srivastava et al. 2017, "VEEGAN", section 5.2.
    """
    q = generated.in_mode
    p = np.ones_like(q) if reference is None else reference.in_mode
    if p.shape != q.shape:
        raise UserError(f"reference: got {len(p)} modes, expected {len(q)}")
    if not np.any(p):
        raise UserError("reference: got no sample in any mode, expected 1 or more")
    if not np.any(q):
        return math.nan
    if np.any(p[q > 0] == 0):
        return math.inf
    q, p = q[q > 0] / np.sum(q), p[q > 0] / np.sum(p)
    return max(float(np.sum(q * np.log(q / p))), 0.0)
