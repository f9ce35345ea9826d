"""The few labelled examples of a semi-supervised game."""

import numpy as np

from jaxgan.data.order import is_int
from jaxgan.errors import UserError


def balanced_subset(labels: np.ndarray, count: int, *, num_classes: int, seed: int) -> np.ndarray:
    """Draws as many examples of each class.

    Subsets of one seed are nested: that of 50 examples is part of that of 100.

    Args:
        labels: (N,) int, the class of each example.
        count: how many examples.
        num_classes: how many classes there are.
        seed: a non-negative integer.

    Returns:
        int32 (count,), the numbers of the examples, in increasing order.

    Raises:
        UserError: a `count` below 1, not divisible by the classes, or larger than the data or than
            their rarest class allows; a seed out of its range.

    Examples:
        >>> balanced_subset(np.array([0, 0, 0, 1, 1, 1]), 4, num_classes=2, seed=0)
        array([0, 2, 3, 5], dtype=int32)
    """
    if not is_int(seed) or seed < 0:
        raise UserError(f"seed: got {seed!r}, expected a non-negative integer")
    if not is_int(count) or count < 1 or count % num_classes:
        raise UserError(
            f"labels: got {count!r}, expected a positive multiple of the {num_classes} classes"
        )
    if count > len(labels):
        raise UserError(
            f"labels: got {count}, expected at most {len(labels)}, the size of the data"
        )
    members = [np.flatnonzero(labels == label) for label in range(num_classes)]
    rarest = int(np.argmin([len(numbers) for numbers in members]))
    most = len(members[rarest]) * num_classes
    if count > most:
        raise UserError(
            f"labels: got {count}, expected at most {most}, since class {rarest} has "
            f"{len(members[rarest])} examples"
        )
    drawn = [
        np.random.default_rng((seed, label)).permutation(numbers)[: count // num_classes]
        for label, numbers in enumerate(members)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int32)
