"""R3GAN's presets: that they fit together, and that their schedules are the authors'."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import r3gan

from jaxgan import UserError
from jaxgan.training import adversarial
from jaxgan.training.config import check_config

KEY = jax.random.key(0)
# What the authors' function of their schedules, cosine_decay_with_warmup, gives for CIFAR-10:
# images, rate, gamma, beta2, augmentation's probability, and 0.5^(512 / half-life).
AUTHORS = [
    (0, 2e-4, 0.05, 0.9, 0.0, 0.0),
    (5_120_000, 1.77024e-4, 0.043107199, 0.913785601, 0.084245341, 0.999536722),
    (10_240_000, 1.22173e-4, 0.026651971, 0.946696058, 0.2853648, 0.999863209),
    (20_480_000, 5e-5, 0.005, 0.99, 0.55, 0.999929024),
]


class Classes:
    num_classes = 5


def config_of(variant, **changes):
    config = r3gan.get_config(variant)
    small = {"width": 64, "blocks": 1, "batch_size": 4, "num_steps": 2}
    config.update({**small, **changes})
    check_config(config)
    return config


def traced(config):
    """Shapes of the state before a step, after it, and of its metrics."""
    steps = []

    def begin():
        game = r3gan.make_game(config, Classes(), KEY)
        steps.append(game.step)
        return game.state

    shape = (config.image_size, config.image_size, config.channels)
    count = config.batch_size * (1 + config.fresh_batch)
    batch = {
        "image": jax.ShapeDtypeStruct((count, *shape), jnp.float32),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
    }
    before = jax.eval_shape(begin)
    return before, *jax.eval_shape(steps[0], before, batch)


@pytest.mark.parametrize("variant", r3gan.PRESETS)
def test_a_step_of_every_preset_fits(variant):
    before, after, metrics = traced(config_of(variant, fresh_batch=True))
    assert jax.tree.structure(after) == jax.tree.structure(before)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)
    assert metrics["penalty"].shape == ()


def test_runs_end_with_their_burn_in():
    for variant in r3gan.PRESETS:
        config = r3gan.get_config(variant)
        images = config.num_steps * config.batch_size
        assert config.burn_in_images <= images < 1.01 * config.burn_in_images
        assert config.steps_per_call <= np.gcd.reduce(
            [config.num_steps, config.log_every, config.sample_every, config.checkpoint_every]
        )


def test_the_schedules_are_the_authors(monkeypatch):
    given = {}
    monkeypatch.setattr(adversarial, "make_game", lambda *_, **schedules: given.update(schedules))
    config = r3gan.get_config("cifar10")
    r3gan.make_game(config, Classes(), KEY)
    names = ("penalty_weight", "augment_probability", "ema_decay")
    for images, rate, gamma, b2, *others in AUTHORS:
        step = jnp.int32(images // 512)
        found = [given[name](step) for name in names]
        np.testing.assert_allclose(found, [gamma / 2, *others], rtol=1e-5)
        np.testing.assert_allclose(r3gan.burn_in(config, 2e-4, 5e-5)(step), rate, rtol=1e-5)
        np.testing.assert_allclose(r3gan.burn_in(config, 0.9, 0.99)(step), b2, rtol=1e-6)


def test_adam_follows_its_rate_and_b2():
    """As PyTorch's does, which corrects the bias by the b2 of the moment; in NumPy, float64."""
    config = config_of("cifar10", burn_in_images=12)  # three steps of a batch of 4
    tx = r3gan.make_adam(config, 0.1)
    params, gradients = jnp.array([1.0, -2.0]), np.random.default_rng(0).normal(size=(5, 2))
    state, expected, second = tx.init(params), np.array([1.0, -2.0]), np.zeros(2)
    for step, gradient in enumerate(gradients):
        updates, state = jax.jit(tx.update)(jnp.asarray(gradient, jnp.float32), state, params)
        params = optax.apply_updates(params, updates)
        done = (1 - np.cos(np.pi * min(step / 3, 1))) / 2
        rate, b2 = 0.1 - 0.075 * done, 0.9 + 0.09 * done
        second = b2 * second + (1 - b2) * gradient**2
        scale = np.sqrt(second / (1 - b2 ** (step + 1))) + 1e-8
        expected = expected - rate * gradient / scale
        np.testing.assert_allclose(params, expected, rtol=1e-5)


def test_without_a_burn_in_nothing_changes_with_the_steps(monkeypatch):
    given = {}
    monkeypatch.setattr(adversarial, "make_game", lambda *_, **schedules: given.update(schedules))
    r3gan.make_game(r3gan.get_config(), Classes(), KEY)
    assert not given
    tx = r3gan.make_adam(r3gan.get_config(), 1e-3)
    expected = optax.adam(1e-3, b1=0.0, b2=0.99).init(jnp.ones(2))
    assert jax.tree.structure(tx.init(jnp.ones(2))) == jax.tree.structure(expected)


def test_augmentation_begins_with_the_burn_in(monkeypatch):
    """At step 0 ada changes nothing, at the end what it is to."""
    config = config_of("cifar10", burn_in_images=40)
    shown = {}

    def method(*players, view, **options):
        images = jnp.tile(jnp.linspace(-1, 1, 8)[None, None, :, None], (64, 8, 1, 3))
        for step in (0, 10):
            changed = jnp.abs(view(images, KEY, jnp.int32(step)) - images) > 1e-3
            shown[step] = float(changed.any((1, 2, 3)).mean())
        raise UserError("seen")

    monkeypatch.setattr(adversarial, "adversarial", method)
    with pytest.raises(UserError, match="seen"):
        r3gan.make_game(config, Classes(), KEY)
    assert shown[0] == 0
    assert shown[10] > 0.9


@pytest.mark.parametrize(
    ("variant", "changes", "expected"),
    [
        ("digits", {"burn_in_images": -1}, "burn_in_images: got -1, expected 0 or more"),
        ("digits", {"ema_half_life": 10}, "burn_in_images: got 0, expected a burn-in where"),
        ("ffhq64", {"ema_half_life": -1}, "ema_half_life: got -1, expected 0 or more"),
        ("ffhq64", {"augment_probability": 1.5}, r"augment_probability: got 1\.5, expected a"),
        ("ffhq64", {"group_size": 48}, "width: got 64, which gives feature maps of 64"),
        ("ffhq256", {"image_size": 512}, "image_size: got 512, expected 28, 32, 64, 128 or 256"),
    ],
)
def test_what_does_not_fit_is_refused(variant, changes, expected):
    with pytest.raises(UserError, match=f"^{expected}"):
        r3gan.make_game(config_of(variant, **changes), Classes(), KEY)
