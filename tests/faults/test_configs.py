"""Whatever valid fields are combined, a step runs and is finite, or the config is refused by name.

Most drawn configs are only traced, which finds what does not fit together in a tenth of the time.
Refused means: before a network is initialised, which is what is compiled first.
"""

import functools

import acgan
import cyclegan
import dcgan
import discogan
import jax
import jax.numpy as jnp
import lsgan
import mlp_gan
import numpy as np
import optax
import pytest
import r3gan
import sgan
import sngan
import wgan_gp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxgan import UserError
from jaxgan.networks.mlp import MLPDiscriminator, MLPGenerator
from jaxgan.nonfinite import all_finite
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES, check_config, image_shape

CLASSES = 3


class Shapes:
    """A source of 30 small images of three classes."""

    num_classes = CLASSES

    def __len__(self):
        return 30

    def __getitem__(self, index):
        image = np.full((20, 20, 3), 8 * index, np.uint8)
        return {"image": image, "label": np.int32(index % CLASSES)}


def joined(names, sign):
    return st.lists(st.sampled_from([*names]), unique=True, max_size=3).map(sign.join)


VALID = {
    "seed": st.sampled_from([0, 1, 2**31 - 1]),
    "channels": st.sampled_from([1, 3]),
    "batch_size": st.sampled_from([1, 2, 4, 8, 12]),
    "num_steps": st.sampled_from([1, 2, 1000]),
    "dtype": st.sampled_from(["float32", "bfloat16"]),
    "generator_learning_rate": st.sampled_from([1e-8, 2e-4, 0.1]),
    "latent_dim": st.integers(1, 9),
    "latent": st.sampled_from(["normal", "uniform"]),
    "disc_steps": st.integers(1, 3),
    "ema_decay": st.sampled_from([0.0, 0.5, 0.999]),
    "loss": st.sampled_from([*adversarial.LOSSES]),
    "label_smoothing": st.sampled_from([0.0, 0.1, 0.49]),
    "penalty": joined(adversarial.PENALTIES, "+"),
    "penalty_weight": st.sampled_from([0.0, 0.5, 100.0]),
    "penalty_interval": st.sampled_from([1, 2, 16]),
    "augment": joined(adversarial.AUGMENTATIONS, ","),
    "augment_probability": st.sampled_from([0.0, 0.3, 1.0]),
    "instance_noise": st.sampled_from([0.0, 0.1, 1.0]),
    "packing": st.sampled_from([1, 1, 2, 3]),
    # Of some experiments alone.
    "image_size": st.sampled_from([28, 28, 28, 16, 20, 32]),
    "conditional": st.booleans(),
    "upsampling": st.sampled_from(["transpose", "resize"]),
    "width": st.sampled_from([1, 2, 8, 32]),
    "blocks": st.integers(0, 2),
    "group_size": st.sampled_from([1, 16]),
    "narrowing": st.booleans(),
    "burn_in_images": st.sampled_from([0, 1, 1000]),
    "ema_half_life": st.sampled_from([0, 1000]),
    "fresh_batch": st.booleans(),
    "class_weight": st.sampled_from([0.0, 1.0, 10.0]),
    "labels": st.sampled_from([CLASSES, 2 * CLASSES, 30, 33]),
    "labelled_batch_size": st.sampled_from([1, 2, 5]),
    "feature_matching": st.booleans(),
    "consistency": st.sampled_from([0.0, 5.0]),
    "pool_size": st.sampled_from([1, 2, 50]),
    "cycle_weight": st.sampled_from([0.0, 10.0]),
    "identity_weight": st.sampled_from([0.0, 0.5]),
    "rate": st.sampled_from([0.0, 0.5, 1.0]),
    "starting_rate": st.sampled_from([0.0, 0.01]),
    "curriculum": st.sampled_from([0, 1, 1000]),
}
EXPERIMENTS = {
    **{variant: (mlp_gan, variant) for variant in mlp_gan.VARIANTS},
    **{module.__name__: (module,) for module in (dcgan, lsgan, wgan_gp, sngan, r3gan)},
    **{module.__name__: (module,) for module in (acgan, sgan, cyclegan, discogan)},
}
TRANSLATION = (cyclegan, discogan)


@st.composite
def configs(draw, names=tuple(EXPERIMENTS)):
    """(module, config) of an experiment, some of its fields other than by default."""
    module, *variant = EXPERIMENTS[draw(st.sampled_from(names))]
    config = module.get_config(*variant)
    known = [name for name in VALID if name in config]
    config.update({name: draw(VALID[name]) for name in known if draw(st.booleans())})
    return module, config


def make(module, config, key):
    """The state and the step of an experiment, as its `train` makes them."""
    check_config(config)
    if module in TRANSLATION:
        *_, state, step = module.make_game(config, key)
        return state, step
    generation.check_latents(config)
    players = getattr(module, "make_players", dcgan.make_players)
    make_game = getattr(module, "make_game", functools.partial(adversarial.make_game, players))
    game = make_game(config, Shapes(), key)
    return game.state, game.step


def batch_of(module, config):
    """What the data would give; its images are black, which have no spread at all."""
    shape = image_shape(config)
    if module in TRANSLATION:
        images = jnp.full((config.batch_size, *shape), -1.0)
        return {"a": images, "b": images}
    count = config.batch_size * (config.disc_steps + config.get("fresh_batch", False))
    return {
        "image": jnp.full((count, *shape), -1.0),
        "label": jnp.arange(count, dtype=jnp.int32) % CLASSES,
    }


