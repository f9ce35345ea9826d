"""What the experiments of the plain game share: losses, penalties, what the discriminator sees."""

import functools
from collections.abc import Callable

import jax
import optax
from ml_collections import config_dict

from jaxgan import augment, losses
from jaxgan.losses import penalties
from jaxgan.methods import adversarial
from jaxgan.training import generation
from jaxgan.training.config import expect_field, expect_number
from jaxgan.training.sources import number_of_classes

LOSSES = {
    "minimax": losses.minimax,
    "non_saturating": losses.non_saturating,
    "least_squares": losses.least_squares,
    "wasserstein": losses.wasserstein,
    "hinge": losses.hinge,
    "relativistic": losses.relativistic,
}
PENALTIES: dict[str, Callable] = {
    "r1": penalties.r1,
    "r2": penalties.r2,
    "gradient_penalty": penalties.gradient_penalty,
    "dragan": penalties.dragan,
}
AUGMENTATIONS = {
    "color": augment.color,
    "translation": augment.translation,
    "cutout": augment.cutout,
    "ada": augment.ada,
}


def default_config() -> config_dict.ConfigDict:
    """The vocabulary of the plain game."""
    config = generation.default_config()
    config.loss = "non_saturating"  # or minimax, least_squares, wasserstein, hinge, relativistic
    config.label_smoothing = 0.0  # real images are real with 1 minus this probability
    config.penalty = ""  # or r1, r2, gradient_penalty, dragan, or a sum of them, as r1+r2
    # For R1 and R2 the papers' gamma / 2. Gradients are by the images before they are augmented.
    config.penalty_weight = 10.0
    config.penalty_interval = 1  # every so many steps the penalty is paid, so many times as much
    config.augment = ""  # or some of color,translation,cutout (DiffAugment), or ada
    config.augment_probability = 0.3  # with which each part of ada happens; others always do
    config.instance_noise = 0.0  # its deviation at first; it is gone half way through the run
    config.packing = 1  # how many images the discriminator judges at once (PacGAN)
    return config


def make_game(
    make_players: Callable,
    config: config_dict.ConfigDict,
    source,
    key: jax.Array,
    *,
    penalty_weight: optax.Schedule | None = None,
    augment_probability: optax.Schedule | None = None,
    ema_decay: optax.Schedule | None = None,
) -> generation.Game:
    """Makes what is trained, as the config says.

    Args:
      make_players: config -> (generator, discriminator, generator's and discriminator's
        optimiser). Where the config has a field `conditional` it is called with `num_classes`
        besides, None if that is False.
      config, source, key: as `generation.main` gives them.
      penalty_weight, augment_probability, ema_decay: step -> what it is then, in place of the
        config's field of that name.
    """
    check_config(config)
    loss = loss_of(config)
    if config.label_smoothing:
        loss = losses.smooth_labels(loss, config.label_smoothing)  # which refuses some losses
    num_classes, options = None, {}
    if "conditional" in config:
        num_classes = number_of_classes(config, source) if config.conditional else None
        options = {"num_classes": num_classes}
    generator, discriminator, gen_tx, disc_tx = make_players(config, **options)
    method = adversarial(
        generator,
        discriminator,
        latent_dim=config.latent_dim,
        prior=config.latent,
        loss=loss,
        num_classes=num_classes,
        view=_view(config, augment_probability),
        packing=config.packing,
        penalty=weighted(1.0 if penalty_weight else config.penalty_weight, penalties_of(config)),
        penalty_weight=penalty_weight,
        penalty_interval=config.penalty_interval,
    )
    return generation.game_of(
        config,
        key,
        generator,
        discriminator,
        method,
        gen_tx,
        disc_tx,
        ema_decay=ema_decay,
        description={"packing": config.packing},
    )


def loss_of(config: config_dict.ConfigDict) -> losses.Loss:
    """The loss that a config names."""
    expect_field(config, "loss", config.loss in LOSSES, f"one of {', '.join(LOSSES)}")
    return LOSSES[config.loss]


def penalties_of(config: config_dict.ConfigDict) -> list[Callable]:
    """The penalties that a config names, as r1+r2."""
    names = config.penalty.split("+") if config.penalty else []
    expected = f"some of {', '.join(PENALTIES)}, joined by +"
    expect_field(config, "penalty", {*names} <= {*PENALTIES}, expected)
    return [PENALTIES[name] for name in names]


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses values that no game can have, naming the field."""
    expect = functools.partial(expect_field, config)
    loss_of(config)
    penalties_of(config)
    expect("label_smoothing", 0 <= config.label_smoothing < 0.5, "a number in [0, 0.5)")
    for name in ("penalty_weight", "instance_noise"):
        expect_number(config, name, 0)
    expect("penalty_interval", config.penalty_interval >= 1, "1 or more")
    known = set(config.augment.split(",")) <= {*AUGMENTATIONS}
    names = ", ".join(AUGMENTATIONS)
    expect("augment", not config.augment or known, f"some of {names}, joined by commas")
    expect_number(config, "augment_probability", 0, 1)
    divides = config.packing >= 1 and config.batch_size % config.packing == 0
    expect("packing", divides, f"a divisor of batch_size={config.batch_size}")
    # A pack has several classes, and the discriminator is told one.
    single = config.packing == 1 or not config.get("conditional")
    expect("packing", single, "1 where classes are asked for")


def weighted(weight: float | jax.Array, terms: list[Callable]) -> Callable | None:
    """The sum of penalties, so many times, as a method takes it; None of none."""
    return (lambda *inputs: weight * sum(term(*inputs) for term in terms)) if terms else None


def _view(config, probability: optax.Schedule | None = None):
    """What the discriminator is shown of images in training; None if it is the images alone."""
    if not config.augment and not config.instance_noise:
        return None
    names = [name for name in config.augment.split(",") if name]
    probability = probability or optax.constant_schedule(config.augment_probability)
    std = optax.linear_schedule(config.instance_noise, 0.0, max(1, config.num_steps // 2))

    def view(images, key, step):
        augment_key, noise_key = jax.random.split(key)
        ada = functools.partial(augment.ada, probability=probability(step))
        policy = [ada if name == "ada" else AUGMENTATIONS[name] for name in names]
        images = augment.diff_augment(images, augment_key, policy)
        if config.instance_noise:
            images = augment.instance_noise(images, noise_key, std(step))
        return images

    return view
