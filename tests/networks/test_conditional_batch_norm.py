"""Batch norm with a gain and a bias for each class: against NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks.layers import ConditionalBatchNorm

KEY = jax.random.key(0, impl="rbg")
CLASSES = 3
LABELS = np.array([2, 0, 2, 1, 0, 2], np.int32)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Normed(nn.Module):
    dtype: type = jnp.float32

    @nn.compact
    def __call__(self, x, labels, train=False):
        return ConditionalBatchNorm(train, CLASSES, dtype=self.dtype, name="norm")(x, labels)


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 2, 4)])
def test_conditional_batch_norm_is_numpys(shape):
    x = 3 + 2 * draw(*shape)
    variables = Normed().init(KEY, x, LABELS)
    own = variables["params"]["norm"]
    assert {name: leaf.shape for name, leaf in own.items()} == {"gain": (3, 4), "bias": (3, 4)}
    assert np.all(own["gain"] == 1)
    assert not np.any(own["bias"])
    gain, bias = draw(3, 4, seed=1), draw(3, 4, seed=2)
    variables = {**variables, "params": {"norm": {"gain": gain, "bias": bias}}}
    axes = tuple(range(x.ndim - 1))
    exact = np.asarray(x, np.float64)
    standard = (exact - exact.mean(axes)) / np.sqrt(exact.var(axes) + 1e-5)
    output, changed = Normed().apply(variables, x, LABELS, train=True, mutable=["batch_stats"])
    expected = [gain[y] * row + bias[y] for row, y in zip(standard, LABELS, strict=True)]
    np.testing.assert_allclose(output, np.stack(expected), rtol=1e-4, atol=1e-4)
    # Out of training, the running statistics: a tenth of this batch's, nine of 0 and 1.
    output = Normed().apply({**variables, **changed}, x, LABELS)
    standard = (exact - 0.1 * exact.mean(axes)) / np.sqrt(0.9 + 0.1 * exact.var(axes) + 1e-5)
    expected = [gain[y] * row + bias[y] for row, y in zip(standard, LABELS, strict=True)]
    np.testing.assert_allclose(output, np.stack(expected), rtol=1e-4, atol=1e-4)
    assert Normed(jnp.bfloat16).apply(variables, x, LABELS).dtype == jnp.bfloat16


def test_a_label_that_is_no_class_is_seen_in_the_result():
    x = draw(2, 4)
    output = Normed().apply(Normed().init(KEY, x, LABELS[:2]), x, np.array([0, CLASSES]))
    assert np.all(np.isfinite(output[0]))
    assert np.all(np.isnan(output[1]))
