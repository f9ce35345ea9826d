"""Every loss against the formula of its paper in float64, and what the names promise."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_tables import GAMES, LOSSES, SMOOTHED, WRONG
from scipy.special import expit, log_expit

from jaxgan import losses
from jaxgan.errors import UserError


class Case(NamedTuple):
    """A loss, its paper's formula in float64 NumPy, and its value where D cannot tell."""

    function: Callable
    reference: Callable
    arguments: tuple[str, ...]
    undecided: float  # the output of a discriminator that cannot tell
    equilibrium: float | tuple[float, float]
    # Batches of 7 and 4: a discriminator may see more real examples than fakes, or fewer.
    sizes: tuple[int, ...] = (7, 4)


def paper_cross_entropy(real, fake):
    return -np.mean(log_expit(real)), -np.mean(log_expit(-fake))


def paper_least_squares(real, fake):
    return np.mean((real - 1) ** 2) / 2, np.mean((fake - 0) ** 2) / 2


def paper_smoothed_cross_entropy(real, fake):
    return -np.mean(0.8 * log_expit(real) + 0.2 * log_expit(-real)), -np.mean(log_expit(-fake))


def paper_wasserstein(real, fake):
    return -np.mean(real), np.mean(fake)


def paper_hinge(real, fake):
    return -np.mean(np.minimum(0, real - 1)), -np.mean(np.minimum(0, -fake - 1))


def paper_relativistic(real, fake):
    half = -np.mean(log_expit(real - fake)) / 2
    return half, half


