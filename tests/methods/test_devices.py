"""Every method on four devices gives what it gives on one: losses, parameters, extra state."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest
import tiny
from jax.sharding import NamedSharding
from method_tables import CASES, batch, start, step

from jaxgan.training import sharding

DEVICES = 4
MESH = sharding.make_mesh(jax.devices()[:DEVICES])
# Sums in another order: one part in ten million each, which three steps add up.
ROUNDING = 3e-6


@functools.cache
def compiled(name):
    return jax.jit(step(name))


def three(one, state, data):
    """The state after three steps on the same batch, and the metrics of each."""
    history = []
    for _ in range(3):
        state, metrics = one(state, data)
        history.append(numbers(metrics))
    return numbers(state), jax.tree.map(lambda *values: np.stack(values), *history)


@functools.cache
def alone(name):
    return three(compiled(name), start(name), batch(name))


def numbers(tree):
    """On the host, with keys as the numbers behind them."""

    def leaf(x):
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x)

    return jax.tree.map(leaf, tree)


def by_jit(name):
    return three(compiled(name), *on_the_mesh(name))


def on_the_mesh(name):
    # Where a step leaves its state, so that the second one is no other program.
    return sharding.replicate(start(name), MESH), sharding.shard_batch(batch(name), MESH)


def by_shard_map(name):
    specs = {"in_specs": (jax.P(), jax.P("data")), "out_specs": (jax.P(), jax.P())}
    mapped = jax.shard_map(step(name, "data"), mesh=MESH, **specs)
    with nn.intercept_methods(refuse_a_key_that_devices_share):
        return three(jax.jit(mapped), *on_the_mesh(name))


def refuse_a_key_that_devices_share(call, args, kwargs, context):
    """What a network draws in training, each device draws for itself."""
    if kwargs.get("train"):
        with pytest.raises(ValueError, match="varying"):  # it cannot be made so twice
            jax.lax.pcast(context.module.make_rng("dropout"), "data", to="varying")
    return call(*args, **kwargs)


def by_pmap(name):
    mapped = jax.pmap(step(name, "data"), axis_name="data", devices=list(MESH.devices))
    stacked = jax.tree.map(lambda x: np.stack([x] * DEVICES), numbers(start(name)))
    stacked = stacked.replace(key=jax.random.wrap_key_data(stacked.key))
    state = jax.device_put(stacked, NamedSharding(MESH, jax.P("data")))
    shares = jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), batch(name))
    state, metrics = three(mapped, state, shares)
    result = state, jax.tree.map(lambda x: x.swapaxes(0, 1), metrics)
    first, *others = (jax.tree.map(lambda x, i=i: x[i], result) for i in range(DEVICES))
    assert all(tiny.difference(first, other) == 0 for other in others)
    return first


def is_rare(name, run_on_devices):
    """A sharded batch is XLA's affair, not the methods'; Stage II has all that Stage I has.

    `pmap` is `shard_map` that does not know what devices share: it matters to how gradients are
    summed, which these three leave to the step or have from a loss that another case has.
    """
    by_others = {"acgan", "drawn_penalties", "sgan_conditional_consistent"}
    rare = {by_jit: set(CASES) - {"sgan"}, by_shard_map: set(), by_pmap: by_others}
    return name in rare[run_on_devices] | {"stackgan_one"}


@pytest.mark.parametrize(
    ("name", "run_on_devices"),
    [
        pytest.param(name, run, marks=[pytest.mark.long] if is_rare(name, run) else [])
        for name in CASES
        for run in (by_jit, by_shard_map, by_pmap)
    ],
)
def test_four_devices_equal_one(name, run_on_devices):
    (state, metrics), (expected, wanted) = run_on_devices(name), alone(name)
    assert metrics.keys() == wanted.keys()
    for metric, values in metrics.items():
        np.testing.assert_allclose(values, wanted[metric], rtol=1e-5, atol=ROUNDING, err_msg=metric)
    assert tiny.difference(state, expected) < ROUNDING
    before = numbers(start(name))
    for side in ("generator", "discriminator"):
        moved = tiny.difference(getattr(state, side).params, getattr(before, side).params)
        assert moved > 1000 * ROUNDING
