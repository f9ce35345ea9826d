"""A batch that passes in parts: the update of the whole of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import PartitionSpec as P

from jaxgan import UserError, losses, make_train_step, networks
from jaxgan.methods import adversarial
from jaxgan.state import create_player, create_train_state
from jaxgan.step import Aux, Objective, apply_train

# Not Adam, whose first steps are the signs of gradients, so that rounding turns some.
TX = optax.sgd(0.05, momentum=0.9)
LATENTS = 5


def without_draws(objective, generator):
    """The same game, whose latents come with the batch."""

    def generate(gen_vars, batch, context):
        return apply_train(generator, gen_vars, batch["latents"], key=context.key)

    return Objective(generate, objective.disc_loss, objective.gen_loss)


@pytest.fixture(scope="module")
def game():
    """(state, objective) of networks whose examples do not see each other."""
    generator, discriminator = networks.mlp("plain", (4, 4, 1))
    method = adversarial(generator, discriminator, latent_dim=LATENTS, loss=losses.hinge)
    state = method.init(jax.random.key(0), batch(), TX, TX, ema=True)
    return state, without_draws(method, generator)


def batch(seed=0, size=24):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.uniform(-1, 1, (size, 4, 4, 1)).astype(np.float32),
        "latents": rng.normal(size=(size, LATENTS)).astype(np.float32),
    }


def check_metrics(ours, whole):
    for name in whole.keys() - {"diversity"}:  # which compares the fakes of a part
        np.testing.assert_allclose(ours[name], whole[name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "options", [{}, {"disc_steps": 2}, {"fresh_fakes": True}, {"fresh_batch": True}]
)
def test_parts_give_the_update_of_the_whole_batch(game, options):
    whole, objective = game
    parts = whole
    for seed in range(3):
        results = [
            jax.jit(make_train_step(objective, TX, TX, ema_decay=0.9, micro_batches=n, **options))(
                state, batch(seed)
            )
            for n, state in ((1, whole), (4, parts))
        ]
        (whole, metrics), (parts, of_parts) = results
        check_metrics(of_parts, metrics)
    assert tiny.difference(whole, parts) < 1e-6


def test_so_they_do_on_every_device_of_a_mapped_axis(game, mesh):
    state, objective = game
    step = make_train_step(objective, TX, TX, ema_decay=0.9, micro_batches=3, axis_name="data")
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("data")), out_specs=P())
    ours, metrics = jax.jit(mapped)(state, batch())
    whole, of_whole = jax.jit(make_train_step(objective, TX, TX, ema_decay=0.9))(state, batch())
    check_metrics(metrics, of_whole)
    assert tiny.difference(ours, whole) < 1e-6


def test_each_part_draws_anew_and_carries_on_what_the_one_before_left():
    """Of an objective whose fakes are draws, and whose extra counts."""

    def generate(gen_vars, batch, context):
        return gen_vars["params"] + jax.random.uniform(context.key, batch.shape), {}

    def disc_loss(disc_vars, fakes, batch, context):
        metrics = {"fake": jnp.mean(fakes), "seen": context.extra}
        return jnp.mean(disc_vars["params"] * fakes), Aux({}, metrics, context.extra + 1)

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        return jnp.mean(fakes), Aux(None, {"the_same": jnp.mean(fakes)})

    tx = optax.sgd(0.0)
    players = [create_player({"params": jnp.ones(())}, tx) for _ in range(2)]
    state = create_train_state(jax.random.key(3), *players, extra=jnp.zeros(()))
    step = make_train_step(Objective(generate, disc_loss, gen_loss), tx, tx, micro_batches=3)
    state, metrics = step(state, jnp.zeros(6))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), 0), 0)
    draws = [jax.random.uniform(jax.random.fold_in(key, number), (2,)) for number in range(3)]
    np.testing.assert_allclose(metrics["fake"], 1 + np.mean(draws), rtol=1e-6)
    # Both updates are by the same fakes, as without parts.
    np.testing.assert_allclose(metrics["the_same"], metrics["fake"], rtol=1e-6)
    assert (float(metrics["seen"]), float(state.extra)) == (1.0, 3.0)


def test_batch_norm_sees_one_part_at_a_time():
    """Its running statistics are those after as many passes."""
    generator, _ = tiny.players()
    objective, state = without_draws(tiny.game(), generator), tiny.state()
    images = tiny.batch(12)["image"]
    latents = np.random.default_rng(1).normal(size=(12, tiny.LATENT_DIM)).astype(np.float32)
    step = make_train_step(objective, tiny.TX, tiny.TX, ema_decay=0.9, micro_batches=3)
    after, _ = step(state, {"image": images, "latents": latents})
    variables = state.generator.variables
    for number in range(3):
        key = jax.random.key(0)
        _, model_state = apply_train(generator, variables, latents[number::3], key=key)
        variables = {**variables, **model_state}
    ours = after.generator.model_state["batch_stats"]
    assert tiny.difference(ours, variables["batch_stats"]) < 1e-5


def test_what_does_not_divide_a_batch_is_refused(game):
    state, objective = game
    with pytest.raises(UserError, match=r"^micro_batches: got 0, expected 1 or more"):
        make_train_step(objective, TX, TX, micro_batches=0)
    step = make_train_step(objective, TX, TX, ema_decay=0.9, micro_batches=5)
    with pytest.raises(UserError, match=r"got 24 examples, expected a multiple of micro_batches=5"):
        step(state, batch())
