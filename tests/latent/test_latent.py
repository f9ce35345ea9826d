"""Latents: the two priors, the walks between latents, and sums of them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from scipy import stats

from jaxgan.errors import UserError
from jaxgan.latent import (
    analogy,
    interpolate_linear,
    interpolate_spherical,
    latent_grid,
    mean_latent,
    onto_prior,
    sample_latents,
    smooth_path,
)

SHAPE = (500, 100)
COUNT = SHAPE[0] * SHAPE[1]
T = 0.7
# name: (options, SciPy's distribution, bound)
PRIORS = {
    "normal": ({}, stats.norm(), math.inf),
    "uniform": ({"prior": "uniform"}, stats.uniform(-1, 2), 1.0),
    "truncated": ({"truncation": T}, stats.truncnorm(-T, T), T),
}
every_prior = pytest.mark.parametrize(
    ("options", "expected", "bound"), PRIORS.values(), ids=PRIORS.keys()
)


def draw(seed=0, shape=SHAPE, **options):
    return sample_latents(jax.random.key(seed), *shape, **options)


@every_prior
def test_the_distribution(options, expected, bound):
    latents = draw(**options)
    assert latents.shape == SHAPE
    assert latents.dtype == jnp.float32
    assert float(jnp.max(jnp.abs(latents))) <= bound
    x = np.asarray(latents, np.float64).ravel()
    # Five standard errors; that of the variance is sqrt((fourth moment - variance^2) / n).
    variance = expected.var()
    assert abs(x.mean() - expected.mean()) < 5 * math.sqrt(variance / COUNT)
    spread = math.sqrt((expected.moment(4) - variance**2) / COUNT)
    assert abs(x.var() - variance) < 5 * spread
    assert stats.kstest(x, expected.cdf).pvalue > 1e-4
    # One latent says nothing of the next one, one dimension nothing of its neighbour.
    z = np.asarray(latents, np.float64) / math.sqrt(variance)
    assert abs(np.mean(z[1:] * z[:-1])) < 5 / math.sqrt(COUNT - SHAPE[1])
    assert abs(np.mean(z[:, 1:] * z[:, :-1])) < 5 / math.sqrt(COUNT - SHAPE[0])


@every_prior
def test_a_key_gives_the_same_latents_again_and_another_key_others(options, expected, bound):
    del expected, bound
    first, again, other = draw(**options), draw(**options), draw(seed=1, **options)
    np.testing.assert_array_equal(first, again)
    assert not np.any(np.all(np.asarray(first) == np.asarray(other), axis=1))


@every_prior
@pytest.mark.parametrize("mapping", ["shard_map", "pmap"])
def test_devices_share_the_draw_of_the_whole_batch(mesh, mapping, options, expected, bound):
    del expected, bound
    devices, share, dim, key = mesh.size, 3, 5, jax.random.key(3)
    assert devices == 8

    def local(key):
        return sample_latents(key, share, dim, axis_name="data", **options)

    if mapping == "shard_map":
        mapped = jax.shard_map(local, mesh=mesh, in_specs=P(), out_specs=P("data"))
        drawn = jax.jit(mapped)(key)
    else:
        drawn = jax.pmap(local, axis_name="data")(jnp.stack([key] * devices))
        drawn = drawn.reshape(devices * share, dim)
    # To rounding: the transformation from bits to the normal law is compiled in another program.
    whole = sample_latents(key, devices * share, dim, **options)
    np.testing.assert_allclose(drawn, whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prior": "gaussian"}, "prior"),
        ({"prior": None}, "prior"),
        ({"truncation": 0.0}, "truncation"),
        ({"truncation": -1.0}, "truncation"),
        ({"truncation": math.nan}, "truncation"),
        ({"truncation": 0.5, "prior": "uniform"}, "truncation"),
    ],
)
def test_errors(options, named):
    with pytest.raises(UserError) as error:
        draw(shape=(2, 3), **options)
    assert str(error.value).startswith(f"{named}: got ")
    assert "\n" not in str(error.value)


def pair(seed=0, dim=16, unit=False):
    start, end = np.random.default_rng(seed).standard_normal((2, dim))
    if unit:
        start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    return jnp.asarray(start, jnp.float32), jnp.asarray(end, jnp.float32)


every_walk = pytest.mark.parametrize("walk", [interpolate_linear, interpolate_spherical])


@every_walk
@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_walk_starts_and_ends_at_its_ends(walk, count):
    start, end = pair()
    path = walk(start, end, count)
    assert path.shape == (count, 16)
    assert path.dtype == jnp.float32
    # The line's ends are exact; on the circle (sin(a) x) / sin(a) rounds twice.
    rtol = 0 if walk is interpolate_linear else 2.5e-7
    np.testing.assert_allclose(path[0], start, rtol=rtol)
    np.testing.assert_allclose(path[-1], end, rtol=rtol)


@every_walk
def test_one_point_is_the_start(walk):
    start, end = pair()
    np.testing.assert_allclose(walk(start, end, 1), start[None], rtol=2e-7)


@every_walk
def test_a_walk_backwards_is_the_same_walk(walk):
    start, end = pair()
    np.testing.assert_allclose(walk(start, end, 7), walk(end, start, 7)[::-1], atol=1e-6)


def test_the_line_is_straight_and_even():
    start, end = (np.asarray(x, np.float64) for x in pair())
    path = interpolate_linear(*pair(), 5)
    expected = [start, 0.75 * start + 0.25 * end, (start + end) / 2, 0.25 * start + 0.75 * end, end]
    np.testing.assert_allclose(path, expected, atol=1e-6)


def test_the_great_circle_keeps_the_norm_and_goes_at_an_even_pace():
    start, end = pair(unit=True)
    path = np.asarray(interpolate_spherical(start, end, 9), np.float64)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, rtol=1e-6)
    angles = np.arccos(np.sum(path[1:] * path[:-1], axis=1))
    whole = math.acos(float(np.dot(np.asarray(start, np.float64), np.asarray(end, np.float64))))
    np.testing.assert_allclose(angles, whole / 8, rtol=1e-4)


def test_the_midpoint_of_the_great_circle():
    start, end = pair(unit=True)
    middle = np.asarray(interpolate_spherical(start, end, 3)[1])
    total = np.asarray(start) + np.asarray(end)
    np.testing.assert_allclose(middle, total / np.linalg.norm(total), atol=1e-6)
    # With ends of other lengths the formula weights them alike: sin(a/2) / sin(a) = 1 / 2cos(a/2).
    middle = interpolate_spherical(jnp.array([3.0, 0.0]), jnp.array([0.0, 1.0]), 3)[1]
    np.testing.assert_allclose(middle, [3 / math.sqrt(2), 1 / math.sqrt(2)], rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 2.5, 1 + 1e-6, -1.0, -0.3])
def test_parallel_latents_are_joined_by_the_line(factor):
    start, _ = pair()
    end = factor * start
    path = interpolate_spherical(start, end, 5)
    np.testing.assert_allclose(path, interpolate_linear(start, end, 5), atol=2e-6)


def test_nearly_parallel_latents_stay_close():
    start, other = pair(unit=True)
    for tilt in (1e-7, 1e-5, 1e-3):
        end = start + tilt * other
        path = interpolate_spherical(start, end, 5)
        np.testing.assert_allclose(path, interpolate_linear(start, end, 5), atol=1e-5)
        end = -start + tilt * other  # the way round is any one, but it is finite
        assert np.all(np.isfinite(interpolate_spherical(start, end, 5)))


def test_a_latent_of_zeros_has_no_direction():
    start, _ = pair()
    zeros = jnp.zeros_like(start)
    for ends in ((start, zeros), (zeros, start), (zeros, zeros)):
        path = interpolate_spherical(*ends, 5)
        np.testing.assert_allclose(path, interpolate_linear(*ends, 5), atol=1e-6)


def draws(count, dim=16, seed=0, prior="normal"):
    return sample_latents(jax.random.key(seed), count, dim, prior=prior)


both_priors = pytest.mark.parametrize("prior", ["normal", "uniform"])


def test_onto_prior():
    latents = np.asarray(draws(5), np.float64)
    expected = 4 * latents / np.linalg.norm(latents, axis=1, keepdims=True)
    np.testing.assert_allclose(onto_prior(0.1 * draws(5)), expected, rtol=1e-5)
    np.testing.assert_array_equal(onto_prior(jnp.zeros((2, 3))), np.zeros((2, 3)))
    clipped = onto_prior(jnp.array([-3.0, 0.25, 1.5]), "uniform")
    np.testing.assert_array_equal(clipped, [-1.0, 0.25, 1.0])


@both_priors
@pytest.mark.parametrize("closed", [True, False])
def test_a_smooth_path_passes_through_its_waypoints(prior, closed):
    waypoints = draws(5, prior=prior)
    segments = 5 if closed else 4
    path = smooth_path(waypoints, 8 * segments + (not closed), prior=prior, closed=closed)
    np.testing.assert_allclose(path[::8], waypoints, rtol=1e-5, atol=1e-6)


def test_the_norm_of_a_smooth_path_goes_evenly_from_waypoint_to_waypoint():
    waypoints = draws(4)
    norms = np.linalg.norm(np.asarray(waypoints, np.float64), axis=1)
    path = np.linalg.norm(np.asarray(smooth_path(waypoints, 40), np.float64), axis=1)
    np.testing.assert_allclose(
        path, np.interp(np.arange(40) / 10, range(5), [*norms, norms[0]]), rtol=1e-5
    )


@both_priors
@pytest.mark.parametrize("closed", [True, False])
def test_a_smooth_path_has_no_corners(prior, closed):
    # Inside the cube, where nothing is clipped.
    scale = {"normal": 1.0, "uniform": 0.5}[prior]
    waypoints = scale * draws(5, dim=64, prior=prior)
    path = smooth_path(waypoints, 2000, prior=prior, closed=closed)
    path = np.asarray(path, np.float64)
    if prior == "normal":
        path /= np.linalg.norm(path, axis=1, keepdims=True)
    steps = np.diff(np.concatenate([path, path[:1]]) if closed else path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    turns = np.sum(steps[1:] * steps[:-1], axis=1)
    # Great circles from one to the next would turn by about a right angle at once.
    assert turns.min() > 0.99


def test_a_uniform_path_is_the_catmull_rom_spline_inside_the_cube():
    p = np.random.default_rng(0).uniform(-0.6, 0.6, (4, 3))
    middle = smooth_path(jnp.asarray(p, jnp.float32), 8, prior="uniform")[1]
    expected = (9 * (p[0] + p[1]) - p[3] - p[2]) / 16  # of a closed path, 3 is before 0
    np.testing.assert_allclose(middle, expected, atol=1e-6)
    corner = jnp.array([[1.0], [1.0], [-1.0]])  # the spline overshoots between the ones
    path = smooth_path(corner, 30, prior="uniform")
    assert float(jnp.max(jnp.abs(path))) == 1.0


@both_priors
def test_a_grid_has_its_corners_and_its_sides(prior):
    corners = draws(4, prior=prior)
    grid = latent_grid(corners, 3, 5, prior=prior).reshape(3, 5, -1)
    between = interpolate_linear if prior == "uniform" else interpolate_spherical
    np.testing.assert_allclose(grid[[0, 0, 2, 2], [0, 4, 0, 4]], corners, rtol=1e-5)
    np.testing.assert_allclose(grid[:, 0], between(corners[0], corners[2], 3), atol=1e-5)
    np.testing.assert_allclose(grid[2], between(corners[2], corners[3], 5), atol=1e-5)


def test_the_grid_of_the_uniform_prior_is_bilinear():
    corners = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    grid = latent_grid(jnp.asarray(corners, jnp.float32), 4, 3, prior="uniform")
    for row in range(4):
        for column in range(3):
            v, u = row / 3, column / 2
            weights = [(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u]
            np.testing.assert_allclose(grid[3 * row + column], weights @ corners, atol=1e-6)


def test_a_grid_on_the_sphere_stays_on_it():
    corners = onto_prior(draws(4))
    grid = latent_grid(corners, 5, 6)
    np.testing.assert_allclose(np.linalg.norm(grid, axis=1), 4.0, rtol=1e-5)


def test_means_and_analogies():
    a, b, c = (np.asarray(draws(n, seed=n), np.float64) for n in (3, 4, 5))
    groups = [jnp.asarray(group, jnp.float32) for group in (a, b, c)]
    total = a.mean(0) - b.mean(0) + c.mean(0)
    expected = 4 * total / np.linalg.norm(total)
    np.testing.assert_allclose(analogy(*groups), expected, rtol=1e-4)
    uniform = analogy(*groups, prior="uniform")
    np.testing.assert_allclose(uniform, np.clip(total, -1, 1), atol=1e-6)
    expected = 4 * a.mean(0) / np.linalg.norm(a.mean(0))
    np.testing.assert_allclose(mean_latent(groups[0]), expected, rtol=1e-4)
    # What both lack is taken away, and what is not compared stays.
    alike = groups[0]
    np.testing.assert_allclose(analogy(alike, alike, groups[2]), mean_latent(groups[2]), atol=1e-5)


Z = jnp.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: smooth_path(Z[:1], 5), "waypoints"),
        (lambda: smooth_path(Z[0], 5), "waypoints"),
        (lambda: smooth_path(Z, 0), "count"),
        (lambda: smooth_path(Z, 5, prior="cube"), "prior"),
        (lambda: latent_grid(Z[:3], 2, 2), "corners"),
        (lambda: latent_grid(Z, 1, 2), "rows"),
        (lambda: latent_grid(Z, 2, 1), "columns"),
        (lambda: latent_grid(Z, 2, 2, prior="cube"), "prior"),
        (lambda: onto_prior(Z, "cube"), "prior"),
        (lambda: mean_latent(Z[0]), "group"),
        (lambda: mean_latent(Z[:0]), "group"),
        (lambda: analogy(Z, Z, Z[0]), "c"),
        (lambda: analogy(Z, Z, Z[:, :2]), "a, b, c"),
        (lambda: analogy(Z, Z, Z, prior="cube"), "prior"),
    ],
)
def test_errors_of_paths_and_sums(call, named):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(f"{named}: got ")
    assert "\n" not in str(error.value)
