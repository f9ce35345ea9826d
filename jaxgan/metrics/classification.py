"""Accuracy of conditional samples: does a classifier see the class that was asked for?"""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_ids, check_rows

__all__ = ["ClassCounts", "accuracy", "class_accuracy", "count_right"]


class ClassCounts(NamedTuple):
    """What a pass over samples keeps.

    Attributes:
      right: (C,) int64, samples of each requested class that the classifier puts in it.
      count: (C,) int64, samples requested of each class.
    """

    right: np.ndarray
    count: np.ndarray  # type: ignore[assignment]


def count_right(predicted: ArrayLike, requested: ArrayLike, num_classes: int) -> ClassCounts:
    """The counts of one batch.

    Args:
      predicted: (N, C) float, the classifier's logits, of which the greatest wins (the first of
        equals); or (N,) integers, the classes themselves.
      requested: (N,) integers, the classes that the samples were generated for.
      num_classes: C.

    Returns:
      The `ClassCounts`.

    Raises:
      UserError: arrays of other shapes or types, of different lengths, logits that are not finite,
        classes out of range.

    Examples:
      >>> count_right(np.array([0, 1, 1]), np.array([0, 0, 1]), 3).right.tolist()
      [1, 1, 0]

    Source: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs",
    section 4.1.
    """
    requested = check_ids("requested", requested, num_classes)
    if np.ndim(predicted) == 2:
        predicted = np.argmax(check_rows("predicted", predicted, columns=num_classes), axis=1)
    predicted = check_ids("predicted", predicted, num_classes)
    if predicted.shape != requested.shape:
        raise UserError(
            f"requested: got {len(requested)} classes for {len(predicted)} samples, expected one "
            "for each"
        )
    return ClassCounts(
        np.bincount(requested[predicted == requested], minlength=num_classes),
        np.bincount(requested, minlength=num_classes),
    )


def accuracy(counts: ClassCounts) -> float:
    """The share of all samples that are of the class requested.

    Args:
      counts: from `count_right`.

    Returns:
      0 to 1; every sample weighs the same, whatever its class.

    Examples:
      >>> accuracy(count_right(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 2))
      0.75
    """
    return int(np.sum(counts.right)) / int(np.sum(counts.count))


def class_accuracy(counts: ClassCounts) -> np.ndarray:
    """The same share for each requested class.

    Args:
      counts: from `count_right`.

    Returns:
      (C,) float64, NaN for a class that was never requested.

    Examples:
      >>> class_accuracy(count_right(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 3))
      array([0.5, 1. , nan])
    """
    share = np.full(len(counts.count), np.nan)
    return np.divide(counts.right, counts.count, out=share, where=counts.count > 0)
