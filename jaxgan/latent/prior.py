"""The priors: drawing latents, and bringing those that were computed back to where draws lie."""

import jax
import jax.numpy as jnp

from jaxgan.devices import make_rows
from jaxgan.errors import UserError

__all__ = ["check_prior", "onto_prior", "sample_latents"]


def sample_latents(
    key: jax.Array,
    batch_size: int,
    latent_dim: int,
    *,
    prior: str = "normal",
    truncation: float | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """Draws latents from the prior.

        normal: z ~ N(0, I);  uniform: z ~ U[-1, 1]^latent_dim

    Args:
      key: a PRNG key; the same on every device of a mapped axis.
      batch_size: B, on this device.
      latent_dim: D.
      prior: "normal" or "uniform".
      truncation: for "normal", a bound t > 0: the tails beyond |z| > t are drawn again, which
        trades variety for fidelity (Brock et al. 2019, section 3.1). None leaves them.
      axis_name: the mapped axis inside `pmap` or `shard_map`: the latents of the whole batch are
        drawn and this device takes its share, so that they do not depend on the device count.

    Returns:
      (B, D) float32.

    Raises:
      UserError: an unknown prior, a truncation that is not positive or not for "normal".

    Examples:
      >>> sample_latents(jax.random.key(0), 16, 100).shape
      (16, 100)
    """
    check_prior(prior)
    if truncation is not None and prior != "normal":
        raise UserError(
            f"truncation: got {truncation} for {prior} latents, expected None but for normal ones"
        )
    if truncation is not None and not truncation > 0:
        raise UserError(f"truncation: got {truncation}, expected a positive number")

    def draw(shape):
        if prior == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        if truncation is None:
            return jax.random.normal(key, shape)
        return jax.random.truncated_normal(key, -truncation, truncation, shape)

    return make_rows(draw, (batch_size, latent_dim), axis_name)


def onto_prior(latents: jax.Array, prior: str = "normal") -> jax.Array:
    """Brings latents that were computed, such as means or sums, back to where draws lie.

        normal: sqrt(D) z / |z|;  uniform: z clipped to [-1, 1]

    Normal latents of many dimensions have a norm of nearly sqrt(D), give or take 0.7. The mean of
    n of them has sqrt(D / n), a sum of three sqrt(3 D): lengths that the generator has never seen.
    The direction is what such latents mean, so that is kept. Uniform latents fill a cube, and the
    generator has seen all of it, but nothing outside.

    Args:
      latents: (..., D) float.
      prior: "normal" or "uniform".

    Returns:
      (..., D). Zeros, which have no direction, stay zeros.

    Raises:
      UserError: an unknown prior.

    Examples:
      >>> onto_prior(jnp.array([0.6, 0.8, 0.0, 0.0])).tolist()
      [1.2000000476837158, 1.600000023841858, 0.0, 0.0]

    Source: White 2016, "Sampling Generative Networks", section 2.1, for the norms.
    """
    check_prior(prior)
    if prior == "uniform":
        return jnp.clip(latents, -1.0, 1.0)
    norms = jnp.linalg.norm(latents, axis=-1, keepdims=True)
    return latents * (jnp.sqrt(float(latents.shape[-1])) / jnp.where(norms > 0, norms, 1.0))


def check_prior(prior: str) -> None:
    """Refuses a prior that is neither normal nor uniform."""
    if prior not in ("normal", "uniform"):
        raise UserError(f"prior: got {prior!r}, expected 'normal' or 'uniform'")
