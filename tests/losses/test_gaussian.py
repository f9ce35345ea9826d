"""The divergence from the standard Gaussian, against integration and against draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from jaxgan.errors import UserError
from jaxgan.losses import gaussian_kl

MEAN = np.array([[0.5, -1.0, 0.0], [2.0, 0.1, -0.3]])
LOG_SIGMA = np.array([[0.0, -1.0, 0.4], [0.7, -0.2, 0.0]])


def integrated(mean, log_sigma):
    density, standard = stats.norm(mean, np.exp(log_sigma)), stats.norm()

    def integrand(x):
        return density.pdf(x) * (density.logpdf(x) - standard.logpdf(x))

    reach = 12 * np.exp(log_sigma)
    return integrate.quad(integrand, mean - reach, mean + reach)[0]


def test_it_is_the_integral():
    expected = np.mean(
        [
            sum(integrated(m, s) for m, s in zip(*row, strict=True))
            for row in zip(MEAN, LOG_SIGMA, strict=True)
        ]
    )
    assert float(gaussian_kl(MEAN, LOG_SIGMA)) == pytest.approx(expected, rel=1e-6)


def test_it_is_the_mean_over_draws():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((100_000, *MEAN.shape))
    draws = MEAN + np.exp(LOG_SIGMA) * noise
    ratio = stats.norm.logpdf(draws, MEAN, np.exp(LOG_SIGMA)) - stats.norm.logpdf(draws)
    samples = ratio.sum(-1).mean(-1)
    error = samples.std() / np.sqrt(len(samples))
    assert abs(float(gaussian_kl(MEAN, LOG_SIGMA)) - samples.mean()) < 5 * error


def test_it_is_least_at_the_standard_gaussian():
    zeros = jnp.zeros((3, 2))
    assert float(gaussian_kl(zeros, zeros)) == 0
    for gradient in jax.grad(gaussian_kl, argnums=(0, 1))(zeros, zeros):
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 2)), ((3,), (3,)), ((2, 1), (2,))])
def test_errors(shapes):
    with pytest.raises(UserError, match=r"^log_sigma: got shape .* beside means .*, expected"):
        gaussian_kl(*map(jnp.zeros, shapes))
