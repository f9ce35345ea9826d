"""The losses of K classes and one more, against NumPy's softmax over K + 1 outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from jaxgan import UserError, losses

RNG = np.random.default_rng(0)
LOGITS = 3 * RNG.standard_normal((6, 4))
LABELS = np.array([2, -1, 0, 3, -1, 2])


def k_plus_one(logits):
    """log p over the classes and, last, "generated", whose output is 0."""
    return log_softmax(np.pad(np.asarray(logits, np.float64), ((0, 0), (0, 1))), axis=1)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_being_real_is_being_of_any_class(dtype):
    given = jnp.asarray(LOGITS, dtype)
    log_p = k_plus_one(given)
    logits = losses.real_logits(given)
    assert (logits.shape, logits.dtype) == ((6,), jnp.float32)
    log_d, log_not_d = losses.non_saturating.log_probabilities(logits)
    np.testing.assert_allclose(log_not_d, log_p[:, -1], rtol=1e-5)
    of_any = np.log(np.sum(np.exp(log_p[:, :-1]), axis=1))
    np.testing.assert_allclose(log_d, of_any, rtol=1e-4, atol=1e-6)


def test_with_being_real_it_is_the_cross_entropy_of_k_plus_one():
    known = LABELS >= 0
    expected = -np.mean(k_plus_one(LOGITS)[known, LABELS[known]])
    given = np.asarray(LOGITS, np.float32)
    value = losses.class_cross_entropy(given, LABELS)
    real, _ = losses.non_saturating.discriminator(losses.real_logits(given[known]), np.zeros(1))
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert float(value + real) == pytest.approx(expected, rel=1e-5)


def test_what_has_no_label_has_no_part_in_value_or_slope():
    given = jnp.asarray(LOGITS, jnp.float32)
    value, slope = jax.value_and_grad(losses.class_cross_entropy)(given, LABELS)
    known = LABELS >= 0
    assert value == pytest.approx(losses.class_cross_entropy(given[known], LABELS[known]))
    assert np.all(np.asarray(slope)[~known] == 0)
    assert np.all(np.asarray(slope)[known] != 0)
    none = np.full(6, -1)
    value, slope = jax.value_and_grad(losses.class_cross_entropy)(given, none)
    assert value == 0
    assert not np.any(slope)


def test_two_minds_are_the_squared_gap_of_their_probabilities():
    other = RNG.standard_normal(LOGITS.shape)
    value, slopes = jax.value_and_grad(losses.class_consistency, argnums=(0, 1))(
        jnp.asarray(LOGITS, jnp.float32), jnp.asarray(other, jnp.float32)
    )
    gap = softmax(LOGITS, axis=1) - softmax(other, axis=1)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert value == pytest.approx(np.sum(gap**2) / 6, rel=1e-5)
    for p, slope, sign in zip((LOGITS, other), slopes, (1, -1), strict=True):
        p = softmax(p, axis=1)
        pulled = sign * 2 / 6 * p * (gap - np.sum(gap * p, axis=1, keepdims=True))
        np.testing.assert_allclose(slope, pulled, rtol=1e-4, atol=1e-7)


def test_large_logits_stay_finite():
    given = jnp.array([[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4]])
    np.testing.assert_allclose(losses.real_logits(given), [1e4, -1e4, 1e4], rtol=1e-4)
    value, slope = jax.value_and_grad(losses.class_cross_entropy)(given, np.array([1, 0, -1]))
    assert value == pytest.approx((2e4 + np.log(2)) / 2)
    assert np.all(np.isfinite(slope))


def test_a_class_that_there_is_not_shows():
    assert np.isnan(losses.class_cross_entropy(jnp.zeros((2, 3)), np.array([0, 3])))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (
            np.zeros(3, np.float32),
            np.zeros(3, int),
            "class_logits: got shape (3,), expected (B, K)",
        ),
        (np.zeros((3, 2), int), np.zeros(3, int), "class_logits: got dtype int"),
        (np.zeros((3, 2), np.float32), np.zeros((3, 1), int), "labels: got int"),
        (np.zeros((3, 2), np.float32), np.zeros(2, int), "labels: got int"),
        (
            np.zeros((3, 2), np.float32),
            np.zeros(3, np.float32),
            "labels: got float32 of shape (3,)",
        ),
    ],
)
def test_wrong_input_is_refused_by_name(logits, labels, message):
    with pytest.raises(UserError) as error:
        losses.class_cross_entropy(logits, labels)
    assert str(error.value).startswith(message)
    if message.startswith("class_logits"):
        with pytest.raises(UserError, match=r"^class_logits: got [^\n]*$"):
            losses.real_logits(logits)


def test_judgements_of_other_shapes_are_refused():
    with pytest.raises(UserError, match=r"^other_logits: got shape \(6, 1\), expected \(6, 4\)$"):
        losses.class_consistency(np.asarray(LOGITS, np.float32), np.zeros((6, 1), np.float32))
