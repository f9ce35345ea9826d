"""What every method promises: finite steps, each loss its own player's, exact resume, devices."""

import functools
from types import SimpleNamespace
from unittest import mock

import flax.linen as nn
import jax
import numpy as np
import pytest
import tiny
from jax.sharding import NamedSharding
from method_tables import CASES, KEY, Painter, batch, start, step

from jaxgan import load_generator
from jaxgan.checkpoints import checkpoint
from jaxgan.inference.load import draw_images
from jaxgan.inference.translator import load_translator
from jaxgan.inputs import describe_inputs, draw_inputs
from jaxgan.methods import variables_of
from jaxgan.training import sharding

DEVICES = 4
MESH = sharding.make_mesh(jax.devices()[:DEVICES])
ONE = sharding.make_mesh(jax.devices()[:1])
# Sums in another order: one part in ten million each, which three steps add up.
ROUNDING = 3e-6
SIDES = ("generator", "discriminator")

every_method = pytest.mark.parametrize("name", CASES)


@functools.cache
def compiled(name):
    """The step of one device, which all tests share."""
    return jax.jit(step(name))


def on(mesh, name, seed=0):
    """State and batch where a step leaves its state, so that the second one is no other program."""
    return sharding.replicate(start(name), mesh), sharding.shard_batch(batch(name, seed=seed), mesh)


@functools.cache
def three_steps(name):
    """The states after 0, 1, 2 and 3 steps on other batches each, and the metrics of each step."""
    states, history = [on(ONE, name)[0]], []
    for seed in range(3):
        state, metrics = compiled(name)(states[-1], on(ONE, name, seed)[1])
        states.append(state)
        history.append(metrics)
    return states, history


@every_method
def test_steps_are_finite_and_compiled_once(name):
    states, history = three_steps(name)
    assert compiled(name)._cache_size() == 1
    assert all(value.shape == () for value in history[0].values())
    for leaf in jax.tree.leaves((numbers(states[1:]), history)):
        assert np.all(np.isfinite(leaf))


@every_method
@pytest.mark.parametrize("still", SIDES)
def test_each_loss_moves_its_own_player_alone(name, still):
    state, data = on(ONE, name)
    player = getattr(state, still)
    rate = {"learning_rate": 0 * player.opt_state.hyperparams["learning_rate"]}
    player = player.replace(opt_state=player.opt_state._replace(hyperparams=rate))
    after, _ = compiled(name)(state.replace(**{still: player}), data)
    for side in SIDES:
        before, now = (jax.tree.leaves(getattr(x, side).params) for x in (state, after))
        kernels = [i for i, x in enumerate(before) if x.ndim > 1]
        same = [bool(np.all(x == y)) for x, y in zip(before, now, strict=True)]
        # Biases before batch norm have no gradient.
        assert all(same) if side == still else not any(same[i] for i in kernels)


@every_method
def test_each_pass_over_images_is_kept_in_the_statistics(name):
    """One of the generator; of the discriminator one over real and one over generated images."""
    states, _ = three_steps(name)
    passes = 2 * CASES[name].options.get("disc_steps", 1)
    for side, expected in zip(SIDES, (1, passes), strict=True):
        before, after = (getattr(state, side).model_state["passes"] for state in states[:2])
        counts = jax.tree.leaves(jax.tree.map(lambda x, y: float(y - x), before, after))
        assert counts == pytest.approx([expected] * len(counts), rel=1e-5)
        assert counts


@pytest.mark.parametrize("name", ["stackgan_two", "dmd2"])
def test_what_a_method_holds_frozen_no_step_moves(name):
    states, _ = three_steps(name)
    assert tiny.difference(states[3].extra, states[0].extra) == 0 < len(states[0].extra)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """From a method's name to the folder of a run that was saved after its first step."""

    @functools.cache
    def save(name):
        workdir, state = tmp_path_factory.mktemp(name), three_steps(name)[0][1]
        with checkpoint.open_checkpoints(workdir, keep=1) as manager:
            described = {"inputs": describe_inputs(CASES[name].method(None).inputs)}
            checkpoint.save(manager, state, {}, described)
        return workdir

    return save


@every_method
def test_a_restored_state_goes_on_bit_for_bit(name, saved):
    zeros = jax.tree.map(lambda x: 0 * x, start(name).replace(key=0))
    template = zeros.replace(key=jax.random.key(1))
    with checkpoint.open_checkpoints(saved(name)) as manager:
        data = SimpleNamespace(set_state=lambda position: None)
        state = checkpoint.restore(manager, 1, sharding.replicate(template, ONE), data)
    for seed in (1, 2):
        state, _ = compiled(name)(state, on(ONE, name, seed)[1])
    pairs = jax.tree.leaves(numbers(state)), jax.tree.leaves(numbers(three_steps(name)[0][3]))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*pairs, strict=True))


