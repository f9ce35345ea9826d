"""Precision and recall, density and coverage against loops, and which of them sees what."""

import math
from fractions import Fraction

import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.metrics import density_coverage, precision_recall


def draw(count, dim=4, seed=0, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).standard_normal((count, dim))


# The definitions, exact on features that are fractions.


def squared(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def balls(points, k):
    """Each point with the squared distance to its k-th neighbour, itself left out by position."""
    return [
        (x, sorted(squared(x, y) for j, y in enumerate(points) if j != i)[k - 1])
        for i, x in enumerate(points)
    ]


def inside(x, ball):
    centre, radius = ball
    return squared(x, centre) <= radius


def brute_force(real, fake, k):
    real, fake = ([[Fraction(float(v)) for v in row] for row in rows] for rows in (real, fake))
    real_balls, fake_balls = balls(real, k), balls(fake, k)
    precision = sum(any(inside(y, ball) for ball in real_balls) for y in fake) / len(fake)
    recall = sum(any(inside(x, ball) for ball in fake_balls) for x in real) / len(real)
    density = sum(inside(y, ball) for y in fake for ball in real_balls) / (k * len(fake))
    coverage = sum(any(inside(y, ball) for y in fake) for ball in real_balls) / len(real)
    return precision, recall, density, coverage


def all_four(real, fake, k, **options):
    return (
        *precision_recall(real, fake, k=k, **options),
        *density_coverage(real, fake, k=k, **options),
    )


SETS = {
    "alike": (draw(25), draw(30, seed=1)),
    "shifted": (draw(25), draw(30, seed=1, shift=1.0)),
    "one axis": (draw(25, 1), draw(30, 1, seed=1)),
    "far from zero": (draw(25, shift=1e7), draw(30, seed=1, shift=1e7)),
    # Ties everywhere: points of a lattice, which are on the edges of one another's balls.
    "lattice": (
        np.random.default_rng(0).integers(0, 5, (40, 2)) * 1.0,
        np.random.default_rng(1).integers(0, 6, (30, 2)) * 1.0,
    ),
    "lattice of eighths": (
        np.random.default_rng(0).integers(0, 5, (40, 2)) / 8 + 7,
        np.random.default_rng(1).integers(0, 6, (30, 2)) / 8 + 7,
    ),
    "copies": (np.repeat(draw(6), 5, axis=0), np.repeat(draw(6), 4, axis=0)),
    "float32": (draw(25).astype(np.float32), draw(30, seed=1).astype(np.float32)),
}


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("real", "fake"), SETS.values(), ids=SETS.keys())
def test_the_definitions(real, fake, k):
    assert all_four(real, fake, k) == pytest.approx(brute_force(real, fake, k), rel=1e-12)


@pytest.mark.parametrize("block_size", [1, 7, 25, 26])
def test_the_block_size_changes_nothing(block_size):
    real, fake = SETS["lattice"]
    assert all_four(real, fake, 3, block_size=block_size) == all_four(real, fake, 3)


def test_the_defaults():
    real, fake = SETS["shifted"]
    by_three, by_five = brute_force(real, fake, 3), brute_force(real, fake, 5)
    assert by_three[:2] != by_five[:2]
    assert by_three[2:] != by_five[2:]
    assert precision_recall(real, fake) == pytest.approx(by_three[:2])
    assert density_coverage(real, fake) == pytest.approx(by_five[2:])


@pytest.mark.parametrize("dim", [1, 3, 300])
def test_equal_sets_are_precise_and_recalled_and_covered(dim):
    real = draw(50, dim)
    shuffled = np.random.default_rng(0).permutation(real)
    for fake in (real, shuffled):
        assert precision_recall(real, fake) == (1, 1)
        density, coverage = density_coverage(real, fake)
        assert coverage == 1
        # Each ball has its own centre, k - 1 neighbours and the k-th, which is on the edge.
        assert density == pytest.approx(6 / 5)


def test_the_order_of_samples_does_not_matter():
    real, fake = SETS["shifted"]
    rng = np.random.default_rng(0)
    assert all_four(rng.permutation(real), rng.permutation(fake), 3) == all_four(real, fake, 3)


