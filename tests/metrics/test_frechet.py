"""The Fréchet distance against closed forms and SciPy's matrix square root, and its moments."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from jaxgan import UserError
from jaxgan.metrics import (
    Gaussian,
    Moments,
    add_features,
    finish_moments,
    frechet_distance,
    merge_moments,
    start_moments,
)


def draw(count, dim=6, seed=0, shift=0.0, scale=1.0):
    """Correlated features."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(100).standard_normal((dim, dim))
    return shift + scale * rng.standard_normal((count, dim)) @ mixing


def stream(features, sizes=None):
    moments = start_moments(features.shape[1])
    for batch in np.split(features, np.cumsum(sizes)[:-1] if sizes else []):
        moments = add_features(moments, batch)
    return moments


def gaussian(features):
    return finish_moments(stream(features))


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


# Moments.


def test_the_gaussian_is_numpys_mean_and_covariance():
    features = draw(50)
    moments, fitted = stream(features), gaussian(features)
    assert moments.count == 50
    np.testing.assert_allclose(fitted.mean, np.mean(features, axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted.covariance, np.cov(features.T), rtol=1e-12)


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [49, 1], [1, 49], [7, 30, 13]], ids=str)
def test_batches_may_be_split_in_any_way(sizes):
    features = draw(50)
    moments = stream(features, sizes)
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, np.mean(features, axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.scatter, 49 * np.cov(features.T), rtol=1e-11)


def test_streams_of_several_workers_are_merged_in_any_order():
    features = draw(50)
    parts = [stream(part) for part in np.split(features, [3, 20, 21])]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        moments = start_moments(6)
        for which in order:
            moments = merge_moments(moments, parts[which])
        assert moments.count == 50
        np.testing.assert_allclose(moments.scatter, 49 * np.cov(features.T), rtol=1e-11)


def test_no_samples_change_nothing():
    moments, nothing = stream(draw(5)), start_moments(6)
    for merged in (merge_moments(moments, nothing), merge_moments(nothing, moments)):
        for part, expected in zip(merged, moments, strict=True):
            np.testing.assert_array_equal(part, expected)
    assert merge_moments(nothing, nothing).count == 0


