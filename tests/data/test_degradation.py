"""Degraded images: against Pillow's JPEG, and convolutions and noise worked out in NumPy."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgan import UserError, data
from jaxgan.data.degradation import (
    FILTERS,
    blur_and_resize,
    degrade,
    jpeg,
    sensor_noise,
)

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def emoji():
    source = data.emoji("test")
    return np.stack([source[number]["image"] for number in range(0, 40, 5)])


@pytest.mark.parametrize("quality", [5, 30, 50, 75, 95])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_pillows(emoji, quality, mode):
    """Whose transform is in whole numbers: here and there a frequency is rounded otherwise."""
    images = np.stack([np.array(Image.fromarray(image).convert(mode)) for image in emoji])
    expected = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=0)
        expected.append(np.array(Image.open(file)))
    images = images.reshape(*images.shape[:3], -1)
    made = np.asarray(jax.jit(jpeg)(jnp.float32(images) / 255, quality)) * 255
    error = np.abs(made - np.stack(expected).reshape(images.shape))
    assert np.mean(error) < 0.6
    # By another table it would differ by about as much as the compression itself.
    assert np.mean(error) < 0.3 * np.mean(np.abs(made - images))


def test_each_image_has_a_quality_of_its_own(emoji):
    images = jnp.float32(emoji[:2]) / 255
    both = jpeg(images, jnp.array([10.0, 90.0]))
    np.testing.assert_array_equal(both[0], jpeg(images[:1], 10.0)[0])
    np.testing.assert_array_equal(both[1], jpeg(images[1:], 90.0)[0])
    assert jnp.mean(jnp.abs(both[0] - images[0])) > 2 * jnp.mean(jnp.abs(both[1] - images[1]))


def test_a_blur_is_a_convolution_with_a_gaussian():
    """Of one deviation, and no resizing: in NumPy, with the border repeated."""
    image = np.random.default_rng(0).uniform(size=(12, 9))
    made = blur_and_resize(jnp.float32(image)[None, ..., None], KEY, image.shape, sigma=(1.2, 1.2))
    away = np.arange(-20, 21)
    kernel = np.exp(-0.5 * (away / 1.2) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, 20, mode="edge")
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="same")
    np.testing.assert_allclose(made[0, ..., 0], padded[20:-20, 20:-20], atol=1e-5)


def test_a_resizing_is_by_one_of_the_filters(emoji):
    images = jnp.float32(emoji) / 255
    made = blur_and_resize(images, KEY, (16, 16), sigma=(1e-3, 1e-3))
    shape = (len(images), 16, 16, 3)
    by = [jnp.clip(jax.image.resize(images, shape, method), 0, 1) for method in FILTERS]
    errors = np.array([np.abs(made - each).max(axis=(1, 2, 3)) for each in by])
    assert errors.min(axis=0).max() < 1e-5
    assert len(set(errors.argmin(axis=0))) == len(FILTERS)


def test_noise_has_the_deviation_of_light_or_one_for_all():
    """Dark and bright pixels are as noisy as each other, or as the root of their light."""
    images = jnp.stack([jnp.full((64, 64, 3), 0.16), jnp.full((64, 64, 3), 0.64)], axis=1)
    images = jnp.broadcast_to(images.reshape(1, 64, 128, 3), (64, 64, 128, 3))
    noise = np.asarray(sensor_noise(images, KEY, deviation=0.02) - images)
    dark, bright = (noise.reshape(64, 64, 2, 64, 3)[:, :, side].std((1, 2)) for side in (0, 1))
    ratio = bright.mean(-1) / dark.mean(-1)
    of_light = np.abs(ratio - 2) < 0.1
    assert np.all(of_light | (np.abs(ratio - 1) < 0.05))
    assert 20 <= of_light.sum() <= 44
    assert np.abs(noise.mean()) < 1e-4
    deviations = np.where(of_light, dark.mean(-1) / 0.4, dark.mean(-1))
    assert deviations.max() < 0.021
    assert abs(deviations.mean() - 0.01) < 0.003
    grey = np.all(noise[..., :1] == noise, axis=(1, 2, 3))
    assert 14 <= grey.sum() <= 38


def test_small_images_are_pure_draws_of_their_key(emoji):
    images = jnp.float32(emoji) / 255
    one, again, other = (degrade(images, key) for key in (KEY, KEY, jax.random.key(1)))
    assert one.shape == (len(emoji), 16, 16, 3)
    np.testing.assert_array_equal(one, again)
    assert jnp.all(jnp.mean(jnp.abs(one - other), axis=(1, 2, 3)) > 0)
    small = images.reshape(-1, 16, 4, 16, 4, 3).mean((2, 4))
    # Nearer to the means of 4 x 4 pixels than another image is, and not as near as without it all.
    error = jnp.mean(jnp.abs(one - small))
    assert 0.01 < error < 0.3 * jnp.mean(jnp.abs(jnp.roll(small, 1, axis=0) - small))


@pytest.mark.parametrize(
    ("function", "images", "expected"),
    [
        (degrade, jnp.zeros((1, 48, 64, 3)), r"got sides \(48, 64\), expected multiples of 32"),
        (lambda x, _: jpeg(x, 50), jnp.zeros((1, 12, 8, 3)), "expected multiples of 8"),
        (degrade, jnp.zeros((64, 64, 3)), "expected floats"),
        (degrade, jnp.zeros((1, 64, 64, 3), jnp.int32), "got int32"),
    ],
)
def test_what_cannot_be_degraded_is_refused(function, images, expected):
    with pytest.raises(UserError, match=f"^images: .*{expected}"):
        function(images, KEY)
