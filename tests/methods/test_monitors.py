"""What the outputs of a discriminator say: their probabilities, the metrics, the held-out test."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from loss_tables import GAMES, SMOOTHED, WRONG
from scipy.special import log_expit

from jaxgan import losses
from jaxgan.errors import UserError
from jaxgan.methods import adversarial_metrics
from jaxgan.methods.monitors import judge_held_out

CRITICS = {name: GAMES[name] for name in ("wasserstein", "relativistic")}
every_critic = pytest.mark.parametrize("loss", CRITICS.values(), ids=CRITICS.keys())
OTHERS = {name: loss for name, loss in GAMES.items() if name not in CRITICS}
every_game = pytest.mark.parametrize("loss", OTHERS.values(), ids=OTHERS.keys())
SIGMOID = ["minimax", "non_saturating", "hinge"]


@pytest.mark.parametrize("loss", [GAMES[name] for name in SIGMOID], ids=SIGMOID)
def test_sigmoid_probabilities(loss):
    x = np.linspace(-20, 20, 81)
    log_d, log_not_d = loss.log_probabilities(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(np.exp(log_d) + np.exp(log_not_d), 1, rtol=1e-6)
    np.testing.assert_allclose(log_d, log_expit(x), rtol=1e-6)
    np.testing.assert_allclose(log_not_d, log_expit(-x), rtol=1e-6)
    far = np.asarray(loss.log_probabilities(jnp.array([1e4, -1e4])))
    np.testing.assert_allclose(far, [[0, -1e4], [-1e4, 0]])


def test_linear_probabilities_are_the_output_itself_held_inside_the_unit_interval():
    inside = np.linspace(0.01, 0.99, 50)
    log_d, log_not_d = losses.least_squares.log_probabilities(jnp.asarray(inside, jnp.float32))
    np.testing.assert_allclose(np.exp(log_d), inside, rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_not_d), 1 - inside, rtol=1e-5)
    outside = jnp.array([-1e4, -1.0, 0.0, 1.0, 2.0, 1e4])
    log_d, log_not_d = losses.least_squares.log_probabilities(outside)
    assert np.all(np.isfinite(log_d) & np.isfinite(log_not_d))
    assert np.all((np.exp(log_d) > 0) & (np.exp(log_d) < 1))
    assert np.all(np.exp(log_d[:3]) < 0.01)
    assert np.all(np.exp(log_d[3:]) > 0.99)
    np.testing.assert_allclose(np.exp(log_d) + np.exp(log_not_d), 1, rtol=1e-6)


@every_game
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_probabilities_refuse_wrong_logits(loss, wrong):
    with pytest.raises(UserError, match=r"^logits: got [^\n]*$"):
        loss.log_probabilities(wrong)


def outputs(loss, probability):
    """The outputs that a loss reads as these probabilities, float32."""
    p = np.asarray(probability, np.float64) * (0.8 if loss is SMOOTHED else 1)
    return jnp.asarray(p if loss is losses.least_squares else np.log(p / (1 - p)), jnp.float32)


@every_game
def test_metrics_by_hand(loss):
    metrics = adversarial_metrics(
        loss, outputs(loss, [0.9, 0.6, 0.4, 0.8]), outputs(loss, [0.3, 0.2, 0.6, 0.1])
    )
    expected = {
        "d_real": (0.9 + 0.6 + 0.4 + 0.8) / 4,
        "d_fake": (0.3 + 0.2 + 0.6 + 0.1) / 4,
        "accuracy_real": 3 / 4,
        "accuracy_fake": 3 / 4,
        "d_ratio": (0.9 / 1.2 + 0.6 / 0.8 + 0.4 / 1.0 + 0.8 / 0.9) / 4,
        "jsd_lower_bound": math.log(2)
        + (math.log(0.9) + math.log(0.6) + math.log(0.4) + math.log(0.8)) / 8
        + (math.log(0.7) + math.log(0.8) + math.log(0.4) + math.log(0.9)) / 8,
    }
    assert set(metrics) == set(expected)
    for name, value in metrics.items():
        assert value.dtype == jnp.float32, name
        assert value.shape == (), name
        assert float(value) == pytest.approx(expected[name], rel=1e-5), name


def test_metrics_of_a_batch_that_is_all_real_or_all_fake_to_the_discriminator():
    sure = adversarial_metrics(losses.minimax, jnp.full(4, 1e4), jnp.full(4, 1e4))
    assert float(sure["accuracy_real"]) == 1
    assert float(sure["accuracy_fake"]) == 0
    assert float(sure["d_ratio"]) == 0.5
    assert np.isfinite(sure["jsd_lower_bound"])


@every_game
def test_the_bound_is_zero_where_the_discriminator_cannot_tell(loss):
    undecided = outputs(loss, np.full(6, 0.5))
    metrics = adversarial_metrics(loss, undecided, undecided)
    assert float(metrics["jsd_lower_bound"]) == pytest.approx(0, abs=1e-6)
    assert float(metrics["d_ratio"]) == pytest.approx(0.5)


@every_game
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_the_bound_is_at_most_log_2(loss, scale):
    real, fake = np.abs(np.random.default_rng(1).standard_normal((2, 64)))
    metrics = adversarial_metrics(loss, jnp.asarray(scale * real), jnp.asarray(-scale * fake))
    assert float(metrics["jsd_lower_bound"]) <= math.log(2) + 1e-6


@every_game
def test_the_optimal_discriminator_gives_the_exact_divergence_and_others_less(loss):
    # Outcomes drawn exactly as often as their probability says.
    p, q = np.array([10, 50, 25, 15]), np.array([40, 10, 20, 30])
    m = (p + q) / 2
    exact = (np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))) / 200

    def bound(d):
        metrics = adversarial_metrics(
            loss, outputs(loss, np.repeat(d, p)), outputs(loss, np.repeat(d, q))
        )
        return float(metrics["jsd_lower_bound"])

    optimal = p / (p + q)
    assert bound(optimal) == pytest.approx(exact, rel=1e-5)
    for wrong in (0.9 * optimal, np.sqrt(optimal), 1 - optimal):
        assert bound(wrong) < exact - 1e-4


@every_critic
def test_outputs_without_probabilities_are_told_by_their_means(loss):
    metrics = adversarial_metrics(loss, jnp.array([4.0, -1.0]), jnp.array([0.5, -3.5, 0.0]))
    assert metrics == {"critic_real": 1.5, "critic_fake": -1.0}
    with pytest.raises(UserError, match=r"^fake_logits: got shape \(2, 1\), expected \(B,\)"):
        adversarial_metrics(loss, jnp.zeros(2), jnp.zeros((2, 1)))


def test_the_held_out_test_counts_what_is_judged_rightly():
    real, mask = jnp.array([3.0, 0.5, -1.0, 7.0]), jnp.array([1.0, 1.0, 1.0, 0.0])
    fake = jnp.array([-1.0, -2.0, 0.5, -7.0])
    counts = judge_held_out(losses.non_saturating, real, fake, mask)
    assert (counts["accuracy_real"], counts["accuracy_fake"]) == (2, 2)
    # Divided by the number of examples it is the bound of those that are no filling.
    expected = adversarial_metrics(losses.non_saturating, real[:3], fake[:3])["jsd_lower_bound"]
    assert float(counts["jsd_lower_bound"]) / 3 == pytest.approx(float(expected), rel=1e-5)
    assert 0.05 < float(expected) < math.log(2)


@every_critic
def test_the_held_out_test_of_a_critic_sums_its_outputs(loss):
    logits, mask = jnp.array([3.0, 0.5, -1.0, 7.0]), jnp.array([1.0, 1.0, 1.0, 0.0])
    assert judge_held_out(loss, logits, -logits, mask) == {"critic_real": 2.5, "critic_fake": -2.5}
