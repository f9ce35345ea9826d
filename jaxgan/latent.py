"""Latents: drawing them and walking between them."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["interpolate_linear", "interpolate_spherical", "sample_latents"]


def sample_latents(
    key: jax.Array,
    batch_size: int,
    latent_dim: int,
    *,
    distribution: str = "normal",
    truncation: float | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    """Draws latents from the prior.

        normal: z ~ N(0, I);  uniform: z ~ U[-1, 1]^latent_dim

    Args:
      key: a PRNG key; the same on every device of a mapped axis.
      batch_size: B, on this device.
      latent_dim: D.
      distribution: "normal" or "uniform".
      truncation: for "normal", a bound t > 0: the tails beyond |z| > t are drawn again, which
        trades variety for fidelity (Brock et al. 2019, section 3.1). None leaves them.
      axis_name: the mapped axis inside `pmap` or `shard_map`: the latents of the whole batch are
        drawn and this device takes its share, so that they do not depend on the device count.

    Returns:
      (B, D) float32.

    Raises:
      UserError: an unknown distribution, a truncation that is not positive or not for "normal".

    Example:
      >>> sample_latents(jax.random.key(0), 16, 100).shape
      (16, 100)
    """
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    shape = (devices * batch_size, latent_dim)
    if truncation is not None and (distribution != "normal" or not truncation > 0):
        raise UserError(
            f"truncation: got {truncation} for {distribution} latents, expected a positive number "
            "and normal latents"
        )
    if distribution == "uniform":
        latents = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
    elif distribution != "normal":
        raise UserError(f"latent: got {distribution!r}, expected 'normal' or 'uniform'")
    elif truncation is None:
        latents = jax.random.normal(key, shape)
    else:
        latents = jax.random.truncated_normal(key, -truncation, truncation, shape)
    if axis_name is None:
        return latents
    start = jax.lax.axis_index(axis_name) * batch_size
    return jax.lax.dynamic_slice_in_dim(latents, start, batch_size)


def interpolate_linear(start: jax.Array, end: jax.Array, count: int) -> jax.Array:
    """The straight line between two latents, right for the uniform prior.

        z(t) = (1 - t) start + t end,  t = 0 ... 1 in `count` steps

    Args:
      start, end: (D,) float.
      count: number of points, both ends among them.

    Returns:
      (count, D).

    Example:
      >>> interpolate_linear(jnp.zeros(1), jnp.ones(1), 3)[:, 0].tolist()
      [0.0, 0.5, 1.0]
    """
    t = jnp.linspace(0.0, 1.0, count)[:, None]
    return (1 - t) * start[None] + t * end[None]


def interpolate_spherical(start: jax.Array, end: jax.Array, count: int) -> jax.Array:
    """The great circle between two latents, right for the normal prior.

        z(t) = (sin((1 - t) a) start + sin(t a) end) / sin a,  a the angle between them

    A straight line would leave the shell of radius sqrt(D) in which normal latents lie.

    Args:
      start, end: (D,) float.
      count: number of points, both ends among them.

    Returns:
      (count, D).

    Example:
      >>> path = interpolate_spherical(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), 3)
      >>> print(f"{path[1, 0]:.4f} {path[1, 1]:.4f}")
      0.7071 0.7071

    Source: White 2016, "Sampling Generative Networks", section 2.1.
    """
    norms = jnp.linalg.norm(start) * jnp.linalg.norm(end)
    angle = jnp.arccos(jnp.clip(jnp.dot(start, end) / norms, -1.0, 1.0))
    t = jnp.linspace(0.0, 1.0, count)[:, None]
    sine = jnp.sin(angle)
    # Latents of one direction, or of none (zeros, whose angle is NaN), have no great circle of
    # their own; the line is its limit.
    has_circle = sine >= 1e-6
    safe = jnp.where(has_circle, sine, 1.0)
    curve = (jnp.sin((1 - t) * angle) * start[None] + jnp.sin(t * angle) * end[None]) / safe
    return jnp.where(has_circle, curve, interpolate_linear(start, end, count))
