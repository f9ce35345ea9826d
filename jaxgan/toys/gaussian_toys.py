"""What is known exactly of the toys of `gaussians.py`: data, a generator's density, the optimum.

All on the host in float64, independent of how a generator is trained.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import metrics


class Mixture(NamedTuple):
    """Gaussians of one standard deviation, all as frequent.

    Attributes:
      centres: (K, D) float64.
      std: along each axis.
      limit: pictures show [-limit, limit] along each axis, in which all of it lies.
      unit: in which networks are given points, so that all data are about as large to them.
    """

    centres: np.ndarray
    std: float
    limit: float
    unit: float = 1.0

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Points (*shape, D) float32."""
        mode_key, noise_key = jax.random.split(key)
        modes = jax.random.randint(mode_key, shape, 0, len(self.centres))
        noise = jax.random.normal(noise_key, (*shape, self.centres.shape[1]))
        return jnp.asarray(self.centres, jnp.float32)[modes] + self.std * noise

    def masses(self, edges: np.ndarray) -> np.ndarray:
        """In one dimension: the probability of each bin between edges (N + 1,), (N,)."""
        standard = (edges[:, None] - self.centres[:, 0][None]) / self.std
        return np.diff(np.mean(_normal_cdf(standard), axis=1))


def make_mixture(variant: str) -> Mixture:
    """The data of a variant."""
    if variant == "line":
        return Mixture(np.array([[-1.0], [1.0]]), 0.35, 2.5)
    if variant == "ring":
        angles = 2 * math.pi * np.arange(8) / 8
        return Mixture(np.stack([np.cos(angles), np.sin(angles)], axis=1), 0.01, 1.3)
    ticks = np.arange(-4.0, 5.0, 2.0)
    return Mixture(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), 0.05, 5.0, 4.0)


def generated_masses(
    generate: Callable[[np.ndarray], np.ndarray], prior: str, edges: np.ndarray
) -> np.ndarray:
    """How much of a generator's distribution lies in each bin, by change of variables.

        q(x) |dx| = sum over z with G(z) = x of p(z) |dz|

    The prior is cut into short intervals; G takes each to an interval, over which its mass is
    spread evenly. Folds, where several z give one x, add up. No sample is drawn.

    Args:
      generate: latents (N, 1) float32 -> points (N,), continuous.
      prior: "normal" or "uniform".
      edges: (M + 1,) rising.

    Returns:
      (M,) float64; what lies outside of all bins is missing.
    """
    bound = 7.0 if prior == "normal" else 1.0
    latents = np.linspace(-bound, bound, 14_001)
    mass = np.diff(_normal_cdf(latents) if prior == "normal" else (latents + 1) / 2)
    points = np.asarray(generate(latents[:, None].astype(np.float32)), np.float64)
    low, high = np.minimum(points[:-1], points[1:]), np.maximum(points[:-1], points[1:])
    width = np.maximum(high - low, 1e-12)  # a flat piece is a jump of the distribution function
    below = [np.sum(mass * np.clip((edge - low) / width, 0, 1)) for edge in edges]
    return np.diff(below)


def distance_to_optimum(
    discriminator: np.ndarray, data: np.ndarray, generated: np.ndarray
) -> tuple[np.ndarray, float]:
    """The best discriminator there can be against a generator, and how far one is from it.

        D*(x) = p(x) / (p(x) + q(x));  mean of |D(x) - D*(x)| over the support of p

    Args:
      discriminator: (M,), D at the middles of the bins.
      data, generated: (M,), the masses of p and q in the bins, which are of one width.

    Returns:
      (D* (M,), NaN where neither has mass; the mean over the bins, all counting alike, in which p
      is more than 1% of its maximum).

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", proposition 1.
    """
    both = data + generated
    optimum = np.where(both > 0, data / np.where(both > 0, both, 1), np.nan)
    support = data > 0.01 * data.max()
    return optimum, float(np.mean(np.abs(discriminator - optimum)[support]))


def mode_metrics(points: np.ndarray, mixture: Mixture) -> dict[str, float]:
    """The metrics of the protocol, of one trial's points (N, D)."""
    counts = metrics.count_point_modes(points, mixture.centres, mixture.std)
    return {
        "modes": metrics.modes_caught(counts),
        "high_quality": metrics.high_quality_share(counts),
        "reverse_kl": metrics.reverse_kl(counts),
    }


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
