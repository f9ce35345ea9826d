"""Networks of NNX, Equinox and plain functions train, resume and load as those of Linen do."""

import sys
from collections.abc import Callable

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

pytest.importorskip("equinox")

import equinox as eqx
import framework_players as fp
from flax import nnx

import jaxgan
from jaxgan import (
    UserError,
    apply_eval,
    create_player,
    create_train_state,
    from_equinox,
    from_functions,
    from_nnx,
    load_discriminator,
    load_generator,
    losses,
    make_train_step,
    networks,
    penalties,
    standing_statistics,
)
from jaxgan.inference import export
from jaxgan.inference.load import make_generate
from jaxgan.inputs import Latents, describe_inputs
from jaxgan.methods import adversarial
from jaxgan.training.generation import how_to_use
from jaxgan.training.loop import Checkpoints, fit

STEPS, TX = 10, optax.sgd(0.1)
# Ten steps on values near 1: a handful of float32 roundings.
ROUNDING = 2e-6
BATCH = {"image": np.random.default_rng(0).uniform(-1, 1, (STEPS, 8, 8, 8, 1)).astype(np.float32)}
FIRST = {"image": BATCH["image"][0]}


def game(generator, discriminator):
    return adversarial(
        generator, discriminator, latent_dim=fp.LATENT_DIM, loss=losses.non_saturating
    )


def trained(generator, discriminator, gen_vars, disc_vars):
    """Metrics and both players' variables after each of ten steps."""
    step = make_train_step(game(generator, discriminator), TX, TX)
    players = (create_player(of, TX) for of in (gen_vars, disc_vars))
    state = create_train_state(jax.random.key(1), *players)

    def body(state, batch):
        state, metrics = step(state, batch)
        return state, (metrics, state.generator.variables, state.discriminator.variables)

    return jax.jit(lambda state: jax.lax.scan(body, state, BATCH)[1])(state)


def references(framework):
    gen_vars = fp.GENERATOR.init(jax.random.key(2), None)
    return gen_vars, framework.reference.init(jax.random.key(3), None)


@pytest.mark.parametrize("name", fp.FRAMEWORKS)
def test_ten_steps_are_those_of_plain_functions(name):
    """Losses, parameters (and so gradients) and statistics after each, from the same weights."""
    framework = fp.FRAMEWORKS[name]
    gen_vars, disc_vars = references(framework)
    expected = trained(fp.GENERATOR, framework.reference, gen_vars, disc_vars)
    state = game(framework.generator, framework.discriminator).init(
        jax.random.key(0), FIRST, TX, TX
    )
    metrics, *players = trained(
        framework.generator,
        framework.discriminator,
        fp.to_framework(framework.generator_layout, gen_vars, state.generator.variables),
        fp.to_framework(framework.discriminator_layout, disc_vars, state.discriminator.variables),
    )
    layouts = framework.generator_layout, framework.discriminator_layout
    players = [
        jax.vmap(lambda of, layout=layout: fp.from_framework(layout, of))(variables)
        for layout, variables in zip(layouts, players, strict=True)
    ]
    for path, value in jax.tree_util.tree_leaves_with_path(expected):
        np.testing.assert_allclose(
            dict(jax.tree_util.tree_leaves_with_path((metrics, *players)))[path],
            value,
            rtol=ROUNDING,
            atol=ROUNDING,
            err_msg=jax.tree_util.keystr(path),
        )


@pytest.mark.parametrize("name", fp.FRAMEWORKS)
def test_what_they_make_outside_training_is_the_same(name):
    framework = fp.FRAMEWORKS[name]
    inputs = jax.random.normal(jax.random.key(4), (4, fp.LATENT_DIM)), FIRST["image"]
    for network, reference, layout, variables, given in zip(
        (framework.generator, framework.discriminator),
        (fp.GENERATOR, framework.reference),
        (framework.generator_layout, framework.discriminator_layout),
        references(framework),
        inputs,
        strict=True,
    ):
        like = jaxgan.state.init_variables(network, jax.random.key(0), given[:1])
        own = fp.to_framework(layout, variables, like)
        np.testing.assert_allclose(
            apply_eval(network, own, given),
            apply_eval(reference, variables, given),
            rtol=ROUNDING,
            atol=ROUNDING,
        )


