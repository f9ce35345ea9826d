"""Feature matching, against its formula in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import losses
from jaxgan.errors import UserError


def test_features_are_matched_in_their_means():
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((7, 3, 2)), rng.standard_normal((4, 3, 2))
    expected = np.sum((real.mean(0) - fake.mean(0)) ** 2)
    singles = [np.asarray(x, np.float32) for x in (real, fake)]
    value = losses.feature_matching(*singles)
    assert value.shape == ()
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    # The order of the examples is nothing to it.
    np.testing.assert_allclose(losses.feature_matching(singles[0], singles[0][::-1]), 0, atol=1e-12)
    narrow = [jnp.asarray(x, jnp.bfloat16) for x in (real, fake)]
    rounded = [np.asarray(x, np.float64).mean(0) for x in narrow]
    expected = np.sum((rounded[0] - rounded[1]) ** 2)
    assert losses.feature_matching(*narrow).dtype == jnp.float32
    np.testing.assert_allclose(losses.feature_matching(*narrow), expected, rtol=1e-5)


def test_the_gradient_of_feature_matching_is_the_finite_difference():
    rng = np.random.default_rng(1)
    real, fake = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    step = 1e-5 * rng.standard_normal(fake.shape)
    with jax.enable_x64(True):
        slope = np.asarray(jax.grad(losses.feature_matching, argnums=1)(real, fake))
    expected = [np.sum((real.mean(0) - (fake + s * step).mean(0)) ** 2) for s in (1, -1)]
    np.testing.assert_allclose(np.sum(slope * step), (expected[0] - expected[1]) / 2, rtol=1e-8)


@pytest.mark.parametrize(
    ("real", "fake", "named"),
    [
        (np.zeros(4, np.float32), np.zeros(4, np.float32), "real_features"),
        (np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32), "fake_features"),
        (np.zeros((4, 3), np.float32), np.zeros((4, 3, 1), np.float32), "fake_features"),
        (np.zeros((4, 3), np.float32), np.zeros(4, np.float32), "fake_features"),
        (np.zeros((4, 3), np.int32), np.zeros((4, 3), np.float32), "real_features"),
        (np.zeros((4, 3), np.float32), np.zeros((4, 3), bool), "fake_features"),
    ],
)
def test_wrong_features_are_refused_by_name(real, fake, named):
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        losses.feature_matching(real, fake)
