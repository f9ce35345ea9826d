"""Every network: the published sizes, an independent forward pass, and the habits all share."""

import functools
import itertools
import json
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from jaxgan import networks
from jaxgan.errors import UserError
from jaxgan.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
    dcgan,
    describe,
    from_description,
    mlp,
)
from jaxgan.networks.layers import Upsample

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def flat(tree):
    """Pytree of dictionaries -> {"Dense_0/kernel": leaf}."""
    return {
        "/".join(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


# The published architectures, as shapes alone.


def dense(inputs, outputs):
    return inputs * outputs + outputs


def norm(features):
    return 2 * features  # scale and bias


class Pair(NamedTuple):
    """A published pair; the counts are the architecture's arithmetic, layer by layer."""

    make: Callable
    latent_dim: int
    image_shape: tuple[int, int, int]
    generator_kernels: list[tuple[int, ...]]
    discriminator_kernels: list[tuple[int, ...]]
    generator_count: int
    discriminator_count: int
    # Channels under batch norm, each with a running mean and a running variance.
    generator_normed: int = 0
    discriminator_normed: int = 0


def dcgan_28(channels, upsampling):
    c, k = channels, 5 if upsampling == "transpose" else 3
    return Pair(
        lambda **options: dcgan(28, channels, upsampling=upsampling, **options),
        100,
        (28, 28, c),
        [(100, 7 * 7 * 128), (k, k, 128, 64), (k, k, 64, 32), (5, 5, 32, c)],
        [(5, 5, c, 32), (5, 5, 32, 64), (5, 5, 64, 128), (4 * 4 * 128, 1)],
        100 * 7 * 7 * 128
        + norm(128)
        + (k * k * 128 * 64 + norm(64))
        + (k * k * 64 * 32 + norm(32))
        + (5 * 5 * 32 * c + c),
        # 28 -> 14 -> 7 -> 4
        (5 * 5 * c * 32 + 32)
        + (5 * 5 * 32 * 64 + norm(64))
        + (5 * 5 * 64 * 128 + norm(128))
        + dense(4 * 4 * 128, 1),
        128 + 64 + 32,
        64 + 128,
    )


def dcgan_paper(size, widths, channels, upsampling):
    """`widths` from the latent's side to the image's."""
    c, k = channels, 4 if upsampling == "transpose" else 3
    ups = list(itertools.pairwise(widths))
    downs = [(o, i) for i, o in reversed(ups)]
    return Pair(
        lambda **options: dcgan(size, channels, upsampling=upsampling, **options),
        100,
        (size, size, c),
        [(100, 4 * 4 * widths[0]), *((k, k, i, o) for i, o in ups), (k, k, widths[-1], c)],
        [(4, 4, c, 64), *((4, 4, i, o) for i, o in downs), (4 * 4 * widths[0], 1)],
        (100 * 4 * 4 * widths[0] + norm(widths[0]))
        + sum(k * k * i * o + norm(o) for i, o in ups)
        + (k * k * 64 * c + c),
        (4 * 4 * c * 64 + 64)
        + sum(4 * 4 * i * o + norm(o) for i, o in downs)
        + dense(4 * 4 * widths[0], 1),
        sum(widths),
        sum(widths[:-1]),
    )


def kernels(*widths):
    return list(itertools.pairwise(widths))


PAIRS = {
    "mlp plain": Pair(
        lambda **options: mlp("plain", **options),
        64,
        (28, 28, 1),
        kernels(64, 256, 256, 784),
        kernels(784, 256, 256, 1),
        dense(64, 256) + dense(256, 256) + dense(256, 784),
        dense(784, 256) + dense(256, 256) + dense(256, 1),
    ),
    "mlp plain 32x32x3": Pair(
        lambda **options: mlp("plain", (32, 32, 3), **options),
        64,
        (32, 32, 3),
        kernels(64, 256, 256, 3072),
        kernels(3072, 256, 256, 1),
        dense(64, 256) + dense(256, 256) + dense(256, 3072),
        dense(3072, 256) + dense(256, 256) + dense(256, 1),
    ),
    "mlp dropout": Pair(
        lambda **options: mlp("dropout", **options),
        100,
        (28, 28, 1),
        kernels(100, 256, 512, 1024, 784),
        kernels(784, 1024, 512, 256, 1),
        dense(100, 256) + dense(256, 512) + dense(512, 1024) + dense(1024, 784),
        dense(784, 1024) + dense(1024, 512) + dense(512, 256) + dense(256, 1),
    ),
    "mlp batch_norm": Pair(
        lambda **options: mlp("batch_norm", **options),
        100,
        (28, 28, 1),
        kernels(100, 196, 289, 361, 400, 512, 625, 784, 784),
        kernels(784, 441, 256, 32, 1),
        # A layer that batch norm follows has no bias.
        (100 * 196 + norm(196))
        + (196 * 289 + norm(289))
        + (289 * 361 + norm(361))
        + (361 * 400 + norm(400))
        + (400 * 512 + norm(512))
        + (512 * 625 + norm(625))
        + (625 * 784 + norm(784))
        + dense(784, 784),
        dense(784, 441) + dense(441, 256) + dense(256, 32) + dense(32, 1),
        196 + 289 + 361 + 400 + 512 + 625 + 784,
    ),
}
for _channels in (1, 3):
    for _upsampling in ("transpose", "resize"):
        _name = f"{_channels} {_upsampling}"
        PAIRS[f"dcgan 28 {_name}"] = dcgan_28(_channels, _upsampling)
        for _size, _widths in (
            (32, (256, 128, 64)),
            (64, (512, 256, 128, 64)),
            (128, (1024, 512, 256, 128, 64)),
        ):
            PAIRS[f"dcgan {_size} {_name}"] = dcgan_paper(_size, _widths, _channels, _upsampling)

every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
every_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES.keys())


def abstract(module, shape):
    """(output, variables) of a module as shapes, nothing computed."""
    return jax.eval_shape(
        module.init_with_output, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32)
    )


