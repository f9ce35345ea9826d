"""Spectral normalisation: the largest singular value against NumPy's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import PartitionSpec as P

from jaxgan import losses, make_train_step
from jaxgan.batch_statistics import standing_statistics
from jaxgan.losses.penalties import r1
from jaxgan.methods import adversarial
from jaxgan.networks import MLPGenerator
from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.networks.spectral import SpectralNorm
from jaxgan.step import apply_train

KEY = jax.random.key(0)
LAYERS = {
    "dense": (lambda **options: nn.Dense(7, **options), (3, 5)),
    "conv": (lambda **options: Conv(6, (3, 4), 2, **options), (3, 6, 5, 4)),
    "transposed": (lambda **options: ConvTranspose(6, (4, 4), 2, **options), (3, 4, 5, 3)),
}
every_layer = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS.keys())


class Wrapped(nn.Module):
    make: object
    dtype: type = jnp.float32

    @nn.compact
    def __call__(self, x, train=False):
        init = nn.initializers.normal(0.02)
        layer = self.make(dtype=self.dtype, kernel_init=init, name="layer")
        return SpectralNorm(layer)(x, update_stats=train)


class Plain(nn.Module):
    make: object

    @nn.compact
    def __call__(self, x, train=False):
        return self.make(kernel_init=nn.initializers.normal(0.02), name="layer")(x)


class Critic(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = SpectralNorm(Conv(4, (3, 3), 2))(x, update_stats=train)
        x = nn.leaky_relu(x, 0.2).reshape(x.shape[0], -1)
        return SpectralNorm(nn.Dense(1))(x, update_stats=train)[:, 0]


def draw(shape, seed=0, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def largest(kernel):
    matrix = np.asarray(kernel, np.float64)
    return np.linalg.svd(matrix.reshape(-1, matrix.shape[-1]), compute_uv=False)[0]


def iterated(module, variables, x, passes):
    """The variables after so many passes in training."""

    def body(state, _):
        return apply_train(module, {**variables, **state}, x, key=KEY)[1], None

    state = {name: variables[name] for name in variables if name != "params"}
    state, _ = jax.jit(lambda state: jax.lax.scan(body, state, length=passes))(state)
    return {**variables, **state}


@every_layer
@pytest.mark.parametrize("train", [False, True])
def test_the_parameters_are_those_of_the_plain_layer(make, shape, train):
    x = draw(shape)
    variables = Wrapped(make).init(KEY, x, train=train)
    plain = Plain(make).init(KEY, x)
    jax.tree.map(np.testing.assert_array_equal, variables["params"], plain["params"])
    assert set(variables) == {"params", "spectral"}


@every_layer
def test_the_layer_computes_with_its_kernel_over_the_largest_singular_value(make, shape):
    x = draw(shape)
    module = Wrapped(make)
    variables = module.init(KEY, x)
    variables["params"]["layer"]["bias"] = draw(variables["params"]["layer"]["bias"].shape, 1)
    kernel = variables["params"]["layer"]["kernel"]
    variables = iterated(module, variables, x, 200)
    bias = variables["params"]["layer"]["bias"]
    divided = {"params": {"layer": {"kernel": kernel / largest(kernel), "bias": bias}}}
    expected = Plain(make).apply(divided, x)
    for train in (False, True):
        output = module.apply(variables, x, train=train, mutable=["spectral"])[0]
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)
    # The matrix whose singular value it is bounds the slope of a dense layer.
    if len(shape) == 2:
        slope = jax.jacrev(lambda row: module.apply(variables, row[None])[0])(x[0])
        assert np.linalg.norm(slope, 2) == pytest.approx(1, rel=1e-4)


def test_a_pass_in_training_goes_on_from_the_last_and_one_outside_changes_nothing():
    make, shape = LAYERS["dense"]
    x, module = draw(shape), Wrapped(make)
    variables = module.init(KEY, x)
    kernel = variables["params"]["layer"]["kernel"]

    def estimate(variables):
        # The layer divides by this much.
        output = module.apply(variables, x, train=False)
        return float(jnp.linalg.norm(x @ kernel) / jnp.linalg.norm(output))

    errors = [
        abs(estimate(iterated(module, variables, x, n)) / largest(kernel) - 1) for n in (0, 5, 100)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-5
    _, changed = module.apply(variables, x, train=False, mutable=["spectral"])
    jax.tree.map(np.testing.assert_array_equal, changed["spectral"], variables["spectral"])


def test_the_gradient_is_that_of_the_singular_value_decomposition():
    make, shape = LAYERS["conv"]
    with jax.enable_x64(True):
        x = draw(shape, dtype=np.float64)
        module = Wrapped(make, jnp.float64)
        variables = iterated(module, jax.tree.map(np.float64, module.init(KEY, x)), x, 2000)
        weights, step = draw((3, 3, 3, 6), 1, np.float64), draw((3, 4, 4, 6), 2, np.float64)

        def value(kernel):
            params = {"layer": {**variables["params"]["layer"], "kernel": kernel}}
            return jnp.sum(weights * module.apply({**variables, "params": params}, x))

        def exact(kernel):
            kernel = {"kernel": jnp.asarray(kernel / largest(kernel)), "bias": jnp.zeros(6)}
            layer = make(dtype=jnp.float64)
            return float(jnp.sum(weights * layer.apply({"params": kernel}, x)))

        kernel = np.asarray(variables["params"]["layer"]["kernel"])
        h = 1e-6 * np.asarray(step)
        expected = (exact(kernel + h) - exact(kernel - h)) / 2
        actual = np.sum(np.asarray(jax.grad(value)(jnp.asarray(kernel))) * h)
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


@every_layer
def test_a_narrow_layer_keeps_its_vectors_wide(make, shape):
    x = draw(shape)
    module = Wrapped(make, jnp.bfloat16)
    variables = iterated(module, module.init(KEY, x), x, 50)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    output = module.apply(variables, x)
    assert output.dtype == jnp.bfloat16
    expected = Wrapped(make).apply(variables, x)
    difference = np.linalg.norm(np.asarray(output, np.float32) - np.asarray(expected))
    assert difference < 0.02 * np.linalg.norm(expected)


def test_it_couples_no_examples_and_needs_no_standing_statistics():
    x, module = draw((3, 4, 4, 1)), Critic()
    variables = module.init(KEY, x)
    assert float(r1(lambda x: apply_train(module, variables, x, key=KEY)[0], x)) > 0
    assert standing_statistics(module, variables, x[None]) is variables


def test_a_train_step_carries_the_vectors_on_one_device_and_on_eight(mesh):
    generator, tx = MLPGenerator((6,), (4, 4, 1)), optax.sgd(0.1)
    batch = {"image": draw((16, 4, 4, 1))}

    def run(step):
        step = jax.jit(step, compiler_options={"xla_backend_optimization_level": 0})
        after = state
        for _ in range(2):
            after, _ = step(after, batch)
        return after

    def build(axis_name=None):
        return make_train_step(make_game(axis_name), tx, tx, axis_name=axis_name)

    def make_game(axis_name=None):
        options = {"latent_dim": 3, "loss": losses.hinge}
        return adversarial(generator, Critic(), axis_name=axis_name, **options)

    state = make_game().init(KEY, batch, tx, tx)
    one = run(build())
    before, after = (s.discriminator.model_state["spectral"] for s in (state, one))
    assert tiny.difference(before, after) > 0.01
    mapped = jax.shard_map(
        build("data"), mesh=mesh, in_specs=(P(), P("data")), out_specs=(P(), P())
    )
    batch = jax.device_put(batch, jax.NamedSharding(mesh, P("data")))
    assert tiny.difference(run(mapped), one) < 1e-5
