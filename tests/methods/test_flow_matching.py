"""Flow matching beside mixtures of Gaussians, of which velocity, mean and score are known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

from jaxgan import UserError
from jaxgan.methods import init_flow, integrate, make_flow_step
from jaxgan.methods.flow_matching import add_noise, denoise, score

KEY = jax.random.key(0)
WEIGHTS, MEANS, SIGMAS = (np.array(x) for x in ((0.3, 0.7), (-1.0, 0.5), (0.4, 0.2)))


def log_density(x, t):
    """Of x_t, of a number drawn from the mixture."""
    spread = np.sqrt(((1 - t) * SIGMAS) ** 2 + t**2)
    return np.log(np.sum(WEIGHTS * norm.pdf(x, (1 - t) * MEANS, spread)))


def mean_of_data(x, t):
    """E[x | x_t], by a sum over the line."""
    line = np.linspace(-4, 4, 20_001)
    weights = sum(w * norm.pdf(line, m, s) for w, m, s in zip(WEIGHTS, MEANS, SIGMAS, strict=True))
    weights = weights * norm.pdf(x, (1 - t) * line, t)
    return np.sum(line * weights) / np.sum(weights)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_velocity_tells_mean_and_score(t):
    points, h = np.array([-1.3, 0.0, 0.7]), 1e-5
    means = np.array([mean_of_data(x, t) for x in points])
    velocity = (points - means) / t  # E[e - x | x_t], with e = (x_t - (1 - t) x) / t
    given = [np.float32(x)[:, None] for x in (points, velocity)]
    times = np.full(3, t, np.float32)
    np.testing.assert_allclose(denoise(*given, times)[:, 0], means, rtol=1e-4, atol=1e-5)
    slopes = [(log_density(x + h, t) - log_density(x - h, t)) / (2 * h) for x in points]
    np.testing.assert_allclose(score(*given, times)[:, 0], slopes, rtol=1e-3, atol=1e-4)


MEAN, SIGMA = 0.8, 0.3


def gaussian_velocity(x, t):
    """Of numbers from N(MEAN, SIGMA^2): the flow keeps (x_t - mean_t) / sigma_t as it is."""
    t = t[:, None]
    variance = ((1 - t) * SIGMA) ** 2 + t**2
    return (t - (1 - t) * SIGMA**2) / variance * (x - (1 - t) * MEAN) - MEAN


def test_solvers_draw_from_the_data_to_their_order():
    noise = jax.random.normal(KEY, (50, 3))

    def error(num_steps, **options):
        drawn = jax.jit(lambda e: integrate(gaussian_velocity, e, num_steps, **options))(noise)
        return float(jnp.max(jnp.abs(drawn - (MEAN + SIGMA * noise))))

    assert error(400) < 0.02
    assert error(100) / error(200) == pytest.approx(2, rel=0.1)
    assert error(100, heun=True) / error(200, heun=True) == pytest.approx(4, rel=0.2)
    assert error(100, heun=True) < error(200) / 10


def test_one_step_of_euler_takes_the_velocity_of_noise():
    noise = jax.random.normal(KEY, (4, 3))
    drawn = integrate(gaussian_velocity, noise, 1)
    np.testing.assert_allclose(drawn, noise - gaussian_velocity(noise, jnp.ones(4)), rtol=1e-6)
    with pytest.raises(UserError, match="num_steps: got 0"):
        integrate(gaussian_velocity, noise, 0)


def test_noise_is_drawn_for_each_image_whatever_the_devices():
    images = jax.random.uniform(KEY, (64, 8, 8, 2))
    noised = add_noise(images, KEY, (0.2, 0.6))
    t = noised.times[:, None, None, None]
    np.testing.assert_allclose(noised.images, (1 - t) * images + t * noised.noise, rtol=1e-6)
    assert 0.2 <= noised.times.min() < 0.25
    assert 0.55 < noised.times.max() <= 0.6
    assert np.std(noised.noise) == pytest.approx(1, abs=0.05)
    cut = jax.vmap(
        lambda part: add_noise(part, KEY, (0.2, 0.6), axis_name="data"), axis_name="data"
    )
    for whole, parts in zip(noised, cut(images.reshape(4, 16, 8, 8, 2)), strict=True):
        np.testing.assert_array_equal(whole, parts.reshape(whole.shape))


class Linear(nn.Module):
    """v = a x + b t."""

    @nn.compact
    def __call__(self, x, t, train=False):
        a, b = (self.param(name, nn.initializers.ones, ()) for name in "ab")
        return a * x + b * t[:, None, None, None]


def test_a_step_goes_down_the_squared_error_and_averages():
    images = np.random.default_rng(0).standard_normal((8, 2, 2, 1)).astype(np.float32)
    tx = optax.sgd(0.1)
    player = init_flow(KEY, Linear(), tx, image_shape=(2, 2, 1))
    step = jax.jit(make_flow_step(Linear(), tx, ema_decay=0.75))
    after, metrics = step(player, {"image": images}, KEY)
    x, t, e = (np.float64(a) for a in add_noise(images, jax.random.split(KEY)[0]))
    t = t[:, None, None, None]
    rest = x + t - (e - images)
    assert metrics["flow_matching_loss"] == pytest.approx(np.mean(rest**2), rel=1e-5)
    slopes = {"a": 2 * np.mean(rest * x), "b": 2 * np.mean(rest * t)}
    for name, slope in slopes.items():
        assert after.params[name] == pytest.approx(1 - 0.1 * slope, rel=1e-5)
        assert after.ema_params[name] == pytest.approx(1 - 0.25 * 0.1 * slope, rel=1e-5)


def test_bad_input_is_refused():
    class Flat(nn.Module):
        @nn.compact
        def __call__(self, x, t, train=False):
            return nn.Dense(3)(x)

    with pytest.raises(UserError, match="network: got velocities of shape"):
        init_flow(KEY, Flat(), optax.sgd(0.1), image_shape=(4, 4, 1))
    with pytest.raises(UserError, match=r"ema_decay: got 1\.0"):
        make_flow_step(Linear(), optax.sgd(0.1), ema_decay=1.0)
