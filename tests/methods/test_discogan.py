"""DiscoGAN's objective: its losses by hand, its step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit, log_expit
from translation_players import (
    QUICKLY,
    Features,
    as_bytes,
    batch,
    linear,
    moved_parameters,
    numbers,
    published,
)

from jaxgan import Context, UserError, make_train_step
from jaxgan.checkpoints import checkpoint
from jaxgan.data import domain_index_iterator
from jaxgan.methods import discogan, variables_of

TX = optax.adam(1e-3, b1=0.5)
GEN, DISC = {"ab": (0.5, 0.3), "ba": (1.5, -0.2)}, {"a": 0.7, "b": -1.1}


def context(step):
    return Context(jnp.int32(step), jax.random.key(0), None)


def hinge_embedding(x, targets, margin=1.0):
    """As PyTorch defines it: x where the target is 1, max(0, margin - x) where it is -1."""
    return np.mean(np.where(targets == 1, x, np.maximum(0, margin - x)))


def by_hand(images, rate):
    """(discriminators' loss, generators' loss, metrics), in float64 after the authors' code."""
    images = {name: x.astype(np.float64) for name, x in images.items()}

    def translate(direction, x):
        scale, shift = GEN[direction]
        return scale * x + shift

    fake = {"a": translate("ba", images["b"]), "b": translate("ab", images["a"])}
    metrics, disc, gen = {}, 0, 0
    for name, back in (("a", "ba"), ("b", "ab")):
        real_x, fake_x = DISC[name] * images[name], DISC[name] * fake[name]
        real_d, fake_d = real_x.mean((1, 2, 3)), fake_x.mean((1, 2, 3))
        other = "b" if name == "a" else "a"
        matching = 0
        for real_h, fake_h in (
            (real_x, fake_x),
            ((real_x**2).mean((1, 2)), (fake_x**2).mean((1, 2))),
        ):
            squares = (real_h.mean(0) - fake_h.mean(0)) ** 2
            matching += hinge_embedding(squares, np.ones(squares.shape))
        metrics |= {
            f"discriminator_loss_{name}": -0.5 * np.mean(log_expit(real_d))
            - 0.5 * np.mean(log_expit(-fake_d)),
            f"generator_loss_{name}": -np.mean(log_expit(fake_d)),
            f"features_{name}": matching,
            f"cycle_{name}": np.mean((translate(back, fake[other]) - images[name]) ** 2),
            f"d_real_{name}": np.mean(expit(real_d)),
            f"d_fake_{name}": np.mean(expit(fake_d)),
        }
        disc += metrics[f"discriminator_loss_{name}"]
        paid = 0.1 * metrics[f"generator_loss_{name}"] + 0.9 * matching
        gen += (1 - rate) * paid + rate * metrics[f"cycle_{name}"]
    return disc, gen, metrics


@pytest.mark.parametrize(
    ("options", "step", "rate"),
    [
        ({}, 0, 0.01),
        ({}, 9_999, 0.01),
        ({}, 10_000, 0.5),
        ({"curriculum": 3, "starting_rate": 0.2}, 2, 0.2),
        ({"curriculum": 3, "rate": 0.7}, 3, 0.7),
        ({"curriculum": 0}, 0, 0.5),
    ],
)
def test_the_losses_by_hand(options, step, rate):
    images = batch()
    objective = discogan(*linear(Features()), **options)
    gen_vars, disc_vars = numbers(GEN, DISC)
    fakes, _ = objective.generate(gen_vars, images, context(step))
    disc_loss, disc_aux = objective.disc_loss(disc_vars, fakes, images, context(step))
    gen_loss, gen_aux = objective.gen_loss(gen_vars, disc_vars, fakes, images, context(step))
    disc, gen, metrics = by_hand(images, rate)
    assert float(disc_loss) == pytest.approx(disc, rel=1e-5)
    assert float(gen_loss) == pytest.approx(gen, rel=1e-5)
    got = {**disc_aux.metrics, **gen_aux.metrics}
    for name, value in metrics.items():
        assert float(got[name]) == pytest.approx(value, rel=1e-4), name
    assert disc_aux.extra is gen_aux.extra is None


def start(seed=0):
    return discogan(*published("discogan")).init(jax.random.key(seed), batch(), TX, TX)