@every_pair
def test_a_published_pair_has_the_published_sizes(pair):
    generator, discriminator = pair.make()
    for module, inputs, output, expected_kernels, count, normed in (
        (generator, (3, pair.latent_dim), (3, *pair.image_shape),
         pair.generator_kernels, pair.generator_count, pair.generator_normed),
        (discriminator, (3, *pair.image_shape), (3,),
         pair.discriminator_kernels, pair.discriminator_count, pair.discriminator_normed),
    ):  # fmt: skip
        made, variables = abstract(module, inputs)
        assert made.shape == output
        params = flat(variables["params"])
        shapes = [leaf.shape for name, leaf in params.items() if name.endswith("kernel")]
        assert sorted(shapes, key=str) == sorted(expected_kernels, key=str)
        assert sum(leaf.size for leaf in params.values()) == count
        statistics = jax.tree.leaves(variables.get("batch_stats", {}))
        assert sum(leaf.size for leaf in statistics) == 2 * normed


@every_pair
@every_dtype
def test_the_parameter_dtype_is_the_one_asked_for_and_the_output_is_float32(pair, dtype):
    generator, discriminator = pair.make(dtype=dtype, param_dtype=dtype)
    for module, shape in (
        (generator, (2, pair.latent_dim)),
        (discriminator, (2, *pair.image_shape)),
    ):
        made, variables = abstract(module, shape)
        assert made.dtype == jnp.float32
        assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {jnp.dtype(dtype)}


@pytest.mark.parametrize(
    ("generator", "slope", "dropout", "value_range"),
    [
        (mlp("plain")[0], 0.0, (), (-1, 1)),
        (mlp("dropout")[0], 0.2, (), (-1, 1)),
        (mlp("batch_norm")[0], 0.2, (0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4), (0, 1)),
    ],
)
def test_mlp_settings_that_shapes_do_not_show(generator, slope, dropout, value_range):
    assert (generator.slope, generator.dropout) == (slope, dropout)
    assert generator.value_range == value_range


@pytest.mark.parametrize(
    ("variant", "rate"), [("plain", 0.0), ("dropout", 0.3), ("batch_norm", 0.2)]
)
def test_mlp_discriminators_have_their_dropout(variant, rate):
    assert mlp(variant)[1].dropout == rate


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: mlp("deep"), "variant"),
        (lambda: mlp(None), "variant"),
        (lambda: dcgan(30), "image_size"),
        (lambda: dcgan(256), "image_size"),
        (lambda: dcgan("28"), "image_size"),
        (lambda: dcgan(28, upsampling="bilinear"), "upsampling"),
        (lambda: abstract(Upsample(3, method="bilinear"), (1, 4, 4, 2)), "upsampling"),
        (
            lambda: abstract(DCGANGenerator(2, (4, 3), 1, 4, True, upsampling="resise"), (1, 5)),
            "upsampling",
        ),
    ],
)
def test_errors(call, named):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(f"{named}: got ")
    assert "\n" not in str(error.value)