# Each once on either side.
MIXED = {
    "linen against functions": ("linen", "functions"),
    "nnx against equinox": ("nnx", "equinox"),
    "equinox against linen": ("equinox", "linen"),
    "functions against nnx": ("functions", "nnx"),
}


def players(name):
    of = {"functions": (fp.GENERATOR, fp.FRAMEWORKS["linen"].reference), **fp.FRAMEWORKS}
    first, second = MIXED[name]
    return of[first][0], of[second][1]


def batches():
    images = np.random.default_rng(1).uniform(-1, 1, (16, 8, 8, 1)).astype(np.float32)
    source = grain.MapDataset.range(16).shuffle(seed=0).repeat().batch(4)
    few_ahead = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    return iter(source.map(lambda index: {"image": images[index]}).to_iter_dataset(few_ahead))


@pytest.mark.parametrize("name", MIXED)
def test_a_mixed_game_resumes_bit_for_bit_and_is_loaded(name, tmp_path):
    generator, discriminator = players(name)
    method = game(generator, discriminator)
    step = make_train_step(method, TX, TX, ema_decay=0.9)
    steps = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
    description = {
        "generator": networks.describe(generator),
        "discriminator": networks.describe(discriminator),
        "inputs": describe_inputs(method.inputs),
        "disc_inputs": {},
    }

    def run(folder, num_steps):
        state = method.init(jax.random.key(0), FIRST, TX, TX, ema=True)
        saved = Checkpoints(tmp_path / folder, 2, description=description)
        return fit(state, steps, batches(), num_steps=num_steps, checkpoints=saved, log_every=2)

    whole = run("whole", 4)
    run("broken", 2)
    resumed = run("broken", 4)
    whole, resumed = (jax.tree.map(np.asarray, of.replace(key=None)) for of in (whole, resumed))
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)

    latents = jax.random.normal(jax.random.key(5), (3, fp.LATENT_DIM))
    loaded = load_generator(tmp_path / "broken", generator=generator)
    here = make_generate(generator, whole.generator.ema_variables, method.inputs, averaged=True)
    np.testing.assert_array_equal(loaded(latents), here(latents))
    judged = load_discriminator(
        tmp_path / "broken", discriminator=discriminator, value_range=(-1, 1)
    )
    variables = whole.discriminator.variables
    np.testing.assert_allclose(
        judged(loaded(latents)),
        apply_eval(discriminator, variables, 2 * loaded(latents) - 1),
        atol=ROUNDING,
    )
    with pytest.raises(UserError, match="a network of one's own is passed as an argument"):
        load_generator(tmp_path / "broken")


def test_the_description_of_a_network_has_its_range():
    described = networks.describe(fp.FRAMEWORKS["nnx"].generator)
    assert described["module"] == "NNXGenerator"
    assert described["value_range"] == [-1.0, 1.0]


def test_seeds_start_from_their_keys_alone_and_are_mapped():
    generator, discriminator = players("nnx against equinox")
    method, keys = game(generator, discriminator), jax.random.split(jax.random.key(0), 2)
    step = make_train_step(method, TX, TX)
    states = jax.vmap(lambda key: method.init(key, FIRST, TX, TX))(keys)
    after, _ = jax.jit(jax.vmap(step, in_axes=(0, None)))(states, FIRST)
    for seed in (1, 0):
        state = method.init(keys[seed], FIRST, TX, TX)
        own = jax.tree.map(lambda x, seed=seed: x[seed], (states, after))
        for mapped, single in zip(own, (state, jax.jit(step)(state, FIRST)[0]), strict=True):
            for player in ("generator", "discriminator"):
                jax.tree.map(
                    lambda a, b: np.testing.assert_allclose(a, b, atol=ROUNDING),
                    getattr(mapped, player),
                    getattr(single, player),
                )
    kernels = states.generator.params["dense"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])