@pytest.fixture(scope="module")
def compiled():
    step = make_train_step(discogan(*published("discogan"), curriculum=2), TX, TX)
    return jax.jit(step, compiler_options=QUICKLY)


@pytest.fixture(scope="module")
def reference(compiled):
    """The states after 0, 1, ... 4 steps, and the last metrics."""
    states = [start()]
    for seed in range(4):
        state, metrics = compiled(states[-1], batch(seed=seed))
        states.append(state)
    return states, metrics


def test_steps_are_finite_and_move_all_four_networks(compiled, reference):
    states, metrics = reference
    assert all(np.isfinite(value) and value.shape == () for value in metrics.values())
    for side, names in (("generator", ("ab", "ba")), ("discriminator", ("a", "b"))):
        for name in names:
            old, new = (variables_of(getattr(s, side).variables, name) for s in states[:2])
            for part in ("params", "batch_stats"):
                for x, y in zip(
                    jax.tree.leaves(old[part]), jax.tree.leaves(new[part]), strict=True
                ):
                    assert np.any(x != y), (side, name, part)
    assert compiled._cache_size() == 1


def test_running_statistics_are_those_of_real_images(reference):
    """Not of what comes back on the way there and back."""
    states, _ = reference
    generators, _ = published("discogan")
    for direction, images in (("ab", batch()["a"]), ("ba", batch()["b"])):
        before = variables_of(states[0].generator.variables, direction)
        _, changed = generators[direction].apply(
            before, images, train=True, mutable=["batch_stats"]
        )
        after = states[1].generator.model_state["batch_stats"][direction]
        for x, y in zip(
            jax.tree.leaves(changed["batch_stats"]), jax.tree.leaves(after), strict=True
        ):
            np.testing.assert_allclose(x, y, atol=1e-6)


def test_resuming_is_exact(compiled, reference, tmp_path):
    states, _ = reference
    batches, again = (domain_index_iterator(9, 7, batch_size=4, seed=0) for _ in range(2))
    next(batches)
    with checkpoint.open_checkpoints(tmp_path, keep=1) as manager:
        checkpoint.save(manager, states[2], batches.get_state(), {})
    with checkpoint.open_checkpoints(tmp_path) as manager:
        state = checkpoint.restore(manager, 2, start(seed=1), again)
    jax.tree.map(np.testing.assert_array_equal, next(again), next(batches))
    for seed in (2, 3):
        state, _ = compiled(state, batch(seed=seed))
    assert as_bytes(state) == as_bytes(states[4])


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_loss_moves_its_own_player_alone(still):
    none = optax.set_to_zero()
    players = linear(Features())
    txs = (none, TX) if still == "generator" else (TX, none)
    method = discogan(*players)
    state = method.init(jax.random.key(0), batch(), *txs)
    after, _ = jax.jit(make_train_step(method, *txs))(state, batch())
    moved = moved_parameters(state, after)
    assert not any(moved.pop(still))
    assert all(*moved.values())


@pytest.mark.long
def test_the_published_size_takes_a_step():
    """64 pixels, four layers of 64 to 512 channels, two images of either domain."""
    from jaxgan import networks

    generator, discriminator = networks.discogan(64)
    players = {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}
    method, images = discogan(*players), batch(2, shape=(64, 64, 3))
    state = method.init(jax.random.key(0), images, TX, TX)
    sizes = [
        sum(x.size for x in jax.tree.leaves(player.params))
        for player in (state.generator, state.discriminator)
    ]
    assert sizes == [2 * 5_513_856, 2 * 2_765_568]
    step = jax.jit(make_train_step(method, TX, TX), compiler_options=QUICKLY)
    state, metrics = step(state, images)
    assert int(state.step) == 1
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.5}, r"rate: got 1.5, expected a number in \[0, 1\]"),
        ({"starting_rate": -0.1}, "starting_rate: got -0.1"),
        ({"feature_weight": 2}, "feature_weight: got 2"),
        ({"curriculum": -1}, "curriculum: got -1, expected 0 or more steps"),
        ({"generators": {}}, "generators: got , expected"),
    ],
)
def test_bad_arguments(change, message):
    generators, discriminators = linear(Features())
    with pytest.raises(UserError, match=f"^{message}"):
        discogan(**{"generators": generators, "discriminators": discriminators, **change})
