"""The Fréchet distance between Gaussians fitted to features: FID, in any feature space.

The Gaussian is fitted in one pass over batches, in float64:

    moments = start_moments(dim)
    for features in batches:
        moments = add_features(moments, features)
    gaussian = finish_moments(moments)
"""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_finite, check_rows

__all__ = [
    "Gaussian",
    "Moments",
    "add_features",
    "finish_moments",
    "frechet_distance",
    "merge_moments",
    "start_moments",
]


class Moments(NamedTuple):
    """What one pass over features keeps: O(D^2) numbers however many samples there were.

    Attributes:
      count: number of samples so far.
      mean: (D,) float64, their mean.
      scatter: (D, D) float64, the sum of (x - mean)(x - mean)^T over them.
    """

    count: int  # type: ignore[assignment]
    mean: np.ndarray
    scatter: np.ndarray


class Gaussian(NamedTuple):
    """The Gaussian of a set of features.

    Attributes:
      mean: (D,) float64.
      covariance: (D, D) float64, the unbiased one, scatter / (count - 1).
    """

    mean: np.ndarray
    covariance: np.ndarray


def start_moments(dim: int) -> Moments:
    """The moments of no samples.

    Args:
      dim: D, the width of the features.

    Returns:
      `Moments` with count 0.

    Raises:
      UserError: a width below 1.

    Examples:
      >>> start_moments(84).scatter.shape
      (84, 84)
    """
    if dim < 1:
        raise UserError(f"dim: got {dim}, expected 1 or more")
    return Moments(0, np.zeros(dim), np.zeros((dim, dim)))


def add_features(moments: Moments, features: ArrayLike) -> Moments:
    """The moments with one more batch in them.

    The batch is centred on its own mean before it is squared, so that nothing cancels however far
    the features lie from zero.

    Args:
      moments: of the batches before.
      features: (B, D) float, B of any size from 1 on.

    Returns:
      New `Moments`; the result is that of one batch of everything, to rounding.

    Raises:
      UserError: features of another shape, not floating point or not finite.

    Examples:
      >>> moments = add_features(start_moments(1), np.array([[1.0], [3.0]]))
      >>> moments.count, moments.mean.item(), moments.scatter.item()
      (2, 2.0, 2.0)
    """
    features = check_rows("features", features, columns=moments.mean.shape[0])
    mean = np.mean(features, axis=0)
    features -= mean  # a copy already, see check_rows
    return merge_moments(moments, Moments(len(features), mean, features.T @ features))


def merge_moments(first: Moments, second: Moments) -> Moments:
    """The moments of two disjoint sets of samples together.

        n = n_1 + n_2;  delta = mean_2 - mean_1
        mean = mean_1 + delta n_2 / n
        scatter = scatter_1 + scatter_2 + delta delta^T n_1 n_2 / n

    Args:
      first, second: of the two sets; one of no samples changes nothing.

    Returns:
      New `Moments`.

    Raises:
      UserError: moments of features of different widths.

    Examples:
      >>> one = add_features(start_moments(1), np.array([[1.0]]))
      >>> three = add_features(start_moments(1), np.array([[3.0]]))
      >>> merge_moments(one, three).scatter.item()
      2.0

    Source: Chan, Golub & LeVeque 1979, "Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances".
    """
    if first.mean.shape != second.mean.shape:
        raise UserError(
            f"second: got moments of shape {second.mean.shape}, expected {first.mean.shape}"
        )
    count = first.count + second.count
    delta = second.mean - first.mean
    share = second.count / max(count, 1)
    return Moments(
        count,
        first.mean + share * delta,
        first.scatter + second.scatter + first.count * share * np.outer(delta, delta),
    )


def finish_moments(moments: Moments) -> Gaussian:
    """The Gaussian with the moments' mean and unbiased covariance.

        covariance = scatter / (count - 1)

    Args:
      moments: of at least two samples.

    Returns:
      The `Gaussian`.

    Raises:
      UserError: fewer than two samples.

    Examples:
      >>> moments = add_features(start_moments(1), np.array([[1.0], [3.0]]))
      >>> finish_moments(moments).covariance.item()
      2.0
    """
    if moments.count < 2:
        raise UserError(f"moments: got {moments.count} samples, expected 2 or more")
    return Gaussian(moments.mean, moments.scatter / (moments.count - 1))


def frechet_distance(real: Gaussian, fake: Gaussian) -> float:
    """The squared Fréchet (Wasserstein-2) distance of two Gaussians; of features, it is FID.

        |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1^{1/2} C_2 C_1^{1/2})^{1/2}

    The last trace is the sum of the singular values of C_1^{1/2} C_2^{1/2}. Eigenvalues of the
    product of all three would be the squares of those, and the root of their rounding much larger:
    visible where covariances are singular, as those of fewer samples than features are.

    With finite samples the distance is biased upwards, more with fewer samples: compare distances
    of the same number of samples only, and put it in the name (`metric_name`).

    Args:
      real, fake: from `finish_moments`; the distance is symmetric in them.

    Returns:
      The distance, at least 0.

    Raises:
      UserError: Gaussians of different widths, or not finite.

    Examples:
      >>> a = Gaussian(np.zeros(2), np.diag([1.0, 4.0]))
      >>> b = Gaussian(np.array([3.0, 0.0]), np.diag([4.0, 1.0]))
      >>> print(f"{frechet_distance(a, b):.4f}")  # 3^2 + (2 - 1)^2 + (1 - 2)^2
      11.0000

    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
    Nash Equilibrium", equation 6; Dowson & Landau 1982, "The Fréchet Distance between Multivariate
    Normal Distributions".
    """
    real, fake = _check_gaussian("real", real), _check_gaussian("fake", fake)
    if real.mean.shape != fake.mean.shape:
        raise UserError(
            f"fake: got features of width {len(fake.mean)}, expected {len(real.mean)}, that of real"
        )
    values_1, vectors_1 = np.linalg.eigh(real.covariance)
    values_2, vectors_2 = np.linalg.eigh(fake.covariance)
    # Eigenvalues that are zero come out as +-rounding.
    root_1, root_2 = (np.sqrt(np.maximum(values, 0)) for values in (values_1, values_2))
    # C_1^{1/2} C_2^{1/2} but for rotations on either side, which singular values do not see.
    product = root_1[:, None] * (vectors_1.T @ vectors_2) * root_2[None, :]
    cross = np.sum(np.linalg.svd(product, compute_uv=False))
    traces = np.trace(real.covariance) + np.trace(fake.covariance)
    squared = np.sum(np.square(real.mean - fake.mean)) + traces - 2 * cross
    return max(float(squared), 0.0)


def _check_gaussian(name: str, gaussian: Gaussian) -> Gaussian:
    mean, covariance = (np.asarray(part, np.float64) for part in gaussian)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise UserError(
            f"{name}: got mean {mean.shape} and covariance {covariance.shape}, expected (D,) and "
            "(D, D)"
        )
    check_finite(f"{name}.mean", mean)
    check_finite(f"{name}.covariance", covariance)
    return Gaussian(mean, covariance)