def test_modules_that_are_handed_over_keep_what_they_have():
    """Though the step takes the buffers of the state: the module's own are not among them."""
    painter = fp.NNXGenerator(nnx.Rngs(7))
    judge, judge_state = eqx.nn.make_with_state(fp.EquinoxDiscriminator)(jax.random.key(7))
    method = game(from_nnx(painter), from_equinox(judge, judge_state))
    step = jax.jit(make_train_step(method, TX, TX), donate_argnums=0)
    for seed in range(2):
        state = method.init(jax.random.key(seed), FIRST, TX, TX)
        kernel, vectors = (
            state.generator.params["dense"]["kernel"],
            state.discriminator.model_state["state"]["dense"]["uv_index"],
        )
        np.testing.assert_array_equal(kernel, painter.dense.kernel[...])
        np.testing.assert_array_equal(vectors["1"], judge_state.get(judge.dense.uv_index)[1])
        step(state, FIRST)
        assert kernel.is_deleted()
        assert vectors["1"].is_deleted()
    given = from_equinox(fp.EquinoxDiscriminator(jax.random.key(7)))
    np.testing.assert_array_equal(
        given.init(jax.random.key(0))["state"]["dense"]["uv_index"]["1"],
        judge_state.get(judge.dense.uv_index)[1],
    )


def test_what_init_gives_is_not_the_module_s_own():
    """Called as it is, where no program makes new arrays of them."""
    layer, key = nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jax.random.key(0)
    other = eqx.nn.Linear(2, 2, key=key)
    variables = from_nnx(layer).init(key), from_equinox(other).init(key)
    jax.jit(lambda of: jax.tree.map(jnp.negative, of), donate_argnums=0)(variables)
    assert variables[0]["params"]["kernel"].is_deleted()
    assert not layer.kernel[...].is_deleted()
    assert not other.weight.is_deleted()


class NNXWithNorm(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(64, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)

    def __call__(self, images):
        return jnp.sum(self.norm(self.dense(images.reshape(-1, 64))), 1)


class EquinoxWithNorm(eqx.Module):
    dense: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self, key, mode="batch"):
        self.dense = eqx.nn.Linear(64, 4, key=key)
        self.norm = eqx.nn.BatchNorm(4, "batch", mode=mode)

    def __call__(self, image, state):
        x, state = self.norm(self.dense(image.reshape(-1)), state)
        return jnp.sum(x), state


class NNXThatSaysSo(NNXWithNorm):
    def __init__(self, rngs):
        self.dense = nnx.Linear(64, 4, rngs=rngs)
        self.norm = nnx.LayerNorm(4, rngs=rngs)
        self.norm.couples_examples = True


class EquinoxThatSaysSo(eqx.Module):
    layers: list

    class Layer(eqx.nn.Linear):
        couples_examples = True

    def __init__(self, key):
        self.layers = [self.Layer(64, "scalar", key=key)]

    def __call__(self, image):
        return self.layers[0](image.reshape(-1))


COUPLED = {
    "nnx": from_nnx(NNXWithNorm),
    "equinox": from_equinox(EquinoxWithNorm),
    "equinox, ema": from_equinox(lambda key: EquinoxWithNorm(key, "ema")),
    "nnx, which says so": from_nnx(NNXThatSaysSo),
    "equinox, which says so": from_equinox(EquinoxThatSaysSo),
}