def test_features_far_from_zero_lose_nothing():
    # E[x^2] - E[x]^2 would lose all 16 digits here.
    near = np.random.default_rng(0).integers(-8, 9, (64, 3)).astype(np.float64)
    far = stream(near + 2.0**30, [10, 20, 34])
    np.testing.assert_allclose(far.scatter, 63 * np.cov(near.T), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_narrow_features_are_summed_in_float64(dtype):
    features = jnp.asarray(draw(1000, shift=10.0), dtype)
    wide = np.asarray(features).astype(np.float64)
    moments = stream(np.asarray(features), [300, 700])
    assert moments.mean.dtype == moments.scatter.dtype == np.float64
    np.testing.assert_allclose(moments.mean, wide.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.scatter, 999 * np.cov(wide.T), rtol=1e-10)


def test_adding_a_batch_changes_neither_the_batch_nor_the_moments_before():
    features = draw(5)
    before = features.copy()
    moments = stream(features)
    scatter = moments.scatter.copy()
    add_features(moments, features)
    np.testing.assert_array_equal(features, before)
    np.testing.assert_array_equal(moments.scatter, scatter)


# The distance.


@pytest.mark.parametrize("dim", [1, 2, 30])
def test_commuting_covariances_have_a_closed_form(dim):
    rng = np.random.default_rng(dim)
    mean_1, mean_2 = rng.standard_normal((2, dim))
    std_1, std_2 = rng.uniform(0, 3, (2, dim))
    q = rotation(dim)
    actual = frechet_distance(
        Gaussian(mean_1, q * std_1**2 @ q.T), Gaussian(mean_2, q * std_2**2 @ q.T)
    )
    expected = np.sum((mean_1 - mean_2) ** 2) + np.sum((std_1 - std_2) ** 2)
    assert actual == pytest.approx(expected, rel=1e-12)


def test_covariances_in_the_plane_have_a_closed_form():
    # Of a 2 x 2 matrix M with positive eigenvalues, tr M^{1/2} = (tr M + 2 det(M)^{1/2})^{1/2}.
    one, two = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    root = math.sqrt(np.trace(one @ two) + 2 * math.sqrt(np.linalg.det(one @ two)))
    actual = frechet_distance(Gaussian(np.zeros(2), one), Gaussian(np.array([1.0, 2.0]), two))
    assert actual == pytest.approx(5 + 3 + 4 - 2 * root, rel=1e-12)


def scipys(real, fake):
    root = sqrtm(real.covariance @ fake.covariance).real
    return np.sum((real.mean - fake.mean) ** 2) + np.trace(
        real.covariance + fake.covariance - 2 * root
    )


@pytest.mark.parametrize("smallest", [1e-4, 1e-8, 1e-12])
def test_scipys_square_root_of_nearly_singular_covariances(smallest):
    dim = 24
    spectrum = np.geomspace(1, smallest, dim)
    one, two = rotation(dim, 1), rotation(dim, 2)
    real = Gaussian(np.zeros(dim), one * spectrum @ one.T)
    fake = Gaussian(np.full(dim, 0.1), two * (2 * spectrum) @ two.T)
    assert frechet_distance(real, fake) == pytest.approx(scipys(real, fake), rel=1e-3)


@pytest.mark.parametrize("count", [3, 10, 40])
def test_fewer_samples_than_features(count):
    # Features in a subspace: the distance is that within the subspace, where it has full rank.
    inside_1, inside_2 = draw(50, dim=2), draw(50, dim=2, seed=1, shift=0.01)
    frame = rotation(60)[:, :2]
    actual = frechet_distance(gaussian(inside_1 @ frame.T), gaussian(inside_2 @ frame.T))
    expected = scipys(gaussian(inside_1), gaussian(inside_2))
    assert actual == pytest.approx(expected, rel=1e-6)
    # Few samples in many dimensions: equal sets are at distance zero, to the rounding of the trace
    # and not to its square root.
    few = gaussian(draw(count, dim=60))
    assert frechet_distance(few, few) < 1e-12 * np.trace(few.covariance)


def test_subspaces_at_right_angles_share_nothing():
    one, two = np.diag([1.0, 2.0, 0.0, 0.0]), np.diag([0.0, 0.0, 3.0, 4.0])
    assert frechet_distance(Gaussian(np.zeros(4), one), Gaussian(np.zeros(4), two)) == (
        pytest.approx(10, rel=1e-12)
    )


def test_constant_features():
    one, two = np.ones((4, 3)), np.zeros((5, 3))
    assert frechet_distance(gaussian(one), gaussian(two)) == 3


def test_it_is_symmetric_and_zero_on_equal_sets_in_any_order():
    one, two = draw(80), draw(60, seed=1, shift=0.5)
    forth = frechet_distance(gaussian(one), gaussian(two))
    assert forth == pytest.approx(frechet_distance(gaussian(two), gaussian(one)), rel=1e-12)
    shuffled = np.random.default_rng(0).permutation(one)
    trace = np.trace(gaussian(one).covariance)
    assert 0 <= frechet_distance(gaussian(one), gaussian(shuffled)) < 1e-12 * trace


def test_it_grows_with_the_square_of_a_shift_and_of_a_change_of_scale():
    features = draw(80)
    one = gaussian(features)
    for shift in (0.1, 1.0, 10.0):
        moved = frechet_distance(one, gaussian(features + shift))
        assert moved == pytest.approx(6 * shift**2, rel=1e-9)
    centred = features - features.mean(axis=0)
    for scale in (0.5, 1.1, 3.0):
        scaled = frechet_distance(gaussian(centred), gaussian(scale * centred))
        assert scaled == pytest.approx((scale - 1) ** 2 * np.trace(one.covariance), rel=1e-9)


def test_rotating_both_changes_nothing():
    one, two, q = draw(80), draw(60, seed=1, shift=0.5), rotation(6)
    before = frechet_distance(gaussian(one), gaussian(two))
    assert frechet_distance(gaussian(one @ q), gaussian(two @ q)) == pytest.approx(before)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: start_moments(0), "dim: got 0"),
        (lambda: finish_moments(start_moments(3)), "moments: got 0 samples"),
        (lambda: finish_moments(stream(draw(1))), "moments: got 1 samples"),
        (lambda: merge_moments(start_moments(3), start_moments(4)), r"second: got .* \(4,\)"),
        (lambda: frechet_distance(gaussian(draw(9)), gaussian(draw(9, dim=1))), "fake: got .* 1,"),
        (lambda: frechet_distance(stream(draw(9))[:2], gaussian(draw(9))), "real: got mean"),
        (lambda: frechet_distance(PLAIN, Gaussian(np.array([0, np.nan]), np.eye(2))), "fake.mean"),
        (
            lambda: frechet_distance(Gaussian(np.zeros(2), np.full((2, 2), np.inf)), PLAIN),
            "real.covariance: got 4 of 4",
        ),
    ],
)
def test_errors(call, named):
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        call()


PLAIN = Gaussian(np.zeros(2), np.eye(2))


def test_moments_are_a_plain_tuple():
    # So that they can be saved with numpy.savez and made again from what was saved.
    moments = stream(draw(5))
    assert isinstance(moments, tuple)
    again = Moments(*(np.asarray(part) for part in moments))
    np.testing.assert_array_equal(finish_moments(again).covariance, gaussian(draw(5)).covariance)