BOTH, FAKE = ("real_logits", "fake_logits"), ("fake_logits",)
CASES = {
    "minimax_discriminator": Case(
        losses.minimax_discriminator, paper_cross_entropy, BOTH, 0.0, (math.log(2), math.log(2))
    ),
    "minimax_generator": Case(
        losses.minimax_generator, lambda x: np.mean(log_expit(-x)), FAKE, 0.0, -math.log(2)
    ),
    "non_saturating_generator": Case(
        losses.non_saturating_generator, lambda x: -np.mean(log_expit(x)), FAKE, 0.0, math.log(2)
    ),
    "least_squares_discriminator": Case(
        losses.least_squares_discriminator, paper_least_squares, BOTH, 0.5, (1 / 8, 1 / 8)
    ),
    "least_squares_generator": Case(
        losses.least_squares_generator, lambda x: np.mean((x - 1) ** 2) / 2, FAKE, 0.5, 1 / 8
    ),
    "wasserstein_discriminator": Case(
        losses.wasserstein_discriminator, paper_wasserstein, BOTH, 2.5, (-2.5, 2.5)
    ),
    "wasserstein_generator": Case(
        losses.wasserstein_generator, lambda x: -np.mean(x), FAKE, 2.5, -2.5
    ),
    "hinge_discriminator": Case(losses.hinge_discriminator, paper_hinge, BOTH, 0.0, (1, 1)),
    "relativistic_discriminator": Case(
        losses.relativistic_discriminator,
        paper_relativistic,
        BOTH,
        2.5,
        (math.log(2) / 2, math.log(2) / 2),
        (6, 6),
    ),
    "relativistic_generator": Case(
        losses.relativistic_generator,
        lambda fake, real: -np.mean(log_expit(fake - real)),
        ("fake_logits", "real_logits"),
        2.5,
        math.log(2),
        (6, 6),
    ),
    # D = 0.8 / 2, where 0.8 p / (p + q) is 0.4.
    "smooth_labels": Case(
        SMOOTHED.discriminator,
        paper_smoothed_cross_entropy,
        BOTH,
        math.log(0.4 / 0.6),
        (-0.8 * math.log(0.4) - 0.2 * math.log(0.6), -math.log(0.6)),
    ),
}
every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def logits(case, scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(
        scale * rng.standard_normal(size)
        for _, size in zip(case.arguments, case.sizes, strict=False)
    )


def total(function):
    """Real and fake part together, as the discriminator minimises them."""

    def summed(*inputs):
        value = function(*inputs)
        return sum(value) if isinstance(value, tuple) else value

    return summed


def gradients(case, *inputs):
    return jax.grad(total(case.function), argnums=tuple(range(len(inputs))))(*inputs)


def test_the_table_has_every_loss():
    functions = {name for name in losses.__all__ if name.endswith(("_discriminator", "_generator"))}
    assert functions == set(CASES) - {"smooth_labels"}


@every_loss
def test_value_is_the_papers(case):
    inputs = logits(case)
    expected = case.reference(*inputs)
    actual = case.function(*(np.asarray(x, np.float32) for x in inputs))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    with jax.enable_x64(True):
        actual = case.function(*inputs)
        np.testing.assert_allclose(actual, expected, rtol=1e-14)


def differences(case, inputs, h):
    """Central differences of the paper's formula, one array an argument."""

    def shifted(which, i, sign):
        moved = [x.copy() for x in inputs]
        moved[which][i] += sign * h
        return total(case.reference)(*moved)

    return [
        np.array([(shifted(k, i, 1) - shifted(k, i, -1)) / (2 * h) for i in range(len(x))])
        for k, x in enumerate(inputs)
    ]


@every_loss
def test_gradient_is_the_finite_difference(case):
    inputs = logits(case)
    with jax.enable_x64(True):
        actual = [np.asarray(g) for g in gradients(case, *map(jnp.asarray, inputs))]
    assert all(g.dtype == np.float64 for g in actual)
    for gradient, expected in zip(actual, differences(case, inputs, 1e-5), strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-9)


@every_loss
def test_the_known_value_where_the_discriminator_cannot_tell(case):
    value = case.function(*(jnp.full(5, case.undecided) for _ in case.arguments))
    np.testing.assert_allclose(value, case.equilibrium, rtol=1e-6)


@every_loss
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_far_logits_stay_finite_and_right(case, signs):
    inputs = tuple(np.full(3, 1e4 * sign) for sign, _ in zip(signs, case.arguments, strict=False))
    singles = tuple(jnp.asarray(x, jnp.float32) for x in inputs)
    value, expected = case.function(*singles), case.reference(*inputs)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    # So far out the losses are lines and parabolas, of which a difference of any width is exact.
    expected = differences(case, inputs, 1.0)
    for gradient, slope in zip(gradients(case, *singles), expected, strict=True):
        np.testing.assert_allclose(gradient, slope, rtol=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_the_result_is_a_float32_scalar(case, dtype):
    inputs = [jnp.asarray(x, dtype) for x in logits(case)]
    value = case.function(*inputs)
    assert isinstance(value, tuple) == (case.arguments == BOTH)
    for part in value if isinstance(value, tuple) else (value,):
        assert part.dtype == jnp.float32
        assert part.shape == ()
    # The sum over the batch is not done in the narrow type: equal to the rounded inputs' loss.
    np.testing.assert_allclose(
        value, case.reference(*(np.asarray(x, np.float64) for x in inputs)), rtol=1e-6
    )


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@every_loss
def test_wrong_logits_are_refused_by_name(case, wrong):
    for which, name in enumerate(case.arguments):
        inputs = [np.zeros(4, np.float32) for _ in case.arguments]
        inputs[which] = wrong
        with pytest.raises(UserError) as error:
            case.function(*inputs)
        assert str(error.value).startswith(f"{name}: got ")
        assert "\n" not in str(error.value)


def test_pairs_need_as_many_fakes_as_real_examples():
    four, five = np.zeros(4, np.float32), np.zeros(5, np.float32)
    for call in (
        lambda: losses.relativistic_discriminator(five, four),
        lambda: losses.relativistic_generator(four, five),
    ):
        with pytest.raises(UserError, match=r"^fake_logits: got shape \(4,\), expected \(5,\)"):
            call()


every_game = pytest.mark.parametrize("loss", GAMES.values(), ids=GAMES.keys())


def test_the_table_has_every_game():
    assert {name for name in losses.__all__ if isinstance(getattr(losses, name), losses.Loss)} == (
        set(LOSSES)
    )


PAPERS = {
    "minimax": (paper_cross_entropy, lambda fake: np.mean(log_expit(-fake))),
    "non_saturating": (paper_cross_entropy, lambda fake: -np.mean(log_expit(fake))),
    "least_squares": (paper_least_squares, lambda fake: np.mean((fake - 1) ** 2) / 2),
    "wasserstein": (paper_wasserstein, lambda fake: -np.mean(fake)),
    "hinge": (paper_hinge, lambda fake: -np.mean(fake)),
    "relativistic": (paper_relativistic, lambda fake, real: -np.mean(log_expit(fake - real))),
    "smoothed": (paper_smoothed_cross_entropy, lambda fake: -np.mean(log_expit(fake))),
}


@pytest.mark.parametrize("name", GAMES)
def test_both_sides_of_a_game_are_its_papers(name):
    game, (discriminator, generator) = GAMES[name], PAPERS[name]
    real, fake = 3 * np.random.default_rng(1).standard_normal((2, 5))
    singles = np.float32(real), np.float32(fake)
    np.testing.assert_allclose(
        game.discriminator(*singles), discriminator(real, fake), rtol=1e-6, atol=1e-7
    )
    also = (1, 0) if name == "relativistic" else (1,)
    assert game.generator_sees_real == (name == "relativistic")
    actual = game.generator(*(singles[which] for which in also))
    expected = generator(*((real, fake)[which] for which in also))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "smoothing", "named"),
    [
        (losses.hinge, 0.1, "loss"),
        (losses.least_squares, 0.1, "loss"),
        (losses.minimax, -0.1, "smoothing"),
        (losses.minimax, 0.5, "smoothing"),
        (losses.minimax, math.nan, "smoothing"),
    ],
)
def test_labels_that_cannot_be_smoothed(loss, smoothing, named):
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        losses.smooth_labels(loss, smoothing)