def with_penalty(discriminator, penalty):
    """Traces a step; the shapes of its metrics."""
    options = {"latent_dim": fp.LATENT_DIM, "loss": losses.wasserstein}
    method = adversarial(fp.GENERATOR, discriminator, penalty=penalty, **options)
    state = method.init(jax.random.key(0), FIRST, TX, TX)
    return jax.eval_shape(make_train_step(method, TX, TX), state, FIRST)[1]


@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize("penalty", [penalties.r1, penalties.gradient_penalty])
def test_penalties_refuse_coupled_batches(name, penalty):
    with pytest.raises(UserError, match=f"^critic: got {COUPLED[name].name}.* whole batch"):
        with_penalty(COUPLED[name], penalty)


@pytest.mark.parametrize("name", ["nnx", "equinox"])
def test_penalties_take_spectral_norm_and_dropout(name):
    assert with_penalty(fp.FRAMEWORKS[name].discriminator, penalties.r1)["penalty"].shape == ()


@pytest.mark.parametrize("name", ["nnx", "equinox"])
def test_standing_statistics_are_those_of_the_reference(name):
    framework = fp.FRAMEWORKS[name]
    variables = references(framework)[0]
    like = framework.generator.init(jax.random.key(0), None)
    own = fp.to_framework(framework.generator_layout, variables, like)
    latents = jax.random.normal(jax.random.key(6), (5, 16, fp.LATENT_DIM))
    expected = standing_statistics(fp.GENERATOR, variables, latents)
    measured = standing_statistics(framework.generator, own, latents)
    moved = fp.from_framework(framework.generator_layout, measured)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=ROUNDING), moved, expected)
    np.testing.assert_allclose(
        apply_eval(framework.generator, measured, latents[0]),
        apply_eval(fp.GENERATOR, expected, latents[0]),
        atol=ROUNDING,
    )


def test_standing_statistics_cannot_be_measured_where_training_uses_them():
    generator = from_equinox(lambda key: fp.EquinoxGenerator(key, "ema"))
    variables = generator.init(jax.random.key(0), None)
    latents = jnp.zeros((2, 4, fp.LATENT_DIM))
    with pytest.raises(UserError, match=r"^batch_stats: got those of Equinox's BatchNorm\(mode='e"):
        standing_statistics(generator, variables, latents)


class EquinoxAcrossDevices(fp.EquinoxGenerator):
    def __init__(self, key):
        super().__init__(key)
        self.norm = eqx.nn.BatchNorm(
            fp.WIDTH, ("batch", "data"), momentum=fp.MOMENTUM, mode="batch"
        )


@pytest.fixture(scope="module")
def judge():
    return from_functions(
        lambda key, images: {"params": jax.random.normal(key, (64,))},
        lambda variables, x, *, train, key: (x.reshape(len(x), -1) @ variables["params"], {}),
    )


def test_batch_norm_across_devices_is_that_of_one(mesh, judge):
    options = {"latent_dim": fp.LATENT_DIM, "loss": losses.hinge}
    across = adversarial(from_equinox(EquinoxAcrossDevices), judge, axis_name="data", **options)
    alone = adversarial(from_equinox(fp.EquinoxGenerator), judge, **options)
    state = alone.init(jax.random.key(0), FIRST, TX, TX)
    again = across.init(jax.random.key(0), FIRST, TX, TX)
    jax.tree.map(np.testing.assert_array_equal, again.generator, state.generator)
    expected, _ = jax.jit(make_train_step(alone, TX, TX))(state, FIRST)
    step = jax.pmap(make_train_step(across, TX, TX, axis_name="data"), axis_name="data")
    stacked = jax.tree.map(lambda x: jnp.stack([x] * 8), state)
    after, _ = step(
        jax.device_put(stacked, NamedSharding(mesh, P("data"))),
        jax.tree.map(lambda x: x.reshape(8, -1, *x.shape[1:]), FIRST),
    )
    for player in ("generator", "discriminator"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a[0], b, atol=ROUNDING),
            getattr(after, player),
            getattr(expected, player),
        )


