"""Modes caught, high quality and reverse KL, by hand and against SciPy."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from jaxgan import UserError
from jaxgan.metrics import (
    ModeCounts,
    count_modes,
    count_point_modes,
    high_quality_share,
    merge_modes,
    modes_caught,
    reverse_kl,
)

GRID = np.array([[x, y] for x in range(-4, 5, 2) for y in range(-4, 5, 2)], np.float64)


def counts_of(*in_mode):
    return ModeCounts(sum(in_mode), np.array(in_mode))


def around(centres, each, std, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(centres, each, axis=0) + std * rng.standard_normal(
        (each * len(centres), centres.shape[1])
    )


def test_ids_are_counted():
    counts = count_modes(np.array([3, 0, 3, 3, 1]), 5)
    assert counts.count == 5
    assert counts.in_mode.tolist() == [1, 1, 0, 3, 0]
    assert modes_caught(counts) == 3
    assert high_quality_share(counts) == 1


def test_a_thousand_modes_of_stacked_digits():
    digits = np.random.default_rng(0).integers(0, 10, (26_000, 3))
    counts = count_modes(digits @ [100, 10, 1], 1000)
    assert modes_caught(counts) == len({tuple(row) for row in digits.tolist()})


def test_batches_add_up_in_any_order():
    ids = np.random.default_rng(0).integers(0, 7, 50)
    whole = count_modes(ids, 9)
    parts = [count_modes(part, 9) for part in np.split(ids, [1, 20, 44])]
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
        merged = parts[order[0]]
        for which in order[1:]:
            merged = merge_modes(merged, parts[which])
        assert merged.count == whole.count
        np.testing.assert_array_equal(merged.in_mode, whole.in_mode)


# Points.


def test_points_against_loops():
    rng = np.random.default_rng(0)
    points, std, max_stds = rng.uniform(-5, 5, (500, 2)), 0.4, 2.0
    expected = [0] * len(GRID)
    for point in points:
        distances = [math.dist(point, centre) for centre in GRID]
        if min(distances) <= max_stds * std:
            expected[distances.index(min(distances))] += 1
    counts = count_point_modes(points, GRID, std, max_stds=max_stds)
    assert counts.count == 500
    assert counts.in_mode.tolist() == expected
    assert 0 < sum(expected) < 500
    assert high_quality_share(counts) == sum(expected) / 500


def test_a_point_within_reach_of_two_centres_belongs_to_the_nearer():
    centres = np.array([[0.0], [1.0]])
    counts = count_point_modes(np.array([[0.4], [0.6], [0.7]]), centres, std=1.0)
    assert counts.in_mode.tolist() == [1, 2]


@pytest.mark.parametrize("max_stds", [1.0, 3.0])
@pytest.mark.parametrize("std", [0.05, 0.2])
def test_true_samples_are_of_high_quality_as_often_as_the_normal_law_has_it(std, max_stds):
    points = around(GRID, 400, std)
    counts = count_point_modes(points, GRID, std, max_stds=max_stds)
    assert modes_caught(counts) == 25
    expected = 1 - math.exp(-(max_stds**2) / 2)  # Rayleigh's
    spread = math.sqrt(expected * (1 - expected) / len(points))
    assert abs(high_quality_share(counts) - expected) < 5 * spread


def test_three_standard_deviations_are_the_default():
    centre = np.zeros((1, 2))
    points = np.array([[2.99, 0.0], [0.0, 3.0], [3.01, 0.0], [2.5, 2.5]])
    assert count_point_modes(points, centre, 1.0).in_mode.tolist() == [2]


def test_a_collapsed_and_a_scattered_generator():
    collapsed = count_point_modes(around(GRID[3:5], 100, 0.01), GRID, 0.05)
    assert modes_caught(collapsed) == 2
    assert high_quality_share(collapsed) == 1
    assert reverse_kl(collapsed) == pytest.approx(math.log(25 / 2))
    between = count_point_modes(GRID + 1.0, GRID, 0.05)
    assert modes_caught(between) == 0
    assert high_quality_share(between) == 0
    assert math.isnan(reverse_kl(between))


def test_batches_of_points_add_up():
    points = np.random.default_rng(0).uniform(-5, 5, (60, 2))
    whole = count_point_modes(points, GRID, 0.3)
    parts = [count_point_modes(part, GRID, 0.3) for part in np.split(points, [7, 8])]
    merged = merge_modes(merge_modes(parts[0], parts[1]), parts[2])
    assert merged.count == whole.count == 60
    np.testing.assert_array_equal(merged.in_mode, whole.in_mode)


# Reverse KL.


@pytest.mark.parametrize("in_mode", [(5, 1, 0, 2), (1, 1, 1, 1), (0, 0, 9, 0)], ids=str)
@pytest.mark.parametrize("reference", [None, (3, 4, 1, 2)], ids=str)
def test_scipys_relative_entropy(in_mode, reference):
    actual = reverse_kl(counts_of(*in_mode), counts_of(*reference) if reference else None)
    assert actual == pytest.approx(entropy(in_mode, reference or [1] * 4), rel=1e-12, abs=1e-12)


def test_it_is_that_of_generated_from_reference_and_not_the_other_way():
    few, all_ = counts_of(5, 5, 0, 0), counts_of(1, 1, 1, 1)
    assert reverse_kl(few, all_) == pytest.approx(math.log(2))
    assert reverse_kl(all_, few) == math.inf


@pytest.mark.parametrize("reference", [None, (1, 2, 3, 4)], ids=str)
def test_its_bounds(reference):
    frequency = np.array(reference or (1, 1, 1, 1))
    reference = counts_of(*reference) if reference else None
    assert reverse_kl(counts_of(*(7 * frequency)), reference) == pytest.approx(0, abs=1e-12)
    assert reverse_kl(counts_of(*(7 * frequency)), reference) >= 0
    one = reverse_kl(counts_of(9, 0, 0, 0), reference)
    assert one == pytest.approx(math.log(frequency.sum() / frequency[0]))


def test_samples_in_no_mode_do_not_count():
    assert reverse_kl(ModeCounts(100, np.array([3, 1]))) == reverse_kl(counts_of(3, 1))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: count_modes(np.array([0, 5]), 5), r"ids: got ids from 0 to 5, .* \[0, 5\)"),
        (lambda: count_modes(np.array([-1, 2]), 5), "ids: got ids from -1 to 2"),
        (lambda: count_modes(np.array([0.0]), 5), "ids: got dtype float64"),
        (lambda: count_modes(np.array([True]), 5), "ids: got dtype bool"),
        (lambda: count_modes(np.zeros((2, 1), int), 5), r"ids: got shape \(2, 1\)"),
        (lambda: count_modes(np.zeros(0, int), 5), r"ids: got shape \(0,\)"),
        (lambda: count_point_modes(GRID, GRID, 0.0), "std: got 0.0"),
        (lambda: count_point_modes(GRID, GRID, math.nan), "std: got nan"),
        (lambda: count_point_modes(GRID, GRID, 1.0, max_stds=-3), "max_stds: got -3"),
        (lambda: count_point_modes(GRID, GRID, 1.0, max_stds=math.inf), "max_stds: got inf"),
        (lambda: merge_modes(counts_of(1, 2), counts_of(1)), "second: got 1 modes, expected 2"),
        (lambda: reverse_kl(counts_of(1, 2), counts_of(1)), "reference: got 1 modes, expected 2"),
        (lambda: reverse_kl(counts_of(1, 2), counts_of(0, 0)), "reference: got no sample"),
    ],
)
def test_errors(call, named):
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        call()