def test_smoothing_by_nothing_changes_nothing():
    real, fake = (jnp.asarray(x, jnp.float32) for x in logits(CASES["minimax_discriminator"]))
    none = losses.smooth_labels(losses.minimax, 0.0)
    np.testing.assert_array_equal(
        none.discriminator(real, fake), losses.minimax.discriminator(real, fake)
    )


def test_the_best_smoothed_discriminator():
    # Over data of density p and fakes of q, found by descent: D = 0.8 p / (p + q).
    p, q = np.array([10, 50, 25, 15]), np.array([40, 10, 20, 30])

    def loss(outputs):
        return total(SMOOTHED.discriminator)(
            jnp.repeat(outputs, p, total_repeat_length=100),
            jnp.repeat(outputs, q, total_repeat_length=100),
        )

    best, _ = jax.lax.scan(lambda x, _: (x - 4 * jax.grad(loss)(x), None), jnp.zeros(4), length=300)
    np.testing.assert_allclose(expit(np.asarray(best)), 0.8 * p / (p + q), rtol=1e-4)
    log_d, _ = SMOOTHED.log_probabilities(best)
    np.testing.assert_allclose(np.exp(log_d), p / (p + q), rtol=1e-4)


def test_the_relativistic_game_knows_differences_alone():
    real, fake = (jnp.asarray(x, jnp.float32) for x in logits(CASES["relativistic_generator"]))
    for function, pair in (
        (losses.relativistic_generator, (fake, real)),
        (losses.relativistic_discriminator, (real, fake)),
    ):
        moved = function(*(x + 5 for x in pair))
        np.testing.assert_allclose(moved, function(*pair), rtol=1e-5)
    # Each fake has its own real example: another order is another loss.
    other = losses.relativistic_generator(fake, real[::-1])
    assert abs(float(other - losses.relativistic_generator(fake, real))) > 0.01


def test_minimax_saturates_where_the_fakes_are_found_out_and_non_saturating_does_not():
    slope = {name: jax.grad(lambda x, f=f: f(x[None])) for name, f in (
        ("minimax", losses.minimax_generator),
        ("non_saturating", losses.non_saturating_generator),
    )}  # fmt: skip
    # d/dx log(1 - D) = -D, d/dx -log D = D - 1.
    for x in (-30.0, -10.0, 0.0, 10.0):
        np.testing.assert_allclose(slope["minimax"](x), -expit(x), rtol=1e-5)
        np.testing.assert_allclose(slope["non_saturating"](x), -expit(-x), rtol=1e-5)
    assert abs(slope["minimax"](-30.0)) < 1e-12
    assert abs(slope["non_saturating"](-30.0)) > 1 - 1e-6


@every_game
def test_gradient_descent_moves_logits_the_way_each_side_wants(loss):
    zeros = jnp.zeros(3)
    real_logits = (jnp.ones(3),) if loss.generator_sees_real else ()
    assert np.all(jax.grad(loss.generator)(zeros, *real_logits) < 0)
    real, fake = jax.grad(total(loss.discriminator), argnums=(0, 1))(zeros, jnp.ones(3))
    assert np.all(real < 0)
    assert np.all(fake > 0)