def test_counters_stay_whole_numbers_under_shard_map(mesh, judge):
    options = {"latent_dim": fp.LATENT_DIM, "loss": losses.hinge, "axis_name": "data"}

    def init(key, latents):
        return {"params": jnp.ones(()), "counts": {"calls": jnp.zeros((), jnp.int32)}}

    def apply(variables, latents, *, train, key):
        images = variables["params"] * jnp.ones((len(latents), 8, 8, 1))
        return images, {"counts": {"calls": variables["counts"]["calls"] + train}}

    method = adversarial(from_functions(init, apply), judge, **options)
    state = method.init(jax.random.key(0), FIRST, TX, TX)
    step = make_train_step(method, TX, TX, axis_name="data")
    specs = {"in_specs": (P(), P("data")), "out_specs": (P(), P())}
    after = jax.jit(jax.shard_map(step, mesh=mesh, **specs))(state, FIRST)[0].generator
    counter = after.model_state["counts"]["calls"]
    assert (counter.dtype, counter) == (jnp.int32, 1)


def test_one_compilation_of_a_step_with_counters():
    generator, discriminator = players("equinox against linen")
    method = game(generator, discriminator)
    step = jax.jit(make_train_step(method, TX, TX))
    state = method.init(jax.random.key(0), FIRST, TX, TX)
    for _ in range(2):
        state, _ = step(state, FIRST)
    assert step._cache_size() == 1


class NNXWithAll(nnx.Module):
    """A counter, a constant that is no variable, layers in a list, and `train`."""

    def __init__(self, rngs):
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))
        self.table = jnp.arange(2.0)
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
        self.rngs = rngs

    def __call__(self, x, train):
        self.calls[...] += 1
        for layer in self.layers:
            x = layer(x)
        noise = jax.random.normal(self.rngs(), x.shape) if train else 0
        return x + self.table[None] + noise


class EquinoxWithAll(eqx.Module):
    calls: eqx.nn.StateIndex
    table: jax.Array
    order: jax.Array
    layers: list
    activation: Callable

    def __init__(self, key):
        self.calls = eqx.nn.StateIndex({"calls": jnp.zeros((), jnp.int32)})
        self.table, self.order, self.activation = jnp.arange(2.0), jnp.arange(2), jnp.tanh
        self.layers = [eqx.nn.Linear(2, 2, key=key) for key in jax.random.split(key)]

    def __call__(self, x, state, *, key, train):
        count = state.get(self.calls)["calls"]
        for layer in self.layers:
            x = self.activation(layer(x))[self.order]
        noise = jax.random.normal(key, x.shape) if train else 0
        return x + self.table + noise, state.set(self.calls, {"calls": count + 1})


