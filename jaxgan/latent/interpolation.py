"""Between latents: lines, great circles, smooth paths through many, grids between four."""

import functools

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.latent.prior import check_prior

__all__ = [
    "interpolate",
    "interpolate_linear",
    "interpolate_spherical",
    "latent_grid",
    "smooth_path",
]


def interpolate(
    start: jax.Array, end: jax.Array, count: int, *, prior: str = "normal"
) -> jax.Array:
    """Goes from one latent to another as the prior asks.

    Along a line for the uniform prior, along a great circle for the normal one.

    Args:
      start, end, count: as for `interpolate_linear`.
      prior: "normal" or "uniform".

    Returns:
      What `interpolate_linear` or `interpolate_spherical` gives.

    Raises:
      UserError: an unknown prior; as those.

    Examples:
      >>> interpolate(jnp.zeros(1), jnp.ones(1), 3, prior="uniform")[:, 0].tolist()
      [0.0, 0.5, 1.0]
    """
    check_prior(prior)
    between = interpolate_linear if prior == "uniform" else interpolate_spherical
    return between(start, end, count)


def interpolate_linear(start: jax.Array, end: jax.Array, count: int) -> jax.Array:
    """The straight line between two latents, right for the uniform prior.

        z(t) = (1 - t) start + t end,  t = 0 ... 1 in `count` steps

    Args:
      start, end: (D,) float.
      count: number of points, both ends among them.

    Returns:
      (count, D).

    Examples:
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

    Examples:
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


def smooth_path(
    waypoints: jax.Array, count: int, *, prior: str = "normal", closed: bool = True
) -> jax.Array:
    """A walk without corners through several latents, for animations.

        uniform: z(t) = s(t), clipped to [-1, 1];  normal: z(t) = r(t) s(t) / |s(t)|

    s is the Catmull-Rom spline, which passes through the waypoints with the slope of the chord
    between both neighbours; for the normal prior through their directions, while the norm r goes
    evenly from that of one waypoint to the next, so that the walk is never further inside or
    outside than the draws it joins.

    Args:
      waypoints: (K, D) float.
      count: number of points. A closed walk ends one step before its start, ready to be repeated;
        an open one ends at the last waypoint.
      prior: "normal" or "uniform".
      closed: come back to the first waypoint.

    Returns:
      (count, D).

    Raises:
      UserError: fewer than two waypoints, a count below 1, an unknown prior.

    Examples:
      >>> circle = smooth_path(jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), 8)
      >>> print(jnp.abs(circle[1]).round(4))
      [0.7071 0.7071]

    Source: Catmull and Rom 1974, "A Class of Local Interpolating Splines".
    """
    check_prior(prior)
    if jnp.ndim(waypoints) != 2 or len(waypoints) < 2:
        raise UserError(f"waypoints: got shape {jnp.shape(waypoints)}, expected (K, D), K >= 2")
    if count < 1:
        raise UserError(f"count: got {count}, expected 1 or more")
    segments = len(waypoints) if closed else len(waypoints) - 1
    position = jnp.linspace(0.0, segments, count, endpoint=not closed)
    # The last point of an open walk is the end of the last segment and not the start of another.
    segment = jnp.minimum(position.astype(jnp.int32), segments - 1)
    u = (position - segment)[:, None]

    def at(values, offset):
        index = segment + offset
        return values[index % len(values) if closed else jnp.clip(index, 0, len(values) - 1)]

    def spline(values):
        before, start, end, after = (at(values, offset) for offset in (-1, 0, 1, 2))
        slope, end_slope = (end - before) / 2, (after - start) / 2
        return (
            (1 + 2 * u) * (1 - u) ** 2 * start
            + u * (1 - u) ** 2 * slope
            + u**2 * (3 - 2 * u) * end
            + u**2 * (u - 1) * end_slope
        )

    if prior == "uniform":
        return jnp.clip(spline(waypoints), -1.0, 1.0)
    norms = _norms(waypoints)
    curve = spline(waypoints / jnp.where(norms > 0, norms, 1.0))
    length = _norms(curve)
    radius = (1 - u) * at(norms, 0) + u * at(norms, 1)
    return curve * (radius / jnp.where(length > 0, length, 1.0))


def latent_grid(corners: jax.Array, rows: int, columns: int, *, prior: str = "normal") -> jax.Array:
    """The plane between four latents: down the two sides first, then across from side to side.

    Lines for the uniform prior, great circles for the normal one.

    Args:
      corners: (4, D) float: top left, top right, bottom left, bottom right.
      rows, columns: of the grid, the corners among them.
      prior: "normal" or "uniform".

    Returns:
      (rows * columns, D), row by row, as `visualize.image_grid` lays images out.

    Raises:
      UserError: not four corners, fewer than two rows or columns, an unknown prior.

    Examples:
      >>> corners = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
      >>> latent_grid(corners, 3, 3, prior="uniform")[4].tolist()
      [0.5, 0.5]
    """
    check_prior(prior)
    if jnp.ndim(corners) != 2 or len(corners) != 4:
        raise UserError(f"corners: got shape {jnp.shape(corners)}, expected (4, D)")
    for name, value in (("rows", rows), ("columns", columns)):
        if value < 2:
            raise UserError(f"{name}: got {value}, expected 2 or more")
    between = functools.partial(interpolate, prior=prior)
    left, right = between(corners[0], corners[2], rows), between(corners[1], corners[3], rows)
    grid = jax.vmap(lambda start, end: between(start, end, columns))(left, right)
    return grid.reshape(rows * columns, -1)


def _norms(x: jax.Array) -> jax.Array:
    return jnp.linalg.norm(x, axis=-1, keepdims=True)