def traced(module, config):
    """Shapes of the state before a step, after it, and of its metrics."""
    steps = []

    def begin(key):
        state, step = make(module, config, key)
        steps.append(step)
        return state

    before = jax.eval_shape(begin, jax.random.key(0))
    batch = jax.eval_shape(lambda: batch_of(module, config))
    return before, *jax.eval_shape(steps[0], before, batch)


def check_traced(module, config):
    try:
        before, after, metrics = traced(module, config)
    except UserError:
        # Without a key nothing can be initialised: it is refused before, in one line.
        with pytest.raises(UserError, match=r"^\w+: .*\Z"):
            make(module, config, None)
        return
    assert jax.tree.structure(after) == jax.tree.structure(before)
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)
    assert all(value.shape == () for value in metrics.values())


CHECKS = {"deadline": None, "derandomize": True, "suppress_health_check": [*HealthCheck]}


@settings(max_examples=10, **CHECKS)
@given(configs())
def test_a_config_is_refused_by_name_or_its_step_fits(drawn):
    check_traced(*drawn)


@pytest.mark.long
@settings(max_examples=100, **CHECKS)
@given(configs())
def test_many_configs_are_refused_by_name_or_their_steps_fit(drawn):
    check_traced(*drawn)


def check_runs(module, config):
    """Two steps, of black images, are finite."""
    try:
        state, step = make(module, config, jax.random.key(config.seed))
    except UserError:
        return
    batch = batch_of(module, config)
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), batch)
    state, metrics = jax.jit(lambda *inputs: jax.lax.scan(step, *inputs))(state, stacked)
    bad = [name for name, values in metrics.items() if not np.isfinite(values).all()]
    assert not bad
    assert bool(all_finite(state.replace(key=None)))


class Tiny:
    """Small networks for the plain game, with batch norm and dropout."""

    __name__ = "tiny"

    @staticmethod
    def get_config(**changes):
        config = adversarial.default_config()
        config.update({"image_size": 8, "batch_size": 4, "latent_dim": 3, **changes})
        return config

    @staticmethod
    def make_players(config):
        options = {"dtype": DTYPES[config.dtype]}
        shape = image_shape(config)
        generator = MLPGenerator((8,), shape, batch_norm=True, **options)
        tx = optax.adam(config.generator_learning_rate, b1=0.5)
        return generator, MLPDiscriminator((8,), dropout=0.3, **options), tx, tx


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "minimax", "label_smoothing": 0.1, "batch_size": 1, "latent": "uniform"},
        {"loss": "hinge", "penalty": "r1+r2", "penalty_interval": 2, "instance_noise": 0.1},
        {"loss": "relativistic", "penalty": "gradient_penalty+dragan", "dtype": "bfloat16"},
        {"loss": "wasserstein", "augment": "color,translation,cutout", "packing": 2, "channels": 3},
        {"loss": "least_squares", "disc_steps": 3, "ema_decay": 0.0, "penalty": "dragan",
         "packing": 4, "augment": "cutout,ada", "dtype": "bfloat16", "instance_noise": 1.0},
    ],
    ids=lambda changes: changes["loss"],
)  # fmt: skip
def test_a_step_of_what_is_combined_is_finite(changes):
    check_runs(Tiny, Tiny.get_config(**changes))


PLAIN = [name for name in VALID if name in adversarial.default_config() and name != "image_size"]


@pytest.mark.long
@settings(max_examples=15, **CHECKS)
@given(st.fixed_dictionaries({name: VALID[name] for name in PLAIN}))
def test_steps_of_what_is_combined_are_finite(changes):
    check_runs(Tiny, Tiny.get_config(**changes))


@pytest.mark.long
@pytest.mark.parametrize("name", EXPERIMENTS)
@settings(max_examples=1, **CHECKS)
@given(st.data())
def test_steps_of_every_experiment_are_finite(name, data):
    module, config = data.draw(configs((name,)))
    small = {"image_size": 28, "batch_size": 2, "width": 32, "num_steps": 2}
    config.update({field: value for field, value in small.items() if field in config})
    check_runs(module, config)


@pytest.mark.parametrize(
    ("module", "changes", "expected"),
    [
        (dcgan, {"loss": "hinge", "label_smoothing": 0.1}, "loss: got one without labels"),
        (r3gan, {"width": 20}, r"width: got 20, which gives feature maps of 20, 10, 5 channels"),
        (r3gan, {"blocks": -1}, "blocks: got -1, expected 0 or more"),
        (sgan, {"consistency": -1.0}, r"consistency: got -1\.0, expected a number of at least 0"),
        (sgan, {"consistency": float("nan")}, "consistency: got nan, expected a finite number"),
        (cyclegan, {"cycle_weight": float("inf")}, "cycle_weight: got inf, expected a finite"),
        (dcgan, {"penalty_weight": 1e300}, r"penalty_weight: got 1e\+300, expected a finite"),
        (dcgan, {"num_steps": 2**31}, "num_steps: got 2147483648, expected a whole number below"),
    ],
)
def test_it_is_refused_before_a_network_is_initialised(module, changes, expected):
    config = module.get_config()
    config.update(changes)
    with pytest.raises(UserError, match=f"^{expected}"):
        make(module, config, None)
