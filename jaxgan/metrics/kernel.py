"""The kernel distance between sets of features: KID, in any feature space."""

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_pair

__all__ = ["KernelDistance", "kernel_distance"]


class KernelDistance(NamedTuple):
    """An average over blocks.

    Attributes:
      value: the mean of the blocks' estimates.
      standard_error: of that mean, sqrt(variance of the estimates / number of blocks); NaN where
        there is one block alone.
    """

    value: float
    standard_error: float


def kernel_distance(
    real: ArrayLike, fake: ArrayLike, *, block_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """The squared maximum mean discrepancy with a cubic kernel, unbiased; of features, it is KID.

        k(x, y) = (x . y / D + 1)^3
        MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

    Its expectation is 0 where both sets come from one distribution, for any number of samples, so
    that single values may be negative.

    Both sets are shuffled, each by a permutation of its own drawn from `seed`, and cut into
    min(N, M) // block_size disjoint blocks; what is left over is not used. Each block of `real`
    meets one of `fake`. No sample is in two blocks, so that the blocks' estimates are independent
    and their spread gives the standard error.

    Not streamed: all features must be there at once, (N + M) D numbers, to be shuffled. The kernel
    itself takes O(block_size^2) memory.

    Args:
      real: (N, D) float.
      fake: (M, D) float.
      block_size: samples of either set in a block.
      seed: of the two permutations.

    Returns:
      The `KernelDistance`.

    Raises:
      UserError: features of different widths, not floating point or not finite; a block size below
        2 or above the smaller set.

    Examples:
      >>> rng = np.random.default_rng(0)
      >>> near = kernel_distance(*rng.normal(size=(2, 500, 4)), block_size=100)
      >>> real, fake = rng.normal([[[0.0]], [[1.0]]], size=(2, 500, 4))
      >>> far = kernel_distance(real, fake, block_size=100)
      >>> abs(near.value) < 5 * near.standard_error, far.value > 5 * far.standard_error
      (True, True)

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs", section 4.
    """
    real, fake = check_pair(real, fake)
    smaller = min(len(real), len(fake))
    if not 2 <= block_size <= smaller:
        raise UserError(
            f"block_size: got {block_size} for {len(real)} real and {len(fake)} fake samples, "
            f"expected 2 to {smaller}"
        )
    rng = np.random.default_rng(seed)
    count = smaller // block_size

    def blocks(features):
        order = rng.permutation(len(features))[: count * block_size]
        return order.reshape(count, block_size)

    estimates = [
        _squared_mmd(real[x], fake[y]) for x, y in zip(blocks(real), blocks(fake), strict=True)
    ]
    error = np.std(estimates, ddof=1) / math.sqrt(count) if count > 1 else math.nan
    return KernelDistance(float(np.mean(estimates)), float(error))


def _squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def mean_of_pairs(k):
        return (np.sum(k) - np.trace(k)) / (len(k) * (len(k) - 1))

    return mean_of_pairs(kernel(x, x)) + mean_of_pairs(kernel(y, y)) - 2 * np.mean(kernel(x, y))