def names(tree):
    return {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize("network", [from_nnx(NNXWithAll), from_equinox(EquinoxWithAll)])
def test_what_else_a_module_may_hold(network):
    inputs, key = jnp.ones((3, 2)), jax.random.key(1)
    variables = jax.jit(network.init)(jax.random.key(0), inputs)
    weight = "kernel" if "NNX" in network.name else "weight"
    trained = {f"['layers']['{i}']['{of}']" for i in range(2) for of in (weight, "bias")}
    if weight == "kernel":
        assert names(variables["params"]) == trained
        assert names(variables["other"]) == {"['calls']", "['table']"}
    else:
        assert names(variables["params"]) == {*trained, "['table']"}
        assert names(variables["other"]) == {"['order']"}
        assert names(variables["state"]) == {"['calls']['calls']"}
    assert "rngs" not in variables

    jaxgan.network.check("generator", network, key, inputs[:1])
    outputs, state = network.apply(variables, inputs, train=True, key=key)
    again, _ = network.apply({**variables, **state}, inputs, train=True, key=key)
    np.testing.assert_array_equal(outputs, again)  # keys are the call's, and are not kept
    other, _ = network.apply(variables, inputs, train=True, key=jax.random.key(2))
    assert not np.allclose(outputs, other)
    counters = [leaf for leaf in jax.tree.leaves(state) if leaf.shape == ()]
    assert counters == [1]
    evaluated, kept = network.apply(variables, inputs, train=False, key=None)
    np.testing.assert_allclose(evaluated[0], evaluated[1])
    model_state = {name: of for name, of in variables.items() if name != "params"}
    jax.tree.map(np.testing.assert_array_equal, kept, model_state)


class EquinoxPerExample(eqx.Module):
    kept: eqx.nn.StateIndex

    def __init__(self, key):
        self.kept = eqx.nn.StateIndex(jnp.zeros(()))

    def __call__(self, image, state):
        return jnp.sum(image), state.set(self.kept, jnp.sum(image))


def test_a_state_for_each_example_is_refused():
    with pytest.raises(UserError, match=r"^network: got EquinoxPerExample, whose state differs"):
        game(fp.GENERATOR, from_equinox(EquinoxPerExample)).init(jax.random.key(0), FIRST, TX, TX)


class NNXThatForgets(nnx.Module):
    def __init__(self, rngs):
        self.calls = nnx.Variable(jnp.zeros(()))

    def __call__(self, images):
        self.calls, self.more = None, nnx.Variable(jnp.zeros(()))
        return jnp.sum(images, (1, 2, 3))


def test_state_that_is_gone_is_refused():
    message = r"^discriminator: got NNXThatForgets, whose apply returns none as model state"
    with pytest.raises(UserError, match=message):
        game(fp.GENERATOR, from_nnx(NNXThatForgets)).init(jax.random.key(0), FIRST, TX, TX)


def made_with_state(key):
    return eqx.nn.make_with_state(fp.EquinoxDiscriminator)(key)[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: from_nnx(3), "module: got int, expected an nnx.Module or what makes one"),
        (lambda: from_nnx(lambda rngs: 3), "module: got one that makes int, expected nnx.Module"),
        (lambda: from_equinox(3), "module: got int, expected an eqx.Module or what makes one"),
        (lambda: from_equinox(lambda key: 3), "module: got one that makes int, expected eqx.Mod"),
        (
            lambda: from_equinox(made_with_state(jax.random.key(0))),
            "state: got none of a module that was made by make_with_state",
        ),
        (
            lambda: game(fp.NNXGenerator(nnx.Rngs(0)), fp.GENERATOR).init(
                jax.random.key(0), FIRST, TX, TX
            ),
            "network: got NNXGenerator, expected a Linen module, or what jaxgan.from_nnx",
        ),
    ],
)
def test_what_is_none_is_refused(make, message):
    with pytest.raises(UserError, match=f"^{message}"):
        make()


def test_safetensors_hold_any_network(tmp_path):
    pytest.importorskip("safetensors")
    generator = fp.FRAMEWORKS["nnx"].generator
    variables = generator.init(jax.random.key(0))
    inputs = {"latents": Latents(fp.LATENT_DIM)}
    generate = make_generate(generator, variables, inputs, averaged=False)
    export.save_safetensors(tmp_path / "painter.safetensors", generate)
    loaded = export.load_safetensors(tmp_path / "painter.safetensors", generator=generator)
    latents = jnp.ones((2, fp.LATENT_DIM))
    np.testing.assert_array_equal(loaded(latents), generate(latents))


def test_a_run_says_how_such_a_network_is_loaded(tmp_path):
    inputs, generator = {"latents": Latents(fp.LATENT_DIM)}, fp.FRAMEWORKS["nnx"].generator
    (use,) = how_to_use(tmp_path, generator, inputs, (8, 8, 1), "lenet").values()
    assert f"jaxgan.load_generator({str(tmp_path)!r}, generator=network)" in use


def test_equinox_is_asked_for_where_it_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(UserError, match=r"^equinox is not installed"):
        from_equinox(fp.EquinoxGenerator)
