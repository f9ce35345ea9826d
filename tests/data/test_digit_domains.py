"""The digits whose right translation is known."""

import pickle

import numpy as np
import pytest

from jaxgan.data import digit_domains, mnist, recolour
from jaxgan.errors import UserError


def pixel_by_pixel(grey):
    """The transformation once more, one pixel after the other."""
    height, width = grey.shape[:2]
    ink = grey[..., 0] / 255
    image = np.empty((height, width, 3))
    for i in range(height):
        for j in range(width):
            around = ink[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].max()
            along = 0.5 * ((i + 0.5) / height + (j + 0.5) / width)
            colour = [
                0.1 + 0.85 * np.exp(-((along - peak) ** 2) / (2 * 0.13**2))
                for peak in (0.28, 0.50, 0.72)
            ]
            for c, (ground, outline) in enumerate(((0.05, 1.0), (0.12, 0.95), (0.22, 0.82))):
                image[i, j, c] = (
                    (1 - around) * ground + (around - ink[i, j]) * outline + ink[i, j] * colour[c]
                )
    return 255 * image


@pytest.mark.parametrize("shape", [(28, 28, 1), (5, 9, 1)])
def test_it_is_the_formula(shape):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, shape).astype(np.uint8)
    grey[2:4] = 0
    # To a half and float32's rounding.
    np.testing.assert_allclose(recolour(grey), pixel_by_pixel(grey), atol=0.5001)


def test_many_at_once_are_each_alone():
    images = np.stack([mnist("test")[i]["image"] for i in range(6)])
    alone = [recolour(image) for image in images]
    np.testing.assert_array_equal(recolour(images), alone)
    np.testing.assert_array_equal(recolour(images.reshape(2, 3, 28, 28, 1))[1, 2], alone[5])
    assert alone[0].dtype == np.uint8


def test_the_halves_of_training_share_no_digit():
    digits, (a, b) = mnist("train"), digit_domains("train")
    assert len(a) == len(b) == 30_000
    for i in (0, 1, 12_345, 29_999):
        np.testing.assert_array_equal(a[i]["image"], np.repeat(digits[2 * i]["image"], 3, -1))
        np.testing.assert_array_equal(b[i]["image"], recolour(digits[2 * i + 1]["image"]))
        assert a[i]["label"] == digits[2 * i]["label"]
        assert b[i]["label"] == digits[2 * i + 1]["label"]
    assert a.num_classes == b.num_classes == 10


def test_the_truth_of_a_test_digit_has_its_number():
    a, b = digit_domains("test")
    assert len(a) == len(b) == 10_000
    for i in (0, 1, 9_999):
        np.testing.assert_array_equal(b[i]["image"], recolour(a[i]["image"][..., :1]))
        assert a[i]["label"] == b[i]["label"] == mnist("test")[i]["label"]


def test_the_domains_are_far_apart_and_the_mean_is_no_answer():
    """What the goal of a third of the identity map's error is worth."""
    a, b = (
        np.stack([source[i]["image"] for i in range(500)]) / 255 for source in digit_domains("test")
    )
    identity, mean = np.mean((a - b) ** 2), np.mean((b - b.mean(0)) ** 2)
    assert identity > 0.1
    assert mean > identity / 3


def test_an_index_beyond_the_end_is_refused():
    for source in digit_domains("train"):
        with pytest.raises(IndexError):
            source[30_000]


def test_pickle():
    a, b = digit_domains("test")
    again = pickle.loads(pickle.dumps(b))
    assert len(pickle.dumps(b)) < 500
    np.testing.assert_array_equal(again[7]["image"], b[7]["image"])
    assert repr(a) == "digit_domains('test'), domain a"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: digit_domains("valid"), "split: got 'valid', expected one of 'train', 'test'"),
        (lambda: recolour(np.zeros((28, 28, 1))), r"grey: got float64 \(28, 28, 1\), expected"),
        (lambda: recolour(np.zeros((28, 28), np.uint8)), r"grey: got uint8 \(28, 28\)"),
        (lambda: recolour(np.zeros((28, 28, 3), np.uint8)), r"grey: got uint8 \(28, 28, 3\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(UserError, match=f"^{message}"):
        call()
