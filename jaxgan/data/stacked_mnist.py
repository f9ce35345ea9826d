"""Three MNIST digits in the three channels of an image: a thousand modes, all of them known."""

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan.data.mnist import mnist

_NUM_EXAMPLES = {
    "train": 128_000,
    "test": 26_000,
    "train_part": 128_000,
    "validation": 26_000,
}


def stacked_mnist(split: str) -> RandomAccessDataSource:
    """Returns images whose red, green and blue are a digit each, drawn by chance, the same always.

    Args:
        split: "train" (128,000 images of the 60,000 training digits) or "test" (26,000 of the
            10,000 test digits); or "validation" (26,000 of the last 5,000 training digits) or
            "train_part" (128,000 of the 55,000 before them).

    Returns:
        A Grain random access source of {"image": uint8 (28, 28, 3), "label": int32 scalar}, with
        `num_classes` 1000. The label is 100 a + 10 b + c for the digits a, b, c of the channels.

    Raises:
        UserError: `split` is none of these.

    Examples:
        >>> source = stacked_mnist("train")
        >>> source[0]["image"].shape, len(source)
        ((28, 28, 3), 128000)

    Source: Srivastava et al. 2017, "VEEGAN: Reducing Mode Collapse in GANs using Implicit
    Variational Learning", section 5.2; Lin et al. 2018, "PacGAN: The power of two samples in
    generative adversarial networks", section 4.2, for the number of images.
    """
    return _StackedMnist(split)


class _StackedMnist:
    num_classes = 1000

    def __init__(self, split):
        self._split = split
        self._digits = mnist(split)
        rng = np.random.default_rng(0)
        self._triples = rng.integers(len(self._digits), size=(_NUM_EXAMPLES[split], 3))

    def __len__(self):
        return len(self._triples)

    def __getitem__(self, index):
        digits = [self._digits[i] for i in self._triples[index]]
        label = 0
        for digit in digits:
            label = 10 * label + digit["label"]
        image = np.concatenate([digit["image"] for digit in digits], axis=2)
        return {"image": image, "label": np.int32(label)}

    def __repr__(self):
        return f"stacked_mnist({self._split!r})"

    def __reduce__(self):
        return _StackedMnist, (self._split,)