def from_latents(name, workdir):
    generate = load_generator(workdir, ema=False, generator=Painter())
    inputs = draw_inputs(generate.inputs, KEY, 5)
    return generate(*inputs), inputs, lambda variables: variables


def from_images(name, workdir):
    images = abs(batch(name)["a"])
    made = load_translator(workdir, "ab", generator=Painter())(images)
    return made, (2 * images - 1,), lambda variables: variables_of(variables, "ab")


def from_pairs(name, workdir):
    images = abs(batch(name)["a"])
    return load_generator(workdir, generator=Painter())(images), (2 * images - 1,), dict


LOADERS = dict.fromkeys(CASES, from_latents) | dict.fromkeys(("cyclegan", "discogan"), from_images)
LOADERS["pix2pix"] = from_pairs
# Of networks of its own alone, in experiments/test_stackgan.py.
LOADERS = {name: load for name, load in LOADERS.items() if not name.startswith("stackgan")}


@pytest.mark.parametrize("name", LOADERS)
def test_it_draws_from_its_checkpoint(name, saved):
    images, inputs, pick = LOADERS[name](name, saved(name))
    variables = pick(three_steps(name)[0][1].generator.variables)
    np.testing.assert_array_equal(images, draw_images(Painter(), variables, *inputs))
    assert np.std(images, axis=0).min() > 0


# Devices.


def three(one, state, data):
    """The state after three steps on the same batch, and the metrics of each."""
    history = []
    for _ in range(3):
        state, metrics = one(state, data)
        history.append(numbers(metrics))
    return numbers(state), jax.tree.map(lambda *values: np.stack(values), *history)


@functools.cache
def alone(name):
    return three(compiled(name), *on(ONE, name))


def numbers(tree):
    """On the host, with keys as the numbers behind them."""

    def leaf(x):
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x)

    return jax.tree.map(leaf, tree)


def by_jit(name):
    return three(jax.jit(step(name)), *on(MESH, name))


def by_cut_states(name):
    """By `jit`, with two devices for the large layers of each of two copies, also cut in two."""
    mesh = sharding.make_mesh(jax.devices()[:DEVICES], model=2)
    with mock.patch.multiple(sharding, SMALLEST=8, LARGE=32):
        places = sharding.shard_state(start(name), mesh, over_data=True)
        assert any(not place.is_fully_replicated for place in jax.tree.leaves(places))
        share = functools.partial(sharding.share_parameters, mesh=mesh, over_data=True)
        state, data = on(mesh, name)
        one = jax.jit(step(name, share=share), out_shardings=(places, None))
        return three(one, sharding.place(state, places), data)


def by_shard_map(name):
    specs = {"in_specs": (jax.P(), jax.P("data")), "out_specs": (jax.P(), jax.P())}
    mapped = jax.shard_map(step(name, "data"), mesh=MESH, **specs)
    with nn.intercept_methods(refuse_a_key_that_devices_share):
        return three(jax.jit(mapped), *on(MESH, name))


def refuse_a_key_that_devices_share(call, args, kwargs, context):
    """What a network draws in training, each device draws for itself."""
    if kwargs.get("train"):
        with pytest.raises(ValueError, match="varying"):  # it cannot be made so twice
            jax.lax.pcast(context.module.make_rng("dropout"), "data", to="varying")
    return call(*args, **kwargs)


def by_pmap(name):
    mapped = jax.pmap(step(name, "data"), axis_name="data", devices=list(MESH.devices.flat))
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
    summed, which these four leave to the step or have from a loss that another case has.
    """
    by_others = {"acgan", "drawn_penalties", "infogan", "sgan_conditional_consistent"}
    by_one = set(CASES) - {"sgan"}
    rare = {by_jit: by_one, by_cut_states: by_one, by_shard_map: set(), by_pmap: by_others}
    return name in rare[run_on_devices] | {"stackgan_one"}


@pytest.mark.parametrize(
    ("name", "run_on_devices"),
    [
        pytest.param(name, run, marks=[pytest.mark.long] if is_rare(name, run) else [])
        for name in CASES
        for run in (by_jit, by_cut_states, by_shard_map, by_pmap)
    ],
)
def test_four_devices_equal_one(name, run_on_devices):
    (state, metrics), (expected, wanted) = run_on_devices(name), alone(name)
    assert metrics.keys() == wanted.keys()
    for metric, values in metrics.items():
        np.testing.assert_allclose(values, wanted[metric], rtol=1e-5, atol=ROUNDING, err_msg=metric)
    assert tiny.difference(state, expected) < ROUNDING
    before = numbers(start(name))
    for side in SIDES:
        moved = tiny.difference(getattr(state, side).params, getattr(before, side).params)
        assert moved > 1000 * ROUNDING
