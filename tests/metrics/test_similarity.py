"""SSIM against loops over windows and scipy.ndimage, and the mean squared error."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxgan import UserError
from jaxgan.metrics import mean_squared_error, ssim


def draw(shape=(3, 14, 17, 2), seed=0, data_range=1.0):
    return np.random.default_rng(seed).uniform(0, data_range, shape)


def pair(noise=0.2, **options):
    images = draw(**options)
    spread = noise * options.get("data_range", 1.0)
    references = images + spread * np.random.default_rng(9).standard_normal(images.shape)
    return images, np.clip(references, 0, options.get("data_range", 1.0))


def by_loops(x, y, data_range):
    """One window after another, with its 121 weights in full."""
    weights = np.array(
        [
            [math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)]
            for i in range(11)
        ]
    )
    weights /= weights.sum()
    c_1, c_2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    batch, height, width, channels = x.shape
    values = np.zeros(batch)
    for b in range(batch):
        terms = []
        for i, j, c in itertools.product(range(height - 10), range(width - 10), range(channels)):
            u, v = x[b, i : i + 11, j : j + 11, c], y[b, i : i + 11, j : j + 11, c]
            mean_u, mean_v = np.sum(weights * u), np.sum(weights * v)
            variance_u = np.sum(weights * (u - mean_u) ** 2)
            variance_v = np.sum(weights * (v - mean_v) ** 2)
            covariance = np.sum(weights * (u - mean_u) * (v - mean_v))
            terms.append(
                (2 * mean_u * mean_v + c_1)
                * (2 * covariance + c_2)
                / ((mean_u**2 + mean_v**2 + c_1) * (variance_u + variance_v + c_2))
            )
        values[b] = math.fsum(terms) / len(terms)
    return values


def by_ndimage(x, y, data_range):
    def blur(images):
        full = ndimage.gaussian_filter(images, 1.5, axes=(1, 2), radius=5)
        return full[:, 5:-5, 5:-5]

    c_1, c_2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    m_x, m_y = blur(x), blur(y)
    s_xx, s_yy, s_xy = blur(x**2) - m_x**2, blur(y**2) - m_y**2, blur(x * y) - m_x * m_y
    top = (2 * m_x * m_y + c_1) * (2 * s_xy + c_2)
    return np.mean(top / ((m_x**2 + m_y**2 + c_1) * (s_xx + s_yy + c_2)), axis=(1, 2, 3))


@pytest.mark.parametrize("reference", [by_loops, by_ndimage])
@pytest.mark.parametrize("data_range", [1.0, 255.0])
@pytest.mark.parametrize("shape", [(3, 14, 17, 2), (1, 11, 11, 1)], ids=str)
def test_two_other_ways_to_compute_it(reference, data_range, shape):
    x, y = pair(shape=shape, data_range=data_range)
    actual = ssim(x, y, data_range=data_range)
    assert actual.shape == shape[:1]
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, reference(x, y, data_range), rtol=1e-9)
    assert np.all((actual > 0.1) & (actual < 0.99))


def test_equal_images_are_alike():
    x = draw()
    np.testing.assert_allclose(ssim(x, x, data_range=1), 1, rtol=1e-12)
    zeros = np.zeros_like(x)
    np.testing.assert_allclose(ssim(zeros, zeros, data_range=1), 1, rtol=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.7), (0.0, 1.0), (0.5, 0.5)])
def test_of_flat_images_only_the_luminance_is_left(a, b):
    shape = (2, 12, 12, 1)
    expected = (2 * a * b + 0.01**2) / (a**2 + b**2 + 0.01**2)
    actual = ssim(np.full(shape, a), np.full(shape, b), data_range=1)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_a_negative_is_the_opposite():
    # About the middle grey, so that luminances agree and covariances change sign.
    checkers = (np.indices((16, 16)).sum(axis=0) % 2)[None, :, :, None] * 1.0
    assert ssim(checkers, 1 - checkers, data_range=1) < -0.98


def test_it_is_symmetric_falls_with_noise_and_does_not_depend_on_units():
    values = []
    for noise in (0.0, 0.05, 0.2, 0.5):
        x, y = pair(noise)
        values.append(ssim(x, y, data_range=1))
        np.testing.assert_allclose(ssim(y, x, data_range=1), values[-1], rtol=1e-12)
        np.testing.assert_allclose(ssim(255 * x, 255 * y, data_range=255), values[-1], rtol=1e-9)
    assert np.all(np.diff(values, axis=0) < 0)


def test_mean_squared_error():
    x, y = pair()
    expected = [sum((a - b) ** 2 for a, b in zip(u.flat, v.flat, strict=True)) / u.size
                for u, v in zip(x, y, strict=True)]  # fmt: skip
    actual = mean_squared_error(x, y)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    np.testing.assert_allclose(mean_squared_error(y, x), actual, rtol=1e-12)
    np.testing.assert_array_equal(mean_squared_error(x, x), 0)


def similarities(x, y, data_range):
    return np.stack([ssim(x, y, data_range=data_range), mean_squared_error(x, y)])


def test_each_pair_is_judged_alone():
    x, y = pair()
    alone = [similarities(x[i : i + 1], y[i : i + 1], 1) for i in range(len(x))]
    np.testing.assert_allclose(np.concatenate(alone, axis=1), similarities(x, y, 1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, jnp.bfloat16, np.float32])
def test_narrow_types_neither_wrap_nor_round(dtype):
    x, y = (a.astype(dtype) for a in pair(data_range=255.0))
    wide = similarities(x.astype(np.float64), y.astype(np.float64), 255)
    np.testing.assert_array_equal(similarities(x, y, 255), wide)
    np.testing.assert_array_equal(similarities(jnp.asarray(x), jnp.asarray(y), 255), wide)


GOOD = np.zeros((2, 12, 12, 1))
WRONG = {
    "a single image": (GOOD[0], GOOD[0], "images: got shape (12, 12, 1)"),
    "no images": (GOOD[:0], GOOD[:0], "images: got shape (0, 12, 12, 1)"),
    "one reference for all": (GOOD, GOOD[:1], "references: got shape (1, 12, 12, 1)"),
    "other channels": (GOOD, np.zeros((2, 12, 12, 3)), "references: got shape (2, 12, 12, 3)"),
    "NaN": (GOOD * np.nan, GOOD, "images: got 288 of 288 values not finite"),
    "infinite": (GOOD, GOOD + np.inf, "references: got 288 of 288 values not finite"),
    "complex": (GOOD * 1j, GOOD, "images: got dtype complex128"),
}


@pytest.mark.parametrize(("x", "y", "named"), WRONG.values(), ids=WRONG.keys())
def test_wrong_images_are_refused(x, y, named):
    for function in (mean_squared_error, lambda x, y: ssim(x, y, data_range=1)):
        with pytest.raises(UserError) as error:
            function(x, y)
        assert str(error.value).startswith(named)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("x", "y", "data_range", "named"),
    [
        (GOOD[:, :10], GOOD[:, :10], 1, r"images: got shape \(2, 10, 12, 1\), expected 11 x 11"),
        (GOOD - 1, GOOD, 1, r"images: got values from -1 to -1, expected them in \[0, 1\]"),
        (GOOD, GOOD + 255, 1, r"references: got values from 255 to 255"),
        (GOOD, GOOD, 0, "data_range: got 0"),
        (GOOD, GOOD, math.nan, "data_range: got nan"),
        (GOOD, GOOD, -1.0, "data_range: got -1.0"),
    ],
)
def test_what_ssim_alone_refuses(x, y, data_range, named):
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        ssim(x, y, data_range=data_range)
