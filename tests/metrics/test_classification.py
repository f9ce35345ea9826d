"""Accuracy of conditional samples, by hand and against loops."""

import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.metrics import accuracy, class_accuracy, count_right


def draw(count=80, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    requested = rng.integers(0, classes - 1, count)  # the last class is never requested
    logits = rng.standard_normal((count, classes)) + np.eye(classes)[requested]
    return logits, requested


def test_by_hand():
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [-3.0, -2.0, -1.0], [0.0, 1.0, 0.5]])
    counts = count_right(logits, np.array([0, 0, 2, 1]), 3)
    assert counts.right.tolist() == [1, 1, 1]
    assert counts.count.tolist() == [2, 1, 1]
    assert accuracy(counts) == 0.75
    assert class_accuracy(counts).tolist() == [0.5, 1.0, 1.0]


def test_against_loops_from_logits_and_from_predictions():
    logits, requested = draw()
    predicted = [row.index(max(row)) for row in logits.tolist()]
    pairs = list(zip(predicted, requested.tolist(), strict=True))
    for given in (logits, logits.astype(np.float32), np.array(predicted)):
        counts = count_right(given, requested, 5)
        assert accuracy(counts) == sum(p == r for p, r in pairs) / 80
        for label, share in enumerate(class_accuracy(counts)[:-1]):
            of_class = [p == label for p, r in pairs if r == label]
            assert share == sum(of_class) / len(of_class)
        assert np.isnan(class_accuracy(counts)[-1])
    assert 0 < accuracy(counts) < 1


def test_every_sample_weighs_the_same_in_the_total_and_within_its_class():
    counts = count_right(np.array([0] * 9 + [0]), np.array([0] * 9 + [1]), 2)
    assert accuracy(counts) == 0.9
    assert class_accuracy(counts).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("predicted", "requested", "named"),
    [
        (np.zeros(3, int), np.zeros(4, int), "requested: got 4 classes for 3 samples"),
        (np.zeros((3, 2)), np.zeros(4, int), "requested: got 4 classes for 3 samples"),
        (np.zeros((3, 2)), np.zeros(1, int), "requested: got 1 classes for 3 samples"),
        (np.zeros((3, 3)), np.zeros(3, int), "predicted: got 3 columns, expected 2"),
        (np.full((3, 2), np.nan), np.zeros(3, int), "predicted: got 6 of 6 values not finite"),
        (np.zeros(3), np.zeros(3, int), "predicted: got dtype float64"),
        (np.zeros((3, 2), int), np.zeros(3, int), "predicted: got dtype int64"),
        (np.zeros((3, 2, 1)), np.zeros(3, int), r"predicted: got shape \(3, 2, 1\)"),
        (np.full(3, 2), np.zeros(3, int), "predicted: got ids from 2 to 2"),
        (np.zeros(3, int), np.full(3, -1), "requested: got ids from -1 to -1"),
        (np.zeros(3, int), np.zeros((3, 2)), r"requested: got shape \(3, 2\)"),
        (np.zeros(3, int), np.zeros(3), "requested: got dtype float64"),
    ],
)
def test_errors(predicted, requested, named):
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        count_right(predicted, requested, 2)
