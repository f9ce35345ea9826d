"""The embedded MNIST digits."""

import functools
import gzip
import importlib.resources

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan.errors import UserError

_FILE_PREFIX = {"train": "train", "test": "t10k"}
_NUM_EXAMPLES = {"train": 60_000, "test": 10_000}
_HELD_OUT = 5_000
_PARTS = {"train_part": slice(None, -_HELD_OUT), "validation": slice(-_HELD_OUT, None)}


def mnist(split: str) -> RandomAccessDataSource:
    """Returns the MNIST digits that come with the package.

    Args:
        split: "train" (60,000 digits) or "test" (10,000); or "validation", the last 5,000 of
            "train", or "train_part", the 55,000 before them, see `splits`.

    Returns:
        A Grain random access source of {"image": uint8 (28, 28, 1), "label": int32 scalar}, with
        `num_classes` 10. Both arrays of a file stay in memory (47 MB for "train"), once per
        process however many sources are made.

    Raises:
        UserError: `split` is none of these.

    Examples:
        >>> mnist("train")[0]["label"]
        np.int32(5)
    """
    if split not in _FILE_PREFIX and split not in _PARTS:
        known = ", ".join(map(repr, (*_FILE_PREFIX, *_PARTS)))
        raise UserError(f"split: got {split!r}, expected one of {known}")
    return _Mnist(split)


class _Mnist:
    num_classes = 10

    def __init__(self, split):
        self._split = split
        self._images, self._labels = _load_split(split)

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        return {"image": self._images[index], "label": self._labels[index]}

    def __repr__(self):
        return f"mnist({self._split!r})"

    def __reduce__(self):
        # The arrays are in the package: a worker process reads them there, not from the pickle.
        return _Mnist, (self._split,)


@functools.cache
def _load_split(split):
    if split in _PARTS:
        return tuple(array[_PARTS[split]] for array in _load_split("train"))
    prefix, count = _FILE_PREFIX[split], _NUM_EXAMPLES[split]
    images = _read_idx(f"{prefix}-images-idx3-ubyte.gz", (count, 28, 28))
    labels = _read_idx(f"{prefix}-labels-idx1-ubyte.gz", (count,)).astype(np.int32)
    images = images[..., None]
    # They are shared by every source of the process, so nobody may write into them.
    labels.flags.writeable = False
    return images, labels


def _read_idx(name, shape):
    """Reads one IDX file: magic 0x0000080<rank>, the dimensions (big-endian uint32), the bytes."""
    packed = (importlib.resources.files("jaxgan.data") / "mnist_files" / name).read_bytes()
    return _parse_idx(gzip.decompress(packed), shape, name)


def _parse_idx(content, shape, name):
    header = np.array([0x0800 + len(shape), *shape], ">u4").tobytes()
    if not content.startswith(header) or len(content) != len(header) + np.prod(shape):
        raise RuntimeError(f"{name} of the installed package is not the IDX file of shape {shape}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
