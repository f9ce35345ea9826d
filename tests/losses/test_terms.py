"""What goes with an adversarial term: its weight, paired features, LeCam."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import losses
from jaxgan.errors import UserError

NARROW = jnp.bfloat16


@pytest.mark.parametrize(
    ("reconstruction", "adversarial", "options", "expected"),
    [
        ([3.0, 4.0], [0.0, 2.0], {"delta": 0.5}, 2.0),  # 5 / (2 + 1/2)
        ([3.0, 4.0], [0.0, 0.0], {}, 1e4),  # 5 / 1e-4, bounded
        ([3.0, 4.0], [0.0, 0.0], {"delta": 0.01}, 500.0),
        ([0.0, 0.0], [1.0, 0.0], {}, 0.0),
        ([3.0, 4.0], [0.0, 2.0], {"delta": 0.0, "max_weight": 2.0}, 2.0),
    ],
)
def test_the_weight_is_the_ratio_of_the_norms_within_bounds(
    reconstruction, adversarial, options, expected
):
    weight = losses.adaptive_weight(*map(jnp.array, (reconstruction, adversarial)), **options)
    assert weight.dtype == jnp.float32
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_the_norms_are_those_of_whole_trees_and_let_no_gradient_through():
    def tree(x):
        return {"kernel": x * jnp.ones((2, 2), NARROW), "bias": x * jnp.sqrt(jnp.float32(5))}

    def weight(x, y):
        return losses.adaptive_weight(tree(x), tree(y), delta=0.0)

    np.testing.assert_allclose(weight(6.0, 2.0), 3.0, rtol=1e-6)  # |tree(x)| = 3 x
    np.testing.assert_allclose(losses.adaptive_weight(1.5, 0.5, delta=0.0), 3.0, rtol=1e-6)
    assert jax.grad(weight, argnums=(0, 1))(6.0, 2.0) == (0, 0)


@pytest.mark.parametrize(
    ("args", "options", "named"),
    [
        ((jnp.ones(2), jnp.ones(3)), {}, "adversarial_grads"),
        (({"a": 1.0}, {"b": 1.0}), {}, "adversarial_grads"),
        ((1.0, 1.0), {"delta": -1.0}, "delta"),
        ((1.0, 1.0), {"max_weight": float("nan")}, "max_weight"),
    ],
)
def test_a_weight_of_what_does_not_belong_together_is_refused(args, options, named):
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        losses.adaptive_weight(*args, **options)


def test_paired_features_are_compared_one_by_one():
    rng = np.random.default_rng(0)
    real, fake = ([rng.standard_normal(s) for s in ((4, 3), (4, 5, 5, 2))] for _ in range(2))
    expected = sum(np.mean(np.abs(r - f)) for r, f in zip(real, fake, strict=True))
    single = [[np.asarray(x, np.float32) for x in layers] for layers in (real, fake)]
    value = losses.paired_feature_matching(*single)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    # Unlike the matching of means, it is of each example.
    assert losses.paired_feature_matching(single[0], [x[::-1] for x in single[0]]) > 0.5
    narrow = [[jnp.asarray(x, NARROW) for x in layers] for layers in (real, fake)]
    pairs = [[np.asarray(x, np.float64) for x in pair] for pair in zip(*narrow, strict=True)]
    expected = sum(np.mean(np.abs(r - f)) for r, f in pairs)
    np.testing.assert_allclose(losses.paired_feature_matching(*narrow), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("real", "fake", "named"),
    [
        ([np.zeros((4, 3))], [np.zeros((4, 2))], "fake_features"),
        ([np.zeros((4, 3))], [np.zeros((4, 3))] * 2, "fake_features"),
        (np.zeros(4), np.zeros(4), "real_features"),
        (np.zeros((4, 3), int), np.zeros((4, 3)), "real_features"),
        (np.zeros((4, 3)), np.zeros((4, 3), complex), "fake_features"),
    ],
)
def test_wrong_paired_features_are_refused_by_name(real, fake, named):
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        losses.paired_feature_matching(real, fake)


def test_lecam_is_its_formula_with_gradients_by_the_logits_alone():
    rng = np.random.default_rng(0)
    real, fake, averages = rng.standard_normal(7), rng.standard_normal(5), (0.4, -0.3)

    def numpy_lecam(real, fake):
        over, under = np.maximum(real - averages[1], 0), np.maximum(averages[0] - fake, 0)
        return np.mean(over**2) + np.mean(under**2)

    with jax.enable_x64(True):
        args = (jnp.array(real), jnp.array(fake), *map(jnp.float64, averages))
        np.testing.assert_allclose(losses.lecam(*args), numpy_lecam(real, fake), rtol=1e-12)
        slopes = jax.tree.map(np.asarray, jax.grad(losses.lecam, argnums=(0, 1, 2, 3))(*args))
    assert slopes[2:] == (0, 0)
    steps = 1e-6 * rng.standard_normal(7), 1e-6 * rng.standard_normal(5)
    ends = [numpy_lecam(real + s * steps[0], fake + s * steps[1]) for s in (1, -1)]
    found = sum(np.sum(slope * step) for slope, step in zip(slopes, steps, strict=False))
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / 2, rtol=1e-6)
    narrow = losses.lecam(jnp.ones(3, NARROW), jnp.zeros(3, NARROW), *map(jnp.float32, averages))
    assert narrow.dtype == jnp.float32
    with pytest.raises(UserError, match=r"^fake_logits: got [^\n]*$"):
        losses.lecam(jnp.zeros(4), jnp.zeros((4, 1)), jnp.zeros(()), jnp.zeros(()))


def test_perceptual_compares_directions_at_each_place():
    rng = np.random.default_rng(0)
    real, made = ([rng.normal(size=(2, n, n, 5)).astype(np.float32) for n in (4, 2)] for _ in "ab")
    expected = 0
    for x, y in zip(real, made, strict=True):
        cosines = np.sum(x * y, -1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
        expected += np.mean(2 - 2 * cosines)
    np.testing.assert_allclose(losses.perceptual(real, made), expected, rtol=1e-4)
    # It is blind to how large features are, and has a gradient where they are none.
    np.testing.assert_allclose(losses.perceptual(real, [9 * x for x in real]), 0, atol=1e-5)
    grads = jax.grad(losses.perceptual, 1)(real, [0 * x for x in made])
    assert all(np.all(np.isfinite(x)) and np.any(x != 0) for x in grads)
    with pytest.raises(UserError, match=r"^made_features: got shapes"):
        losses.perceptual(real, made[:1])
