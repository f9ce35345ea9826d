"""Sums and differences of what latents mean."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.latent.prior import onto_prior

__all__ = ["analogy", "mean_latent"]


def mean_latent(group: jax.Array, *, prior: str = "normal") -> jax.Array:
    """What a group of latents has in common, as a latent.

        z = onto_prior(1/n sum_i z_i)

    Args:
      group: (n, D) float, latents whose images share something.
      prior: "normal" or "uniform".

    Returns:
      (D,).

    Raises:
      UserError: no such group, or an unknown prior.

    Examples:
      >>> mean_latent(jnp.array([[1.0, 0.0], [-1.0, 0.5]]), prior="uniform").tolist()
      [0.0, 0.25]
    """
    return onto_prior(_mean("group", group), prior)


def analogy(a: jax.Array, b: jax.Array, c: jax.Array, *, prior: str = "normal") -> jax.Array:
    """What stands to c as a stands to b: smiling woman - woman + man is a smiling man.

        z = onto_prior(mean a - mean b + mean c)

    Means of several latents, since one carries much besides what is meant. Only the result is
    brought back onto the prior: scaling the means first would give the group that has least in
    common, whose mean is shortest, the most weight.

    Args:
      a, b, c: (n, D) float, a group each, of any sizes.
      prior: "normal" or "uniform".

    Returns:
      (D,).

    Raises:
      UserError: no such groups, or an unknown prior.

    Examples:
      >>> a, b, c = jnp.array([[0.5, 0.5]]), jnp.array([[0.5, 0.0]]), jnp.array([[-0.5, 0.0]])
      >>> analogy(a, b, c, prior="uniform").tolist()
      [-0.5, 0.5]

    Source: Radford et al. 2015, "Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks", section 6.3.2.
    """
    a, b, c = (_mean(name, group) for name, group in (("a", a), ("b", b), ("c", c)))
    if not a.shape == b.shape == c.shape:
        raise UserError(f"a, b, c: got latents of {a.shape}, {b.shape}, {c.shape}, expected one D")
    return onto_prior(a - b + c, prior)


def _mean(name: str, group: jax.Array) -> jax.Array:
    if jnp.ndim(group) != 2 or not len(group):
        raise UserError(f"{name}: got shape {jnp.shape(group)}, expected (n, D), n >= 1")
    return jnp.mean(group, axis=0)
