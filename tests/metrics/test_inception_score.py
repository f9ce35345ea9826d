"""The inception score against its definition in SciPy."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from jaxgan import UserError
from jaxgan.metrics import (
    add_logits,
    finish_inception,
    inception_score,
    merge_inception,
    start_inception,
)


def draw(count=60, classes=5, seed=0, scale=2.0):
    return scale * np.random.default_rng(seed).standard_normal((count, classes))


def definition(logits):
    p = softmax(logits, axis=1)
    return math.exp(np.mean([entropy(row, np.mean(p, axis=0)) for row in p]))


def stream(logits, sizes):
    sums = start_inception(logits.shape[1])
    for batch in np.split(logits, np.cumsum(sizes)[:-1]):
        sums = add_logits(sums, batch)
    return sums


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
def test_the_definition(scale):
    logits = draw(scale=scale)
    assert finish_inception(stream(logits, [60])) == pytest.approx(definition(logits), rel=1e-12)


@pytest.mark.parametrize("sizes", [[60], [1] * 60, [59, 1], [20, 33, 7]], ids=str)
def test_batches_may_be_split_in_any_way(sizes):
    logits = draw()
    sums = stream(logits, sizes)
    assert sums.count == 60
    assert finish_inception(sums) == pytest.approx(definition(logits), rel=1e-12)


def test_streams_of_several_workers_are_merged():
    logits = draw()
    merged = merge_inception(stream(logits[:13], [13]), stream(logits[13:], [40, 7]))
    assert finish_inception(merged) == pytest.approx(definition(logits), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("far", [40.0, 1e4])
def test_its_bounds(classes, far):
    sure = far * np.eye(classes)

    def score(logits):
        return finish_inception(stream(logits, [len(logits)]))

    assert score(sure) == pytest.approx(classes, rel=1e-9)  # each class once, and surely
    assert score(np.tile(sure[:1], (4, 1))) == pytest.approx(1)  # one class alone
    assert score(np.zeros((4, classes))) == pytest.approx(1)  # nothing clear
    # Half of the classes.
    assert score(sure[: classes // 2]) == pytest.approx(classes // 2, rel=1e-9)


def test_a_shift_of_a_samples_logits_changes_nothing():
    logits = draw()
    shift = 1e3 * np.arange(60)[:, None]
    assert finish_inception(stream(logits + shift, [60])) == pytest.approx(definition(logits))


def test_order_does_not_matter():
    logits = draw()
    shuffled = np.random.default_rng(0).permutation(logits)
    assert inception_score(shuffled).mean == pytest.approx(inception_score(logits).mean)


@pytest.mark.parametrize("splits", [1, 2, 7, 60])
def test_splits(splits):
    logits = draw()
    scores = [definition(part) for part in np.array_split(logits, splits)]
    mean, std = inception_score(logits, splits=splits)
    assert mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert std == pytest.approx(math.sqrt(np.mean((scores - np.mean(scores)) ** 2)), abs=1e-12)


def test_half_precision_is_summed_in_float64():
    logits = draw(3000).astype(np.float16)
    expected = definition(logits.astype(np.float64))
    assert inception_score(logits).mean == pytest.approx(expected, rel=1e-12)


def test_the_callers_logits_stay_as_they_are():
    logits = draw()
    before = logits.copy()
    inception_score(logits)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: start_inception(1), "num_classes: got 1"),
        (lambda: finish_inception(start_inception(5)), "sums: got 0 samples"),
        (lambda: merge_inception(start_inception(5), start_inception(4)), "second: got sums of 4"),
        (lambda: inception_score(draw(), splits=0), "splits: got 0"),
        (lambda: inception_score(draw(), splits=61), "splits: got 61"),
        (lambda: inception_score(draw(classes=1)), "num_classes: got 1"),
    ],
)
def test_errors(call, named):
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        call()
