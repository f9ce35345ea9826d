"""What is wrong is named, and what is well is not."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxgan import losses, make_train_step
from jaxgan.methods import adversarial, diversity
from jaxgan.runs.diagnosis import WINDOW, diagnose, diagnose_run

WELL = {
    "accuracy_real": 0.7,
    "accuracy_fake": 0.8,
    "d_real": 0.65,
    "d_fake": 0.35,
    "diversity": 0.95,
    "generator_gradient_norm": 0.5,
}
SATURATED = {"accuracy_real": 1.0, "accuracy_fake": 0.995, "d_real": 0.99, "d_fake": 0.01}


def names(rows):
    return [finding.name for finding in diagnose(rows)]


def test_a_healthy_run_has_no_findings():
    assert diagnose([WELL] * 50) == []


def test_too_little_is_known_at_first():
    assert diagnose([WELL | SATURATED] * (WINDOW - 1)) == []


@pytest.mark.parametrize(
    ("change", "name", "figures"),
    [
        (SATURATED, "saturated", ("100.0%", "99.5%", "0.990", "0.010", "0.5")),
        ({"diversity": 0.1}, "collapsed", ("0.10 times",)),
    ],
)
def test_each_is_named_with_its_figures(change, name, figures):
    assert names([WELL] * 30 + [WELL | change] * WINDOW) == [name]
    assert names([WELL | change] * 30 + [WELL] * WINDOW) == []
    (finding,) = diagnose([WELL | change] * WINDOW)
    assert all(figure in finding.text for figure in figures), finding.text


def test_strong_but_not_saturated():
    # Nearly always right, yet not sure of it: there is a slope for the generator to go down.
    assert names([WELL | SATURATED | {"d_real": 0.8, "d_fake": 0.2}] * WINDOW) == []
    assert names([WELL | SATURATED | {"accuracy_fake": 0.9}] * WINDOW) == []


def test_players_that_take_turns_oscillate():
    turns = [WELL | {"accuracy_fake": value} for value in (0.1, 0.9) * WINDOW]
    assert names(turns) == ["oscillating"]
    swell = [WELL | {"accuracy_fake": value} for value in (0.4, 0.6) * WINDOW]
    assert names(swell) == []
    once = [WELL | {"accuracy_fake": value} for value in [0.1] * 5 + [0.9] * 5]
    assert names(once) == []


def test_missing_metrics_make_no_findings():
    assert diagnose([{"generator_loss": 1.0}] * WINDOW) == []
    assert diagnose([{"diversity": float("nan")}] * WINDOW) == []


def test_periods_of_a_run():
    rows = [WELL] * 20 + [WELL | SATURATED] * 15 + [WELL] * 20 + [WELL | {"diversity": 0}] * 12
    rows = [{"step": 100 * index, **row} for index, row in enumerate(rows, 1)]
    first, second = diagnose_run(rows)
    # A period begins and ends when the mean of the last ten points crosses the bounds.
    assert first.finding.name == "saturated"
    assert 2000 < first.first <= 3000
    assert 3500 <= first.last < 4500
    assert second.finding.name == "collapsed"
    assert (5500 < second.first <= 6500, second.last) == (True, 6700)


def play(generator, gen_tx, disc_tx, steps=120):
    """Logged metrics of a short game, a row a step."""
    discriminator = tiny.players()[1]
    method = adversarial(
        generator, discriminator, latent_dim=tiny.LATENT_DIM, loss=losses.non_saturating
    )
    state = method.init(jax.random.key(0), tiny.batch(), gen_tx, disc_tx)
    step = make_train_step(method, gen_tx, disc_tx)
    # Real images have what a generator that starts from small weights has not: bright blobs.
    rng = np.random.default_rng(0)
    centres = rng.integers(4, 12, (64, 2))
    y, x = np.mgrid[:16, :16]
    images = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 8) * 2 - 1 for a, b in centres]
    batch = {"image": jnp.asarray(np.array(images, np.float32)[..., None])}
    run = jax.jit(lambda state: jax.lax.scan(lambda s, _: step(s, batch), state, None, steps))
    _, metrics = run(state)
    metrics = jax.device_get(metrics)
    return [{key: float(metrics[key][i]) for key in metrics} for i in range(steps)]


class Deaf(nn.Module):
    """Ignores its latents."""

    inner: nn.Module

    @nn.compact
    def __call__(self, latents, train=False):
        return self.inner(jnp.zeros_like(latents), train=train)


def test_a_discriminator_far_too_strong_is_diagnosed():
    rows = play(tiny.players()[0], optax.sgd(0.0), optax.adam(5e-3))
    assert "saturated" in names(rows)


def test_a_generator_that_ignores_its_latents_is_diagnosed():
    rows = play(Deaf(tiny.players()[0]), tiny.TX, tiny.TX)
    assert "collapsed" in names(rows)


def test_an_even_game_is_healthy():
    rows = play(tiny.players()[0], optax.adam(1e-3, b1=0.5), optax.adam(2e-4, b1=0.5))
    assert names(rows) == []


def test_diversity_is_the_ratio_of_spreads():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(3, 2, (500, 4, 4, 1)), rng.normal(-1, 0.5, (500, 4, 4, 1))
    expected = np.sqrt(fake.var(0).mean() / real.var(0).mean())
    ratio = diversity(real.astype(np.float32), fake.astype(np.float32))
    assert ratio == pytest.approx(expected, rel=1e-4)
    assert diversity(real.astype(np.float32), np.full((5, 4, 4, 1), 0.3, np.float32)) < 1e-3