def test_dcgan_weights_are_drawn_as_the_paper_says():
    pair = DCGANGenerator(4, (64, 32), 3, 4, True), DCGANDiscriminator((32, 64), 4)
    params = {}
    for module, shape in zip(pair, ((1, 20), (1, 16, 16, 3)), strict=True):
        made = jax.jit(module.init)(KEY, jnp.zeros(shape))["params"]
        side = type(module).__name__
        params |= {f"{side} {name}": np.asarray(leaf) for name, leaf in flat(made).items()}
    scales = [leaf for name, leaf in params.items() if name.endswith("scale")]
    weights = {name: leaf for name, leaf in params.items() if name.endswith("kernel")}
    assert len(weights) == 6
    weights["every scale"] = np.concatenate(scales) - 1
    for name, leaf in weights.items():
        n = leaf.size
        assert abs(leaf.mean()) < 5 * 0.02 / math.sqrt(n), name
        assert abs(leaf.std() - 0.02) < 5 * 0.02 / math.sqrt(2 * n), name
        # Not cut off at two standard deviations, as `truncated_normal` would be.
        assert stats.kstest(leaf.ravel()[:20000] / 0.02, "norm").pvalue > 1e-4, name
    for name, leaf in params.items():
        if name.endswith("bias"):
            assert not np.any(leaf), name


# Small networks, run: each against NumPy, in both dtypes, in both modes.

LATENT_DIM = 5
BATCH = 6
# For dropout; this generator compiles in a tenth of the default one's time.
KEY, OTHER_KEY = (jax.random.key(seed, impl="rbg") for seed in (0, 1))
TINY = {
    "mlp generator, plain": MLPGenerator((8, 7), (4, 3, 1), slope=0.0),
    "mlp generator, leaky and dropout": MLPGenerator((8, 7), (4, 3, 3), dropout=(0.5, 0.4)),
    "mlp generator, batch norm": MLPGenerator(
        (8, 7), (4, 3, 1), dropout=(0.5, 0.4), batch_norm=True, sigmoid=True
    ),
    "mlp discriminator, plain": MLPDiscriminator((8, 7)),
    "mlp discriminator, dropout": MLPDiscriminator((8, 7), dropout=0.3),
    "dcgan generator, 5x5": DCGANGenerator(3, (6, 4), 1, 5, False),
    "dcgan generator, 4x4": DCGANGenerator(2, (6, 4), 3, 4, True),
    "dcgan generator, 5x5, resize": DCGANGenerator(3, (6, 4), 3, 5, False, "resize"),
    "dcgan generator, 4x4, resize": DCGANGenerator(2, (6, 4), 1, 4, True, "resize"),
    "dcgan discriminator, 5x5": DCGANDiscriminator((4, 6), 5),
    "dcgan discriminator, 4x4": DCGANDiscriminator((4, 6, 5), 4),
}
every_tiny = pytest.mark.parametrize("name", TINY)


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
            x = self.dense("Dense_0", x).reshape(-1, side, side, module.widths[0])
            x = leaky(self.norm("BatchNorm_0", x), 0)
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


# The checkerboard (Odena et al. 2016).


def checkerboard(method, kernel, weights):
    """Share of the energy at the stride's frequency in the image of a constant.

    A pattern of period 2 has four Fourier coefficients: the constant, alternation along height,
    along width, and along both. A constant image has the first alone.
    """
    layer = Upsample(1, method, kernel, use_bias=False)
    x = jnp.ones((1, 12, 12, 8))
    shapes = jax.eval_shape(layer.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: jnp.asarray(weights(leaf.shape), leaf.dtype), shapes)
    image = np.asarray(layer.apply(variables, x), np.float64)[0, :, :, 0]
    assert image.shape == (24, 24)
    image = image[4:-4, 4:-4]  # away from the borders, where the padding shows
    signs = (-1.0) ** np.arange(16)
    ones = np.ones(16)
    energy = [
        np.mean(image * np.outer(v, h)) ** 2
        for v, h in ((ones, ones), (signs, ones), (ones, signs), (signs, signs))
    ]
    # Nothing else is there: the pattern repeats with the stride.
    np.testing.assert_allclose(np.mean(image**2), sum(energy), rtol=1e-5)
    return sum(energy[1:]), sum(energy)


