"""The kernel distance against loops over pairs, and what an unbiased estimate promises."""

import math

import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.metrics import kernel_distance


def draw(count, dim=3, seed=0, shift=0.0):
    return shift + np.random.default_rng(seed).standard_normal((count, dim))


def k(x, y):
    return (math.fsum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3


def brute_force(x, y):
    m, n = len(x), len(y)
    xx = math.fsum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    yy = math.fsum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    xy = math.fsum(k(a, b) for a in x for b in y)
    return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)


def test_one_block_is_the_estimate_over_all_pairs():
    real, fake = draw(12), draw(12, seed=1, shift=0.2)
    value, error = kernel_distance(real, fake, block_size=12)
    assert value == pytest.approx(brute_force(real, fake), rel=1e-10)
    assert math.isnan(error)


@pytest.mark.parametrize("sizes", [(12, 12), (14, 17), (30, 13)], ids=str)
def test_blocks_are_disjoint_pieces_of_two_permutations(sizes):
    real, fake = draw(sizes[0]), draw(sizes[1], seed=1, shift=0.2)
    value, error = kernel_distance(real, fake, block_size=4, seed=5)
    rng = np.random.default_rng(5)
    shuffled_real, shuffled_fake = rng.permutation(real), rng.permutation(fake)
    blocks = min(sizes) // 4
    assert blocks == 3
    estimates = [
        brute_force(shuffled_real[i : i + 4], shuffled_fake[i : i + 4])
        for i in range(0, 4 * blocks, 4)
    ]
    mean = sum(estimates) / blocks
    variance = sum((estimate - mean) ** 2 for estimate in estimates) / (blocks - 1)
    assert value == pytest.approx(mean, rel=1e-10)
    assert error == pytest.approx(math.sqrt(variance / blocks), rel=1e-10)


def test_the_same_seed_gives_the_same_blocks_and_another_seed_others():
    real, fake = draw(40), draw(40, seed=1)
    first, again, other = (kernel_distance(real, fake, block_size=8, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_sorted_sets_are_mixed():
    # Data sets often come class by class: blocks in that order would differ by their classes.
    sorted_set = np.concatenate([np.zeros((400, 2)), np.ones((400, 2))])
    mixed, error = kernel_distance(sorted_set, sorted_set[::-1], block_size=100)
    assert abs(mixed) < 0.5
    assert error < 0.5
    # What blocks in order would have given: zeros meet ones, in the plane (2 / 2 + 1)^3 = 8.
    assert brute_force(np.zeros((3, 2)), np.ones((3, 2))) == pytest.approx(1 + 8 - 2)


def test_it_is_unbiased_and_its_standard_error_is_right():
    # 400 small experiments with nothing between the sets: their mean is zero, and the spread of
    # the values is what the standard errors say.
    results = [
        kernel_distance(draw(40, seed=2 * i), draw(40, seed=2 * i + 1), block_size=8)
        for i in range(400)
    ]
    values, errors = np.array(results).T
    assert np.any(values < 0)
    assert abs(values.mean()) < 5 * values.std() / math.sqrt(400)
    assert math.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.2)


def test_the_expectation_of_two_gaussians():
    # Along one axis, k(x, y) = (xy + 1)^3 with x, x' ~ N(a, 1): with E x = a, E x^2 = a^2 + 1 and
    # E x^3 = a^3 + 3a, MMD^2 = sum over p of binomial(3, p) (E x^p - E y^p)^2.
    a = 0.5
    expected = 3 * a**2 + 3 * (a**2) ** 2 + (a**3 + 3 * a) ** 2
    value, error = kernel_distance(draw(20_000, 1, 0, a), draw(20_000, 1, 1), block_size=500)
    assert abs(value - expected) < 5 * error
    assert error < 0.1 * expected


def test_order_does_not_matter_to_one_block_nor_does_exchanging_the_sets():
    real, fake = draw(30), draw(30, seed=1, shift=0.2)
    value = kernel_distance(real, fake, block_size=30).value
    shuffled = np.random.default_rng(0).permutation(real)
    assert kernel_distance(shuffled, fake, block_size=30).value == pytest.approx(value, rel=1e-9)
    assert kernel_distance(fake, real, block_size=30).value == pytest.approx(value, rel=1e-9)


def test_it_grows_with_a_shift():
    values = [
        kernel_distance(draw(200), draw(200, seed=1, shift=s), block_size=50).value
        for s in (0, 0.5, 1, 2)
    ]
    assert values == sorted(values)


@pytest.mark.parametrize("block_size", [0, 1, 11, 1000])
def test_a_block_size_that_does_not_fit_is_refused(block_size):
    with pytest.raises(UserError, match=rf"^block_size: got {block_size} for 20 real and 10 fake"):
        kernel_distance(draw(20), draw(10), block_size=block_size)
