"""Two domains of digits, plain and coloured, between which the right translation is known."""

import functools

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan.data.mnist import mnist
from jaxgan.errors import UserError

# So dark that most pixels are near those of the other domain: a third of the identity map's error
# is then less than the mean image's, and cannot be had by painting the ground.
_GROUND = np.array([0.05, 0.12, 0.22], np.float32)
_APART = ("train", "train_part")
_OUTLINE = np.array([1.0, 0.95, 0.82], np.float32)


def recolour(grey: np.ndarray) -> np.ndarray:
    """The fixed transformation of white digits on black: coloured, outlined, on a dark blue ground.

        ground (1 - D) + outline (D - I) + colour(i, j) I

    I is the ink, in [0, 1], and D its dilation, the largest ink of the 3x3 pixels around: what D
    has more than I is a border of one pixel around the stroke. The colour is a smooth field of the
    place in the image.

    Args:
        grey: uint8 (..., H, W, 1).

    Returns:
        uint8 (..., H, W, 3).

    Raises:
        UserError: other images.

    Examples:
        >>> recolour(np.zeros((28, 28, 1), np.uint8))[0, 0]
        array([13, 31, 56], dtype=uint8)
    """
    if grey.dtype != np.uint8 or grey.ndim < 3 or grey.shape[-1] != 1:
        raise UserError(f"grey: got {grey.dtype} {grey.shape}, expected uint8 (..., H, W, 1)")
    ink, dilated = (np.asarray(x, np.float32) / 255 for x in (grey, _dilate(grey)))
    colours = _colours(*grey.shape[-3:-1])
    image = _GROUND * (1 - dilated) + _OUTLINE * (dilated - ink) + colours * ink
    return np.rint(255 * image).astype(np.uint8)


def _dilate(grey):
    for axis in (-3, -2):
        beside = [(0, 0)] * grey.ndim
        beside[axis] = (1, 1)
        padded = np.pad(grey, beside)
        length = grey.shape[axis]
        shifted = (np.take(padded, range(i, i + length), axis) for i in range(3))
        grey = functools.reduce(np.maximum, shifted)
    return grey


@functools.cache
def _colours(height, width):
    """(H, W, 3): red at the top left, over green, to blue at the bottom right."""
    down, right = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    along = 0.5 * (down[:, None] + right[None, :])
    peaks = np.array([0.28, 0.5, 0.72])
    colours = 0.1 + 0.85 * np.exp(-0.5 * ((along[..., None] - peaks) / 0.13) ** 2)
    return colours.astype(np.float32)


def digit_domains(
    split: str, paired: bool = False
) -> tuple[RandomAccessDataSource, RandomAccessDataSource]:
    """Returns MNIST digits as they are, and other digits after `recolour`.

    In "train" and "train_part" no digit is in both: the domains are those of even and of odd
    number. In "test" and "validation", and wherever they are paired, example i of b is what example
    i of a should become, and the other way.

    Args:
        split: "train" (30,000 digits each), "test" (10,000 each), "train_part" (27,500 each) or
            "validation" (5,000 each).
        paired: "train" and "train_part" have all digits in both domains, 60,000 and 55,000 each.

    Returns:
        (domain a, domain b), Grain random access sources of {"image": uint8 (28, 28, 3), "label":
        int32 scalar}, with `num_classes` 10; the three channels of a are equal.

    Raises:
        UserError: `split` is none of these.

    Examples:
        >>> a, b = digit_domains("test")
        >>> np.array_equal(b[3]["image"], recolour(a[3]["image"][..., :1]))
        True
    """
    mnist(split)  # refuses an unknown split
    return _Digits(split, "a", paired), _Digits(split, "b", paired)


class _Digits:
    num_classes = 10

    def __init__(self, split, domain, paired):
        self._split = split
        self._domain = domain
        self._paired = paired
        self._digits = mnist(split)
        everything = range(len(self._digits))
        apart = split in _APART and not paired
        self._numbers = everything["ab".index(domain) :: 2] if apart else everything

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, index):
        example = self._digits[self._numbers[index]]
        image = example["image"]
        image = np.repeat(image, 3, axis=-1) if self._domain == "a" else recolour(image)
        return {**example, "image": image}

    def __reduce__(self):
        # As with `mnist`: the arrays are in the package, not in the pickle.
        return _Digits, (self._split, self._domain, self._paired)

    def __repr__(self):
        return f"digit_domains({self._split!r}), domain {self._domain}"