def test_exchanging_the_sets_exchanges_precision_and_recall():
    real, fake = SETS["shifted"]
    precision, recall = precision_recall(real, fake)
    assert precision != recall
    assert precision_recall(fake, real) == (recall, precision)


# What they are for.


def test_a_collapsed_generator_is_precise_and_recalls_little():
    real = draw(400, 2)
    fake = draw(400, 2, seed=1, scale=0.1)  # a small part of the real region
    precision, recall = precision_recall(real, fake)
    density, coverage = density_coverage(real, fake)
    assert precision > 0.95
    assert recall < 0.1
    assert density > 0.5
    assert coverage < 0.1


def test_an_over_spread_generator_recalls_and_is_not_precise():
    real = draw(400, 2)
    fake = draw(400, 2, seed=1, scale=10)
    precision, recall = precision_recall(real, fake)
    density, _ = density_coverage(real, fake)
    assert precision < 0.2
    assert recall > 0.95
    assert density < 0.1


def test_a_generator_of_one_point():
    real = draw(50)
    assert precision_recall(real, np.tile(real[:1], (20, 1))) == (1, 1 / 50)
    # Nowhere near the data.
    assert precision_recall(real, np.full((20, 4), 100.0)) == (0, 0)
    assert density_coverage(real, np.full((20, 4), 100.0)) == (0, 0)


def test_a_shift_loses_all_of_it_in_the_end():
    real = draw(200, 2)
    results = [all_four(real, draw(200, 2, seed=1, shift=s), 5) for s in (0, 1, 2, 8)]
    for figures in zip(*results, strict=True):
        assert list(figures) == sorted(figures, reverse=True)
        assert figures[-1] == 0


def test_an_outlier_inflates_recall_and_not_coverage():
    real = draw(200, 2)
    fake = draw(200, 2, seed=1, scale=0.1)
    scattered = fake.copy()
    scattered[:4] = [[9.0, 9.0], [-9.0, 9.0], [9.0, -9.0], [-9.0, -9.0]]  # balls over everything
    assert precision_recall(real, scattered).recall == 1
    assert density_coverage(real, scattered).coverage == pytest.approx(
        density_coverage(real, fake).coverage, abs=0.02
    )


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("sizes", [(500, 500), (400, 800)], ids=str)
def test_the_expectations_over_sets_of_one_distribution(sizes, k):
    # Naeem et al. 2020, lemmas 1 and 2: density 1, and coverage one less the probability that the
    # k nearest of the N - 1 + M others are all real.
    n, m = sizes
    expected = 1 - math.comb(n - 1, k) / math.comb(n - 1 + m, k)
    results = [
        density_coverage(draw(n, 2, seed=2 * i), draw(m, 2, seed=2 * i + 1), k=k) for i in range(20)
    ]
    density, coverage = np.mean(results, axis=0)
    error_density, error_coverage = np.std(results, axis=0, ddof=1) / math.sqrt(20)
    assert abs(density - 1) < 4 * error_density
    assert abs(coverage - expected) < 4 * error_coverage
    assert error_density < 0.02
    assert error_coverage < 0.01


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: precision_recall(draw(9), draw(3), k=3), "k: got 3 with 3 fake samples"),
        (lambda: precision_recall(draw(3), draw(9), k=3), "k: got 3 with 3 real samples"),
        (lambda: precision_recall(draw(9), draw(9), k=0), "k: got 0 with 9 real samples"),
        (lambda: density_coverage(draw(5), draw(9)), "k: got 5 with 5 real samples"),
        (lambda: density_coverage(draw(9), draw(9), k=-1), "k: got -1"),
        (lambda: precision_recall(draw(9), draw(9), block_size=0), "block_size: got 0"),
        (lambda: density_coverage(draw(9), draw(9), block_size=-1), "block_size: got -1"),
    ],
)
def test_errors(call, named):
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        call()


def test_density_and_coverage_take_a_single_fake():
    assert density_coverage(draw(9), draw(9)[:1]).density > 0
