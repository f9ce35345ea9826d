"""The labelled few: as many of each class, the same for the same seed."""

import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.data import balanced_subset

LABELS = np.random.default_rng(0).integers(0, 5, 400)


def draw(count, seed=0):
    return balanced_subset(LABELS, count, num_classes=5, seed=seed)


def test_each_class_is_drawn_as_often_and_no_example_twice():
    drawn = draw(50)
    assert (drawn.shape, drawn.dtype) == ((50,), np.int32)
    assert np.bincount(LABELS[drawn], minlength=5).tolist() == [10] * 5
    assert np.all(np.diff(drawn) > 0)


def test_the_seed_says_which():
    np.testing.assert_array_equal(draw(50), draw(50))
    assert len(np.intersect1d(draw(50), draw(50, seed=1))) < 25
    assert np.isin(draw(25), draw(50)).all()


def test_every_example_of_a_class_is_as_likely():
    counts = np.zeros(len(LABELS))
    for seed in range(400):
        counts[draw(100, seed)] += 1
    # 20 of a class's n: binomial, within five deviations.
    p = 20 / np.bincount(LABELS)[LABELS]
    assert np.all(np.abs(counts - 400 * p) < 5 * np.sqrt(400 * p * (1 - p)))


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (12, 0, "labels: got 12, expected a positive multiple of the 5 classes"),
        (0, 0, "labels: got 0, expected a positive multiple of the 5 classes"),
        (-5, 0, "labels: got -5, expected a positive multiple of the 5 classes"),
        (10.0, 0, "labels: got 10.0, expected a positive multiple of the 5 classes"),
        (405, 0, "labels: got 405, expected at most 400, the size of the data"),
        (10, -1, "seed: got -1, expected a non-negative integer"),
    ],
)
def test_bad_input_is_told(count, seed, message):
    with pytest.raises(UserError) as error:
        draw(count, seed)
    assert str(error.value) == message


def test_the_rarest_class_bounds_the_number():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    with pytest.raises(UserError, match="labels: got 9, expected at most 6, since class 1 has 2 e"):
        balanced_subset(labels, 9, num_classes=3, seed=0)
    np.testing.assert_array_equal(
        np.bincount(labels[balanced_subset(labels, 6, num_classes=3, seed=0)]), [2, 2, 2]
    )
