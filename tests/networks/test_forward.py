"""Small networks, run: each against NumPy, in both dtypes, in both modes."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import (
    BATCH,
    KEY,
    LATENT_DIM,
    OTHER_KEY,
    TINY,
    abstract,
    every_dtype,
    every_tiny,
    flat,
)
from scipy.special import expit

from jaxgan.networks import (
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
)


def is_generator(module):
    return isinstance(module, MLPGenerator | DCGANGenerator)


def input_shape(module):
    if is_generator(module):
        return (BATCH, LATENT_DIM)
    # 10 pixels by 5x5 and stride 2 pad unevenly, and the second layer halves an odd side.
    return (BATCH, 10, 10, 2)


class Run(NamedTuple):
    module: nn.Module
    inputs: np.ndarray
    variables: dict
    # (variables, inputs, key) -> ((output, changed collections) of evaluation and of training);
    # together, since one program compiles faster than two.
    apply: Callable

    def evaluate(self, scale=1.0):
        return self.apply(self.variables, scale * self.inputs, KEY)[0]

    def train(self, key=KEY):
        return self.apply(self.variables, self.inputs, key)[1]


@functools.cache
def run(name, dtype=jnp.float32):
    """A small network whose every parameter and statistic is random, so that each one counts."""
    module = TINY[name].clone(dtype=dtype)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal(input_shape(module)).astype(np.float32)

    def fill(path, leaf):
        values = rng.standard_normal(leaf.shape)
        kind = path[-1].key
        if kind == "kernel":
            values /= math.sqrt(math.prod(leaf.shape[:-1]))
        elif kind in ("scale", "var"):
            values = 0.5 + values**2
        return np.asarray(values, leaf.dtype)

    _, shapes = abstract(module, inputs.shape)
    variables = jax.tree_util.tree_map_with_path(fill, shapes)

    @jax.jit
    def apply(variables, inputs, key):
        # No key for dropout in evaluation: asking for one would be an error.
        evaluated = module.apply(variables, inputs, mutable=["batch_stats"])
        trained = module.apply(
            variables, inputs, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        return evaluated, trained

    return Run(module, inputs, variables, apply)


def has_dropout(module):
    return bool(getattr(module, "dropout", 0))


class Numpy:
    """The small networks once more, in float64 and straight from the papers."""

    def __init__(self, variables, train):
        self.params, self.statistics = variables["params"], variables.get("batch_stats", {})
        self.train, self.used = train, set()

    def take(self, name, tree=None):
        tree = self.params if tree is None else tree
        for part in name.split("/"):
            tree = tree[part]
        return np.asarray(tree, np.float64)

    def bias(self, layer):
        node = self.params
        for part in layer.split("/"):
            node = node[part]
        return self.take(f"{layer}/bias") if "bias" in node else 0.0

    def dense(self, layer, x):
        return x @ self.take(f"{layer}/kernel") + self.bias(layer)

    def conv(self, layer, x, stride=1):
        kernel = self.take(f"{layer}/kernel")
        k, size = kernel.shape[0], x.shape[1]
        missing = max((-(-size // stride) - 1) * stride + k - size, 0)
        pad = (missing // 2, missing - missing // 2)
        return correlate(x, kernel, stride, pad) + self.bias(layer)

    def up(self, layer, x, method):
        if method == "resize":
            x = x.repeat(2, axis=1).repeat(2, axis=2)
            return self.conv(f"{layer}/Conv_0", x)
        kernel = self.take(f"{layer}/ConvTranspose_0/kernel")
        b, h, w, c = x.shape
        spread = np.zeros((b, 2 * h - 1, 2 * w - 1, c))
        spread[:, ::2, ::2] = x
        k = kernel.shape[0]
        before = -(-k // 2)
        out = correlate(spread, kernel, 1, (before, k - before))
        assert out.shape[1:3] == (2 * h, 2 * w)
        return out + self.bias(f"{layer}/ConvTranspose_0")

    def norm(self, layer, x):
        if self.train:
            axes = tuple(range(x.ndim - 1))
            mean, var = x.mean(axes), x.var(axes)
        else:
            mean = self.take(f"{layer}/norm/mean", self.statistics)
            var = self.take(f"{layer}/norm/var", self.statistics)
        scale = self.take(f"{layer}/norm/scale")
        return (x - mean) / np.sqrt(var + 1e-5) * scale + self.take(f"{layer}/norm/bias")

    def __call__(self, module, x):
        x = np.asarray(x, np.float64)
        if isinstance(module, MLPGenerator):
            for i in range(len(module.hidden)):
                x = self.dense(f"Dense_{i}", x)
                if module.batch_norm:
                    x = self.norm(f"BatchNorm_{i}", x)
                x = leaky(x, module.slope)
            x = self.dense(f"Dense_{len(module.hidden)}", x)
            x = expit(x) if module.sigmoid else np.tanh(x)
            return x.reshape(-1, *module.image_shape)
        if isinstance(module, MLPDiscriminator):
            x = x.reshape(len(x), -1)
            for i in range(len(module.hidden)):
                x = leaky(self.dense(f"Dense_{i}", x), 0.2)
            return self.dense("logits", x)[:, 0]
        if isinstance(module, DCGANGenerator):
            side, ups = module.base_size, len(module.widths) - 1
            shape = -1, side, side, module.widths[0]
            x = self.dense("Dense_0", x)
            x = self.norm("BatchNorm_0", x if module.norm_units else x.reshape(shape))
            x = leaky(x.reshape(shape), 0)
            for i in range(ups):
                x = self.up(f"Upsample_{i}", x, module.upsampling)
                x = leaky(self.norm(f"BatchNorm_{i + 1}", x), 0)
            if module.last_doubles:
                return np.tanh(self.up(f"Upsample_{ups}", x, module.upsampling))
            return np.tanh(self.conv("Conv_0", x))
        for i in range(len(module.widths)):
            x = self.conv(f"Conv_{i}", x, stride=2)
            if i > 0:
                x = self.norm(f"BatchNorm_{i - 1}", x)
            x = leaky(x, 0.2)
        return self.dense("logits", x.reshape(len(x), -1))[:, 0]


def correlate(x, kernel, stride, pad):
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
    k = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))
    return np.einsum("bhwcij,ijco->bhwo", windows[:, ::stride, ::stride], kernel)


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


@every_tiny
def test_the_forward_pass_is_numpys(name):
    module, inputs, variables, _ = run(name)
    output, _ = run(name).evaluate()
    expected = Numpy(variables, train=False)(module, inputs)
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, atol=1e-5, rtol=1e-5)


@every_tiny
def test_the_training_pass_is_numpys_with_the_batch_s_own_statistics(name):
    module, inputs, variables, _ = run(name)
    if has_dropout(module):
        without = module.clone(dropout=() if is_generator(module) else 0.0)
        output, _ = without.apply(variables, inputs, train=True, mutable=["batch_stats"])
    else:
        output, _ = run(name).train()
    expected = Numpy(variables, train=True)(module, inputs)
    np.testing.assert_allclose(output, expected, atol=2e-5, rtol=1e-5)


@every_tiny
def test_batch_statistics_change_in_training_only(name):
    statistics = flat(run(name).variables.get("batch_stats", {}))
    unchanged = flat(run(name).evaluate()[1].get("batch_stats", {}))
    changed = flat(run(name).train()[1].get("batch_stats", {}))
    layers = {
        "mlp generator, batch norm": 2,
        "dcgan generator, 5x5": 2,
        "dcgan generator, 4x4": 2,
        "dcgan generator, 5x5, resize": 2,
        "dcgan generator, 4x4, resize": 2,
        "dcgan discriminator, 5x5": 1,  # all but the first
        "dcgan discriminator, 4x4": 2,
        "dcgan generator, paper": 2,
        "dcgan discriminator, paper": 1,
    }.get(name, 0)
    assert len(statistics) == len(changed) == 2 * layers
    for key, before in statistics.items():
        np.testing.assert_array_equal(before, unchanged[key])
        assert np.all(np.asarray(before) != np.asarray(changed[key])), key


@pytest.mark.parametrize("name", ["mlp generator, batch norm", "dcgan generator, 5x5"])
def test_running_statistics_move_by_a_tenth(name):
    _, inputs, variables, _ = run(name)
    changed = run(name).train()[1]["batch_stats"]["BatchNorm_0"]["norm"]
    before = variables["batch_stats"]["BatchNorm_0"]["norm"]
    x = np.asarray(inputs, np.float64) @ np.asarray(variables["params"]["Dense_0"]["kernel"])
    x = x.reshape(-1, before["mean"].shape[0])
    for kind, now in (("mean", x.mean(0)), ("var", x.var(0))):
        expected = 0.9 * np.asarray(before[kind]) + 0.1 * now
        np.testing.assert_allclose(changed[kind], expected, rtol=1e-5, atol=1e-6)


DROPPING = {
    "mlp generator, leaky and dropout",
    "mlp generator, batch norm",
    "mlp discriminator, dropout",
}


@every_tiny
def test_dropout_is_active_in_training_only(name):
    once, again, other = (
        run(name).apply(run(name).variables, run(name).inputs, key) for key in (KEY, KEY, OTHER_KEY)
    )
    jax.tree.map(np.testing.assert_array_equal, once, again)
    np.testing.assert_array_equal(once[0][0], other[0][0])
    assert np.any(once[1][0] != other[1][0]) == (name in DROPPING)


@pytest.mark.parametrize(
    ("module", "rates"),
    [
        (MLPGenerator((1000, 1000), (4, 4, 1), dropout=(0.5, 0.4)), (0.5, 0.4)),
        (MLPDiscriminator((1000, 1000), dropout=0.3), (0.3, 0.3)),
    ],
)
def test_the_dropout_rates(module, rates):
    inputs = np.ones((4, LATENT_DIM) if is_generator(module) else (4, 4, 4, 1), np.float32)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(leaf.dtype),
        abstract(module, inputs.shape)[1],
    )
    _, seen = module.apply(
        variables,
        inputs,
        train=True,
        rngs={"dropout": KEY},
        mutable=["intermediates"],
        capture_intermediates=True,
    )
    for i, rate in enumerate(rates):
        dropped = np.asarray(seen["intermediates"][f"Dropout_{i}"]["__call__"][0])
        assert dropped.size == 4000
        assert np.mean(dropped == 0) == pytest.approx(rate, abs=5 * math.sqrt(0.25 / 4000))


@every_tiny
@every_dtype
def test_values_are_float32_finite_and_in_range(name, dtype):
    module, _, variables, _ = run(name, dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    trained, statistics = run(name, dtype).train()
    assert {leaf.dtype for leaf in jax.tree.leaves(statistics)} <= {jnp.dtype("float32")}
    for output in (*(run(name, dtype).evaluate(scale)[0] for scale in (1, 30)), trained):
        assert output.dtype == jnp.float32
        assert np.all(np.isfinite(output))
        if is_generator(module):
            low, high = module.value_range
            assert np.all((output >= low) & (output <= high))
    if is_generator(module):
        # The whole range is used, and no other.
        extreme = np.asarray(run(name, dtype).evaluate(1e4)[0])
        assert extreme.min() == pytest.approx(low, abs=1e-2)
        assert extreme.max() == pytest.approx(high, abs=1e-2)
    else:
        assert output.shape == (BATCH,)


@every_tiny
def test_bfloat16_computes_in_bfloat16(name):
    exact, coarse = (run(name, dtype).evaluate()[0] for dtype in (jnp.float32, jnp.bfloat16))
    error = np.max(np.abs(exact - coarse))
    # Some eight bits through a few layers: near, and not equal.
    assert 1e-4 < error < 0.1
    # And so does every layer, up to the last cast.
    module, inputs, variables, _ = run(name, jnp.bfloat16)
    _, seen = jax.eval_shape(
        lambda: module.apply(
            variables, inputs, mutable=["intermediates"], capture_intermediates=True
        )
    )
    dtypes = {key: leaf[0].dtype for key, leaf in layers_of(seen["intermediates"])}
    assert len(dtypes) > 2
    assert set(dtypes.values()) == {jnp.dtype("bfloat16")}, dtypes


def layers_of(tree, path=""):
    """What each layer gave, without the network itself."""
    for key, value in tree.items():
        if key != "__call__":
            yield from layers_of(value, f"{path}/{key}")
        elif path:
            yield path, value


@pytest.mark.parametrize(
    "name",
    [
        "mlp generator, batch norm",
        "mlp discriminator, dropout",
        "dcgan generator, 4x4",
        "dcgan discriminator, 4x4",
    ],
)
def test_jit_changes_nothing(name):
    module, inputs, variables, _ = run(name)
    eager = module.apply(variables, inputs)
    np.testing.assert_allclose(eager, run(name).evaluate()[0], rtol=1e-5, atol=1e-6)
