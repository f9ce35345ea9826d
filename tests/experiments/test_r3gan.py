"""R3GAN's presets: that they fit together, and that their schedules are the authors'."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import r3gan

from jaxgan import (
    UserError,
    create_player,
    create_train_state,
    losses,
    make_train_step,
    networks,
    penalties,
)
from jaxgan.methods import adversarial as game_of
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


def schedules_of(monkeypatch, config):
    given = {}
    monkeypatch.setattr(adversarial, "make_game", lambda *_, **schedules: given.update(schedules))
    r3gan.make_game(config, Classes(), KEY)
    return given


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
    before, after, metrics = traced(config_of(variant, blocks=0, fresh_batch=True))
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
    config = r3gan.get_config("cifar10")
    given = schedules_of(monkeypatch, config)
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
    assert not schedules_of(monkeypatch, r3gan.get_config())
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


WIDTHS, SIDE, BATCH, STEPS, NUM_CLASSES = (16, 8), 8, 4, 6, 3


def drawn(shapes, rng):
    """Parameters for shapes, drawn in the order of their names."""
    return jax.tree.map(lambda x: (rng.standard_normal(x.shape) / 4).astype(np.float32), shapes)


def draw_batches(rng):
    """Of images and classes, and of the latents; every second example is the generator's."""
    count = 2 * BATCH
    return [
        {
            "image": rng.uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32),
            "latents": rng.standard_normal((count, 6)).astype(np.float32),
            "label": rng.integers(0, NUM_CLASSES, count).astype(np.int32),
        }
        for _ in range(STEPS)
    ]


def train_small(monkeypatch, rng):
    """Losses of each step, and how far parameters go, of a small preset with all that it has."""
    config = config_of("cifar10", batch_size=BATCH, burn_in_images=16, ema_half_life=20)
    config.penalty_weight = 0.5
    schedules = schedules_of(monkeypatch, config)
    generator = networks.R3GANGenerator(4, WIDTHS, 1, 3, num_classes=NUM_CLASSES)
    discriminator = networks.R3GANDiscriminator(WIDTHS[::-1], 1, num_classes=NUM_CLASSES)
    method = game_of(
        generator,
        discriminator,
        latent_dim=6,
        loss=losses.relativistic,
        num_classes=NUM_CLASSES,
        penalty=lambda *inputs: penalties.r1(*inputs) + penalties.r2(*inputs),
        penalty_weight=schedules["penalty_weight"],
    )

    def generate(gen_vars, batch, context):
        return generator.apply(gen_vars, batch["latents"], batch["label"], train=True), {}

    tx = r3gan.make_adam(config, 2e-3)
    step = make_train_step(
        method._replace(generate=generate),
        tx,
        tx,
        fresh_batch=True,
        ema_decay=schedules["ema_decay"],
    )
    shapes = (2, 6), (2, SIDE, SIDE, 3)
    players = []
    for module, shape in zip((generator, discriminator), shapes, strict=True):
        inputs = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
        players.append(drawn(jax.eval_shape(module.init, KEY, *inputs)["params"], rng))
    state = create_train_state(
        KEY,
        create_player({"params": players[0]}, tx, ema=True),
        create_player({"params": players[1]}, tx),
    )
    step = jax.jit(step, compiler_options={"xla_backend_optimization_level": 0})
    names, found = ("discriminator_loss", "generator_loss", "penalty"), []
    for batch in draw_batches(rng):
        state, metrics = step(state, batch)
        found.append([float(metrics[name]) for name in names])
    after = state.generator.params, state.discriminator.params, state.generator.ema_params
    gone = [
        np.linalg.norm(
            [np.linalg.norm(x) for x in jax.tree.leaves(jax.tree.map(jnp.subtract, *of))]
        )
        for of in zip(after, (*players, players[0]), strict=True)
    ]
    return np.array(found), np.array(gone)


def test_steps_are_those_of_the_authors_trainer(monkeypatch):
    """Six steps of their AdversarialTraining, of PyTorch's Adam and of their averages, on CPU.

    With their schedules, classes, and real images and latents of each player's own; without
    augmentation. Figures: the losses of both players, the penalty, and how far the parameters of
    generator, discriminator and average have gone.
    """
    expected = [
        [0.7036491632, 0.7238112688, 0.0467413478],
        [0.7170544267, 0.6452338696, 0.0414709225],
        [0.7464941144, 0.7295064926, 0.0220787041],
        [0.7535665035, 0.6487340927, 0.0083768517],
        [0.6424161792, 0.6648569703, 0.0036093739],
        [0.8249768615, 0.7211544514, 0.0050417972],
    ]
    found, moved = train_small(monkeypatch, np.random.default_rng(7))
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    np.testing.assert_allclose(moved, [0.4097535990, 0.3547287028, 0.3413430451], rtol=1e-4)
