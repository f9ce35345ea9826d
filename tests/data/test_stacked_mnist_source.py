import pickle

import numpy as np
import pytest

from jaxgan.data import load, mnist, stacked_mnist
from jaxgan.errors import UserError


@pytest.mark.parametrize(("split", "length"), [("train", 128_000), ("test", 26_000)])
def test_every_channel_is_a_digit_of_the_split_and_the_label_reads_them(split, length):
    source, digits = stacked_mnist(split), mnist(split)
    assert len(source) == length
    assert source.num_classes == 1000
    # The images of a split, by their bytes; no two digits of MNIST are the same picture.
    labels = {}
    for index in range(len(digits)):
        digit = digits[index]
        labels[digit["image"].tobytes()] = digit["label"]
    for index in range(0, length, length // 50):
        example = source[index]
        image = example["image"]
        assert (image.shape, image.dtype) == ((28, 28, 3), np.uint8)
        read = [labels[np.ascontiguousarray(image[..., c : c + 1]).tobytes()] for c in range(3)]
        assert example["label"] == int("".join(map(str, read)))
        assert (example["label"].dtype, example["label"].shape) == (np.int32, ())


def test_the_thousand_modes_are_about_equally_frequent():
    source = stacked_mnist("test")
    counts = np.bincount([source[i]["label"] for i in range(0, len(source), 2)], minlength=1000)
    assert len(counts) == 1000
    # The rarest digit, 5, is 8.9 % of the test digits, the most frequent, 1, 11.4 %.
    assert counts.min() >= 1
    assert counts.max() < 13 * 1.14**3 + 6 * np.sqrt(13 * 1.14**3)


def test_it_is_the_same_always_also_in_another_process():
    first, again = stacked_mnist("train"), pickle.loads(pickle.dumps(stacked_mnist("train")))
    for index in (0, 77, -1):
        np.testing.assert_array_equal(first[index]["image"], again[index]["image"])
    assert len(pickle.dumps(first)) < 200


def test_by_name_and_bad_split():
    assert repr(load("stacked_mnist", "test")) == "stacked_mnist('test')"
    with pytest.raises(UserError, match=r"^split: got 'val', expected one of 'train', 'test', .*"):
        stacked_mnist("val")
