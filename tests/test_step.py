"""The train step: what it updates, what it computes, and that devices do not change it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from scipy.special import expit

from jaxgan import (
    Aux,
    Objective,
    UserError,
    create_player,
    create_train_state,
    losses,
    make_train_step,
)
from jaxgan.methods import adversarial
from jaxgan.networks.convolution import force_formulation
from jaxgan.training import sharding

STEPS = 3
# Three Adam steps at 1e-3 on values near 1: a handful of float32 roundings.
ROUNDING = 2e-6


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(tiny.step())


@pytest.fixture(scope="module")
def reference(compiled):
    """State and metrics after three steps on one device."""
    return run(compiled, tiny.state(), tiny.batch())


def run(step, state, batch, steps=STEPS):
    for _ in range(steps):
        state, metrics = step(state, batch)
    return state, metrics


def test_a_step_changes_both_players_and_counts(compiled):
    before = tiny.state()
    after, metrics = compiled(before, tiny.batch())
    assert int(after.step) == 1
    for name in ("generator", "discriminator"):
        old, new = getattr(before, name), getattr(after, name)
        moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), old.params, new.params)
        assert all(jax.tree.leaves(moved)), name
        assert tiny.difference(old.model_state, new.model_state) > 0, name
    assert all(np.isfinite(value) and value.shape == () for value in metrics.values())
    assert {"discriminator_loss", "discriminator_loss_real", "discriminator_loss_fake",
            "generator_loss", "d_real", "d_fake", "accuracy_real", "accuracy_fake", "d_ratio",
            "jsd_lower_bound", "diversity", "generator_gradient_norm"} == set(metrics)  # fmt: skip


def test_discriminator_loss_is_the_sum_of_its_parts_and_gives_the_bound(reference):
    metrics = {name: float(value) for name, value in reference[1].items()}
    total = metrics["discriminator_loss_real"] + metrics["discriminator_loss_fake"]
    assert metrics["discriminator_loss"] == pytest.approx(total, rel=1e-6)
    # Goodfellow et al. 2014, theorem 1: the game's value is 2 JSD - 2 log 2.
    assert metrics["jsd_lower_bound"] == pytest.approx(np.log(2) - total / 2, abs=1e-6)


def test_one_compilation(compiled, reference):
    assert compiled._cache_size() == 1


def linear_game():
    """A game whose gradients are known by hand: D(x) = a x, G(z) = z + b, z = the batch."""

    def generate(gen_vars, batch, context):
        return batch["z"] + gen_vars["params"], {"calls": gen_vars["calls"] + 1}

    def disc_loss(disc_vars, fakes, batch, context):
        a = disc_vars["params"]
        loss = jnp.mean(a * fakes) - jnp.mean(a * batch["x"])
        return loss, Aux({"calls": disc_vars["calls"] + 1}, {"fake": jnp.mean(fakes)})

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        # Reaches the parameters through the fakes and directly.
        loss = -jnp.mean(disc_vars["params"] * fakes) + 0.5 * jnp.sum(gen_vars["params"] ** 2)
        return loss, Aux(None, {"disc_seen": jnp.sum(disc_vars["params"])})

    tx = optax.sgd(0.1)
    state = create_train_state(
        jax.random.key(0),
        create_player({"params": jnp.array(2.0), "calls": jnp.array(0)}, tx, ema=True),
        create_player({"params": jnp.array(3.0), "calls": jnp.array(0)}, tx),
    )
    return Objective(generate, disc_loss, gen_loss), state, tx


def test_updates_by_hand():
    objective, state, tx = linear_game()
    batch = {"x": jnp.full((4, 1), 5.0), "z": jnp.full((4, 1), 1.0)}
    state, metrics = jax.jit(make_train_step(objective, tx, tx, ema_decay=0.9))(state, batch)
    # Discriminator: d/da mean(a (1 + 2)) - mean(a 5) = -2; a = 3 + 0.2.
    assert float(state.discriminator.params) == pytest.approx(3.2)
    # Generator, against the new discriminator: -a + b = -3.2 + 2; b = 2 + 0.12.
    assert float(metrics["disc_seen"]) == pytest.approx(3.2)
    assert float(state.generator.params) == pytest.approx(2.12)
    # Each fake's own loss is -a times it.
    assert float(metrics["generator_gradient_norm"]) == pytest.approx(3.2)
    # At step 0 the decay is 1/10.
    assert float(state.generator.ema_params) == pytest.approx(0.1 * 2 + 0.9 * 2.12)
    # One pass of each player commits its model state, whatever else was computed.
    assert int(state.generator.model_state["calls"]) == 1
    assert int(state.discriminator.model_state["calls"]) == 1


def test_a_second_pass_of_the_generator_commits_its_state_too():
    objective, state, tx = linear_game()

    def gen_loss(gen_vars, *rest):
        loss, aux = objective.gen_loss(gen_vars, *rest)
        return loss, aux._replace(model_state={"calls": gen_vars["calls"] + 10})

    step = make_train_step(objective._replace(gen_loss=gen_loss), tx, tx, ema_decay=0.9)
    state, _ = step(state, {"x": jnp.ones((4, 1)), "z": jnp.ones((4, 1))})
    assert int(state.generator.model_state["calls"]) == 11


def test_disc_steps_take_their_own_share_of_the_batch():
    objective, state, tx = linear_game()
    # Every third example belongs together: x is 1, 2, 3 for the first, second and third update.
    batch = {"x": jnp.tile(jnp.array([[1.0], [2.0], [3.0]]), (4, 1)), "z": jnp.zeros((12, 1))}
    step = jax.jit(make_train_step(objective, tx, tx, disc_steps=3, ema_decay=0.9))
    state, metrics = step(state, batch)
    # Each update adds 0.1 (x - b), b = 2: -0.1, 0, 0.1.
    assert float(state.discriminator.params) == pytest.approx(3.0)
    # The last loss is that of a = 2.9 on its own share: a (b - 3).
    assert float(metrics["discriminator_loss"]) == pytest.approx(-2.9)
    assert int(state.discriminator.model_state["calls"]) == 3
    assert int(state.generator.model_state["calls"]) == 1
    with pytest.raises(UserError, match="batch: got 4 examples, expected a multiple of disc_st"):
        step(state, jax.tree.map(lambda x: x[:4], batch))


def test_fresh_fakes_are_other_fakes():
    noise = {}

    def generate(gen_vars, batch, context):
        return gen_vars["params"] + jax.random.normal(context.key, (4, 1)), {}

    def disc_loss(disc_vars, fakes, batch, context):
        return 0.0 * jnp.sum(disc_vars["params"]), Aux({}, {"disc_fake": jnp.mean(fakes)})

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        return jnp.mean(fakes), Aux(None, {"gen_fake": jnp.mean(fakes)})

    tx = optax.sgd(0.1)
    for fresh in (False, True):
        player = create_player({"params": jnp.zeros(())}, tx)
        state = create_train_state(jax.random.key(0), player, player)
        step = make_train_step(Objective(generate, disc_loss, gen_loss), tx, tx, fresh_fakes=fresh)
        _, metrics = step(state, {"x": jnp.zeros((4, 1))})
        noise[fresh] = float(metrics["disc_fake"] - metrics["gen_fake"])
    assert noise[False] == 0
    assert noise[True] != 0


@pytest.mark.parametrize("disc_steps", [1, 2])
def test_a_fresh_batch_is_the_generators_alone(disc_steps):
    game, state, tx = linear_game()

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        return jnp.mean(fakes), Aux(None, {"gen_x": jnp.mean(batch["x"])})

    def disc_loss(disc_vars, fakes, batch, context):
        loss, aux = game.disc_loss(disc_vars, fakes, batch, context)
        return loss, aux._replace(metrics={"disc_x": jnp.mean(batch["x"])})

    objective = game._replace(gen_loss=gen_loss, disc_loss=disc_loss)
    options = {"disc_steps": disc_steps, "fresh_batch": True}
    step = jax.jit(make_train_step(objective, tx, tx, ema_decay=0.9, **options))
    each = jnp.arange(1.0, disc_steps + 2)[:, None]
    batch = {"x": jnp.tile(each, (4, 1)), "z": jnp.tile(each, (4, 1))}
    _, metrics = step(state, batch)
    assert float(metrics["disc_x"]) == disc_steps
    assert float(metrics["gen_x"]) == disc_steps + 1
    # Its fakes, too, are made of its own examples: the loss is the mean of b + z.
    assert float(metrics["generator_loss"]) == pytest.approx(2 + disc_steps + 1)
    with pytest.raises(UserError, match=rf"a multiple of disc_steps \+ 1={disc_steps + 1}"):
        step(state, jax.tree.map(lambda x: x[:-1], batch))


def test_the_average_follows_a_schedule_as_it_is():
    objective, state, tx = linear_game()
    batch = {"x": jnp.full((4, 1), 5.0), "z": jnp.full((4, 1), 1.0)}
    step = jax.jit(make_train_step(objective, tx, tx, ema_decay=lambda step: 0.5 * step))
    expected = float(state.generator.params)
    for decay in (0.0, 0.5):
        state, _ = step(state, batch)
        expected = decay * expected + (1 - decay) * float(state.generator.params)
        assert float(state.generator.ema_params) == pytest.approx(expected)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("disc_steps", [1, 3])
def test_every_call_of_a_step_has_a_key_of_its_own(fresh, disc_steps):
    keys = []

    def note(context):
        data = jax.random.key_data(context.key)
        jax.debug.callback(lambda data: keys.append(data.tobytes()), data)

    def generate(gen_vars, batch, context):
        note(context)
        return gen_vars["params"] + batch["x"], {}

    def disc_loss(disc_vars, fakes, batch, context):
        note(context)
        return jnp.sum(disc_vars["params"]), Aux({}, {})

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        note(context)
        return jnp.sum(fakes), Aux(None, {})

    tx = optax.sgd(0.1)
    player = create_player({"params": jnp.zeros(())}, tx)
    state = create_train_state(jax.random.key(0), player, player)
    options = {"fresh_fakes": fresh, "disc_steps": disc_steps}
    step = jax.jit(make_train_step(Objective(generate, disc_loss, gen_loss), tx, tx, **options))
    for number in range(2):
        state, _ = step(state, {"x": jnp.zeros((6, 1))})
        jax.effects_barrier()
        # Fakes and a loss for each update of the discriminator, fakes again, the generator's loss.
        assert len(set(keys)) == (number + 1) * (2 * disc_steps + fresh + 1)


def test_extra_is_carried_from_loss_to_loss():
    def generate(gen_vars, batch, context):
        return gen_vars["params"] + context.extra, {}

    def disc_loss(disc_vars, fakes, batch, context):
        return jnp.sum(disc_vars["params"]), Aux({}, {}, extra=context.extra + 1)

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        return jnp.sum(fakes), Aux(None, {"seen": context.extra})

    tx = optax.sgd(0.0)
    player = create_player({"params": jnp.zeros(())}, tx)
    state = create_train_state(jax.random.key(0), player, player, extra=jnp.array(10.0))
    step = make_train_step(Objective(generate, disc_loss, gen_loss), tx, tx, disc_steps=2)
    state, metrics = step(state, {"x": jnp.zeros((2, 1))})
    assert float(metrics["seen"]) == 12
    assert float(state.extra) == 12


def test_random_numbers_depend_on_the_step_alone(compiled):
    state = tiny.state()
    first, _ = compiled(state, tiny.batch())
    again, _ = compiled(state, tiny.batch())
    assert tiny.difference(first, again) == 0
    _, metrics = compiled(state, tiny.batch())
    _, later = compiled(state.replace(step=jnp.int32(7)), tiny.batch())
    assert metrics["d_fake"] != later["d_fake"]


def test_scan_equals_one_at_a_time(reference):
    batches = jax.tree.map(lambda x: np.stack([x] * STEPS), tiny.batch())
    state, metrics = jax.jit(lambda s, b: jax.lax.scan(tiny.step(), s, b))(tiny.state(), batches)
    assert tiny.difference(reference[0], state) < ROUNDING
    assert tiny.difference(reference[1], jax.tree.map(lambda x: x[-1], metrics)) < ROUNDING


def test_sharded_batch_equals_one_device(compiled, reference, mesh):
    state = sharding.replicate(tiny.state(), mesh)
    batch = sharding.shard_batch(tiny.batch(), mesh)
    assert len(batch["image"].sharding.device_set) == 8
    state, metrics = run(compiled, state, batch)
    assert tiny.difference(reference[0], state) < ROUNDING
    assert tiny.difference(reference[1], metrics) < ROUNDING


def test_shard_map_equals_one_device(reference, mesh):
    specs = {"in_specs": (P(), P("data")), "out_specs": (P(), P())}
    step = jax.jit(jax.shard_map(tiny.step("data"), mesh=mesh, **specs))
    # Where a step leaves its state, so that the second one is no other program.
    state = sharding.replicate(tiny.state(), mesh)
    state, metrics = run(step, state, sharding.shard_batch(tiny.batch(), mesh))
    assert tiny.difference(reference[0], state) < ROUNDING
    assert tiny.difference(reference[1], metrics) < ROUNDING


def test_pmap_equals_one_device(reference, mesh):
    """Which is `shard_map` without checks of what devices share."""
    step = jax.pmap(tiny.step("data"), axis_name="data")
    stacked = jax.tree.map(lambda x: jnp.stack([x] * 8), tiny.state())
    state = jax.device_put(stacked, NamedSharding(mesh, P("data")))
    batch = jax.tree.map(lambda x: x.reshape(8, -1, *x.shape[1:]), tiny.batch())
    state, metrics = run(step, state, batch)
    first = jax.tree.map(lambda x: x[0], (state, metrics))
    assert tiny.difference(reference[0], first[0]) < ROUNDING
    assert tiny.difference(reference[1], first[1]) < ROUNDING


def test_a_loss_that_sees_both_in_the_generator_s_turn_takes_finite_steps():
    step = jax.jit(tiny.step(loss=losses.relativistic))
    state, metrics = run(step, tiny.state(), tiny.batch())
    finite = jax.tree.map(lambda x: bool(jnp.all(jnp.isfinite(x))), (state.generator, metrics))
    assert all(jax.tree.leaves(finite))


def test_a_small_game_is_learnt():
    """A generator of one number finds the mean of the data."""

    def generate(gen_vars, batch, context):
        return gen_vars["params"] + 0.1 * jax.random.normal(context.key, batch["x"].shape), {}

    def logits(params, x):
        return jnp.ravel(params[0] * x + params[1])

    def disc_loss(disc_vars, fakes, batch, context):
        real, fake = losses.non_saturating.discriminator(
            logits(disc_vars["params"], batch["x"]), logits(disc_vars["params"], fakes)
        )
        # Mescheder et al. 2018: without a penalty this game circles for ever.
        return real + fake + 0.5 * disc_vars["params"][0] ** 2, Aux({}, {})

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        return losses.non_saturating.generator(logits(disc_vars["params"], fakes)), Aux(None, {})

    tx = optax.sgd(0.1)
    state = create_train_state(
        jax.random.key(0),
        create_player({"params": jnp.zeros(())}, tx),
        create_player({"params": jnp.zeros(2)}, tx),
    )
    x = 3 + 0.1 * jax.random.normal(jax.random.key(1), (64, 1))
    step = make_train_step(Objective(generate, disc_loss, gen_loss), tx, tx)
    state, _ = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, {"x": x}), s, length=1000))(
        state
    )
    assert float(state.generator.params) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"disc_steps": 0}, "disc_steps: got 0, expected 1 or more"),
        ({"ema_decay": 1.5}, r"ema_decay: got 1.5, expected a number in \[0, 1\)"),
    ],
)
def test_bad_options(options, message):
    objective, _, tx = linear_game()
    with pytest.raises(UserError, match=message):
        make_train_step(objective, tx, tx, **options)


def test_bad_images_are_refused_while_tracing(compiled):
    wrong = {"image": np.zeros((16, 8, 8, 1), np.float32)}
    with pytest.raises(UserError, match=r"image: got a batch of shape \(16, 8, 8, 1\), expected"):
        compiled(tiny.state(), wrong)
    with pytest.raises(UserError, match="batch: got entries images, expected"):
        compiled(tiny.state(), {"images": wrong["image"]})
    with pytest.raises(UserError, match="ema_decay: the generator has no ema_params"):
        jax.eval_shape(tiny.step(), tiny.state(ema=False), tiny.batch())
    with pytest.raises(UserError, match="ema_decay: got None for a generator with ema_params"):
        jax.eval_shape(tiny.step(ema_decay=None), tiny.state(ema=True), tiny.batch())


def test_evaluation_counts_what_a_known_discriminator_judges_right():
    class Mean(nn.Module):
        @nn.compact
        def __call__(self, images, train=False):
            bias = self.param("bias", nn.initializers.zeros, ())
            return images.mean((1, 2, 3)) + bias

    class Dark(nn.Module):
        @nn.compact
        def __call__(self, latents, train=False):
            bias = self.param("bias", nn.initializers.zeros, ())
            return jnp.full((latents.shape[0], 2, 2, 1), -0.5) + bias

    tx = optax.sgd(0.1)
    game = adversarial(Dark(), Mean(), latent_dim=1, loss=losses.non_saturating)
    values = jnp.array([0.3, 0.2, -0.1, 0.4])
    batch = {
        "image": jnp.ones((4, 2, 2, 1)) * values.reshape(4, 1, 1, 1),
        "mask": jnp.array([1.0, 1.0, 1.0, 0.0]),
    }
    state = game.init(jax.random.key(0), batch, tx, tx)
    counts = game.evaluate(state, batch, jax.random.key(1))
    # Half the logarithm of how probable each verdict holds what is so; all fakes are at -0.5.
    verdicts = np.log(expit([0.3, 0.2, -0.1])) + np.log(expit(0.5))
    assert {name: float(value) for name, value in counts.items()} == {
        "accuracy_real": 2.0,
        "accuracy_fake": 3.0,
        "jsd_lower_bound": pytest.approx(3 * np.log(2) + np.sum(verdicts) / 2, abs=1e-5),
        "count": 3.0,
    }


def test_ten_steps_are_the_same_in_both_formulations_of_convolution(compiled):
    """To float32 rounding, which ten updates of Adam let grow."""
    batches = [tiny.batch(seed=seed) for seed in range(10)]

    def train(step, formulation):
        with force_formulation(formulation):
            state, history = tiny.state(), []
            for batch in batches:
                state, metrics = step(state, batch)
                history.append(metrics)
        return state, jax.tree.map(lambda *values: np.stack(values), *history)

    # `compiled` is with the formulation of the platform, the one for CPUs.
    (ours, history), (plain, expected) = (
        train(compiled, "platform"),
        train(jax.jit(tiny.step()), "lax"),
    )
    for name in ("discriminator_loss", "generator_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    assert tiny.difference(ours, plain) < 1e-5


def test_bfloat16_computes_the_same_step_roughly_and_keeps_float32_parameters(reference):
    objective = adversarial(
        *(player.clone(dtype=jnp.bfloat16) for player in tiny.players()),
        latent_dim=tiny.LATENT_DIM,
        loss=losses.non_saturating,
    )
    step = jax.jit(make_train_step(objective, tiny.TX, tiny.TX, ema_decay=0.9))
    state, metrics = run(step, tiny.state(), tiny.batch())
    assert {x.dtype for x in jax.tree.leaves(state.generator)} <= {
        jnp.dtype(name) for name in ("float32", "int32")
    }
    for name in ("discriminator_loss", "generator_loss"):
        assert metrics[name].dtype == jnp.float32
        assert float(metrics[name]) == pytest.approx(float(reference[1][name]), rel=0.05)
        assert float(metrics[name]) != float(reference[1][name])