def share(method, kernel, seeds):
    total = np.zeros(2)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        total += checkerboard(method, kernel, lambda shape, rng=rng: rng.standard_normal(shape))
    return total[0] / total[1]


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_random_transposed_convolutions_leave_a_checkerboard(kernel):
    # The four phases of the stride meet taps of their own, so that their values are independent,
    # and three of the four coefficients are not the constant's: 3/4 of the energy on average.
    assert 0.6 < share("transpose", kernel, range(40)) < 0.9


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_random_resize_convolutions_leave_none(kernel):
    assert share("resize", kernel, range(10)) < 1e-10


@pytest.mark.parametrize(
    ("method", "kernel", "expected"),
    [
        # Taps a phase meets, per axis, and the energies of their products:
        ("transpose", 4, 0.0),  # 2 and 2: a stride that divides the kernel overlaps evenly
        # 2 and 1: mean 1.5, alternation 0.5
        ("transpose", 3, (2 * (1.5 * 0.5) ** 2 + 0.5**4) / (1.5**2 + 0.5**2) ** 2),
        # 3 and 2: mean 2.5, alternation 0.5
        ("transpose", 5, (2 * (2.5 * 0.5) ** 2 + 0.5**4) / (2.5**2 + 0.5**2) ** 2),
        ("resize", 4, 0.0),
    ],
)
def test_the_checkerboard_of_uneven_overlap(method, kernel, expected):
    """What equal weights leave: the overlap alone."""
    alternation, total = checkerboard(method, kernel, np.ones)
    assert alternation / total == pytest.approx(expected, rel=1e-5, abs=1e-10)


# A network as JSON and back.


def modules():
    for name, pair in PAIRS.items():
        for dtype_name, dtype in DTYPES.items():
            for side, module in zip(("G", "D"), pair.make(dtype=dtype), strict=True):
                yield f"{name} {side} {dtype_name}", module
    yield from TINY.items()
    yield "param_dtype", MLPDiscriminator((3,), param_dtype=jnp.bfloat16)


@pytest.mark.parametrize("module", dict(modules()).values(), ids=dict(modules()).keys())
def test_describe_and_back(module):
    again = from_description(json.loads(json.dumps(describe(module))))
    assert again == module
    assert hash(again) == hash(module)


def test_a_description_tells_networks_apart_and_leaves_the_mapped_axis_out():
    described = [json.dumps(describe(module), sort_keys=True) for _, module in modules()]
    pairs = [module for _, module in modules()]
    for i, module in enumerate(pairs):
        assert [described[i] == other for other in described] == [
            module == other for other in pairs
        ]
    mapped, plain = (DCGANDiscriminator((4, 6), 5, axis_name=name) for name in ("data", None))
    assert describe(mapped) == describe(plain)
    assert from_description(describe(mapped)) == plain


def test_every_module_of_the_package_is_described_above():
    classes = {
        name
        for name in networks.__all__
        if isinstance(getattr(networks, name), type)
        and issubclass(getattr(networks, name), nn.Module)
    }
    assert {type(module).__name__ for _, module in modules()} == classes


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"module": "VisionTransformer"}, "module: got 'VisionTransformer'"),
        ({"module": "mlp"}, "module: got 'mlp'"),  # a name of the package, but no module
        ({"module": "__all__"}, "module: got '__all__'"),
        ({"module": None}, "module: got None"),
        ({"colour": "red"}, "MLPDiscriminator: .*'colour'"),
        ({"hidden": ...}, "MLPDiscriminator: .*'hidden'"),
        ({"dtype": "float7"}, "MLPDiscriminator: .*float7"),
    ],
)
def test_a_description_of_something_else_is_refused(change, named):
    description = {**describe(MLPDiscriminator((3,))), **change}
    description = {key: value for key, value in description.items() if value is not ...}
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        from_description(description)


def test_mlp_wants_a_dropout_rate_for_each_hidden_layer():
    generator = MLPGenerator(hidden=(4, 4), image_shape=(2, 2, 1), dropout=(0.5,))
    with pytest.raises(UserError, match="dropout: got 1 rates, expected one for each of the 2"):
        generator.init(jax.random.key(0), jnp.zeros((1, 3)))
