import numpy as np
import pytest
from PIL import Image

from jaxgan.data import prepare_image
from jaxgan.errors import UserError


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def scaled(pixels):
    return (np.asarray(pixels, np.float64) / 127.5 - 1).astype(np.float32)


def test_what_fits_is_only_scaled():
    image = noise(9, 9, 3)
    prepared = prepare_image(image, 9, 3)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, scaled(image), atol=1e-6)


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0), (0.1, 0.3), (-3, 7)])
def test_ends_of_the_range_are_exact(value_range):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    prepared = prepare_image(values, 16, 1, value_range).ravel()
    low, high = value_range
    assert prepared[0] == np.float32(low)
    assert prepared[255] == np.float32(high)
    np.testing.assert_allclose(
        prepared, low + (high - low) * np.arange(256) / 255, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (6, 10, (0, 6), (2, 8)),
        (11, 6, (2, 8), (0, 6)),
        (6, 7, (0, 6), (0, 6)),
    ],
)
def test_centre_crop(height, width, rows, columns):
    image = noise(height, width, 1)
    expected = scaled(image[slice(*rows), slice(*columns)])
    np.testing.assert_allclose(prepare_image(image, 6, 1), expected, atol=1e-6)


@pytest.mark.parametrize("size", [5, 64])
def test_resize_is_bicubic_of_the_crop_alone(size):
    image = noise(20, 31, 3)
    crop = Image.fromarray(np.ascontiguousarray(image[:, 5:25]))
    expected = scaled(crop.resize((size, size), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(prepare_image(image, size, 3), expected, atol=1e-6)


def test_shrinking_does_not_alias():
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    assert np.abs(prepare_image(checkers, 8, 1)).max() < 0.05


def test_grey_of_colours():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0], image[0, 1], image[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    grey = (prepare_image(image, 2, 1, (0.0, 255.0))[..., 0]).ravel()
    np.testing.assert_allclose(grey, [0.299 * 255, 0.587 * 255, 0.114 * 255, 0], atol=1)


@pytest.mark.parametrize("size", [8, 12])
def test_grey_to_colour_repeats_the_channel(size):
    image = noise(8, 8, 1)
    coloured = prepare_image(image, size, 3)
    assert coloured.shape == (size, size, 3)
    for channel in range(3):
        np.testing.assert_array_equal(coloured[..., [channel]], prepare_image(image, size, 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 0}, "image_size: got 0, expected a positive integer"),
        ({"image_size": 8.0}, "image_size: got 8.0, expected a positive integer"),
        ({"image_size": True}, "image_size: got True, expected a positive integer"),
        ({"channels": 2}, r"channels: got 2, expected 1 \(grey\) or 3 \(RGB\)"),
        ({"channels": "3"}, r"channels: got '3', expected"),
        ({"value_range": (1.0, 1.0)}, r"value_range: got \(1.0, 1.0\), expected finite low < high"),
        ({"value_range": (0.0, float("inf"))}, "value_range: got"),
        ({"value_range": 1.0}, "value_range: got 1.0"),
        ({"value_range": ("a", "b")}, "value_range: got"),
        ({"image": noise(8, 8)}, r"image: got uint8 \(8, 8\), expected uint8 \(H, W, 1 or 3\)"),
        ({"image": noise(8, 8, 4)}, r"image: got uint8 \(8, 8, 4\)"),
        ({"image": noise(8, 8, 3).astype(np.float32)}, "image: got float32"),
    ],
)
def test_bad_input(fields, message):
    good = {"image": noise(8, 8, 3), "image_size": 8, "channels": 3}
    with pytest.raises(UserError, match=f"^{message}"):
        prepare_image(**(good | fields))
