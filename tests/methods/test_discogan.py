"""DiscoGAN's objective: its losses by hand, its statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit, log_expit
from translation_players import (
    Features,
    batch,
    linear,
    numbers,
)

from jaxgan import Context, UserError, make_train_step
from jaxgan.methods import discogan, variables_of
from jaxgan.networks import DiscoGANDiscriminator, DiscoGANGenerator

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


def test_running_statistics_are_those_of_real_images():
    """Not of what comes back on the way there and back."""
    generator, discriminator = DiscoGANGenerator(3, (2, 3)), DiscoGANDiscriminator((2, 3))
    players = {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}
    objective, images = discogan(*players), batch()
    state = objective.init(jax.random.key(0), images, TX, TX)
    gen_vars, disc_vars = state.generator.variables, state.discriminator.variables
    fakes, changed = objective.generate(gen_vars, images, context(0))
    _, aux = objective.gen_loss(gen_vars, disc_vars, fakes, images, context(0))
    assert aux.model_state is None  # the step keeps those of `generate`
    for direction in ("ab", "ba"):
        _, alone = generator.apply(
            variables_of(gen_vars, direction),
            images[direction[0]],
            train=True,
            mutable=["batch_stats"],
        )
        pairs = (
            jax.tree.leaves(x["batch_stats"]) for x in (alone, variables_of(changed, direction))
        )
        for x, y in zip(*pairs, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-6)


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
    step = jax.jit(make_train_step(method, TX, TX))
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
