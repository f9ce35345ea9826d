import gzip
import hashlib
import importlib.resources
import pickle
import re

import numpy as np
import pytest

from jaxgan.data import mnist
from jaxgan.data.mnist import _parse_idx
from jaxgan.errors import UserError

FILES = importlib.resources.files("jaxgan.data") / "mnist_files"
MD5_TABLE = re.findall(
    r"^\| (\S+-ubyte) \| ([0-9a-f]{32}) \|$", (FILES / "README.md").read_text(), re.M
)


def test_the_readme_lists_four_files():
    assert len(MD5_TABLE) == 4


@pytest.mark.parametrize(("name", "md5"), MD5_TABLE)
def test_files_are_the_published_ones(name, md5):
    content = gzip.decompress((FILES / f"{name}.gz").read_bytes())
    assert hashlib.md5(content).hexdigest() == md5


@pytest.mark.parametrize(
    ("split", "length", "first_labels"),
    [
        ("train", 60_000, [5, 0, 4, 1, 9]),
        ("test", 10_000, [7, 2, 1, 0, 4]),
    ],
)
def test_known_facts(split, length, first_labels):
    source = mnist(split)
    assert len(source) == length
    assert source.num_classes == 10
    assert [int(source[i]["label"]) for i in range(5)] == first_labels
    image, label = source[0]["image"], source[length - 1]["label"]
    assert image.shape == (28, 28, 1)
    assert image.dtype == np.uint8
    assert label.dtype == np.int32
    assert label.shape == ()
    assert (image.min(), image.max()) == (0, 255)


def test_every_digit_of_the_test_split_is_counted():
    source = mnist("test")
    counts = np.bincount([source[i]["label"] for i in range(len(source))])
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_examples_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        mnist("test")[0]["image"][...] = 0


def test_pickle_is_small_and_equal():
    pickled = pickle.dumps(mnist("test"))
    assert len(pickled) < 200
    again = pickle.loads(pickled)
    assert repr(again) == repr(mnist("test")) == "mnist('test')"
    np.testing.assert_array_equal(again[3]["image"], mnist("test")[3]["image"])


@pytest.mark.parametrize("split", ["val", None, 3])
def test_unknown_split(split):
    with pytest.raises(
        UserError, match=r"^split: got .*, expected one of 'train', 'test', 'train_part', .*"
    ):
        mnist(split)


IDX = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])


def test_idx_is_parsed():
    assert _parse_idx(IDX, (3,), "x").tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\x08\x03" + IDX[4:],
        IDX[:-1],
        IDX + b"\0",
        IDX[:7] + b"\4" + IDX[8:],
    ],
)
def test_damaged_idx(content):
    with pytest.raises(RuntimeError, match="is not the IDX file"):
        _parse_idx(content, (3,), "x")
