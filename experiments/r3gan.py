r"""R3GAN (Huang et al. 2024): no normalisation, grouped convolutions, relativistic loss, R1 and R2.

    python experiments/r3gan.py --workdir runs/r3gan
    python experiments/r3gan.py --workdir runs/cifar --variant=cifar10
    python experiments/r3gan.py --workdir runs/faces --variant=ffhq64 --config.dataset=folder:PATH

`digits`, the default, is small and for MNIST. The others are the presets of the authors' code:
`cifar10`, `ffhq64`, `ffhq256`, `imagenet32` and `imagenet64`, for accelerators of tens of gigabytes
or several of them; `--config.micro_batches=8` takes less memory on one. While the first
`burn_in_images` pass, along half a cosine, the learning rates fall to a quarter, the penalty falls
to a tenth, Adam's b2 rises from 0.9 to 0.99, and the probability of augmentation and the half-life
of the averaged parameters rise from 0 (`docs/r3gan.md`).

With classes: `--config.conditional=True`. `--config.fresh_batch=True` gives the generator's update
real images and latents of its own, as in the authors' code; else both players share them.

Differs from the authors' code: their runs have no end, here they end with the burn-in.
"""

import optax

from jaxgan import networks
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES, expect_field

# penalty_weight is half of the paper's gamma; it and the learning rates are those at first,
# augment_probability and ema_half_life those in the end.
FFHQ = {"batch_size": 256, "augment_probability": 0.3, "ema_half_life": 500_000,
        "burn_in_images": 20_000_000, "num_steps": 78_200}  # fmt: skip
IMAGENET = {"conditional": True, "width": 1536, "group_size": 32, "num_steps": 48_900,
            "batch_size": 4096, "ema_half_life": 50_000_000,
            "burn_in_images": 200_000_000}  # fmt: skip
PRESETS = {
    "cifar10": {"dataset": "cifar10", "image_size": 32, "conditional": True, "batch_size": 512,
                "penalty_weight": 0.025, "augment_probability": 0.55, "ema_half_life": 5_000_000,
                "burn_in_images": 20_000_000, "num_steps": 39_100},
    "ffhq64": {**FFHQ, "dataset": "folder:ffhq64", "image_size": 64, "penalty_weight": 1.0},
    "ffhq256": {**FFHQ, "dataset": "folder:ffhq256", "image_size": 256, "penalty_weight": 75.0},
    "imagenet32": {**IMAGENET, "dataset": "imagenet_resized/32x32", "image_size": 32,
                   "penalty_weight": 0.25, "augment_probability": 0.5},
    "imagenet64": {**IMAGENET, "dataset": "imagenet_resized/64x64", "image_size": 64,
                   "penalty_weight": 0.5, "augment_probability": 0.4, "narrowing": False},
}  # fmt: skip
OF_ALL_PRESETS = {
    "channels": 3, "width": 768, "blocks": 2, "flip": True, "augment": "ada", "dtype": "bfloat16",
    "generator_learning_rate": 2e-4, "discriminator_learning_rate": 2e-4,
    "log_every": 100, "sample_every": 1_000, "eval_every": 5_000, "checkpoint_every": 1_000,
}  # fmt: skip
VARIANTS = ("digits", *PRESETS)


def get_config(variant="digits"):
    config = adversarial.default_config()
    config.variant = variant
    config.loss = "relativistic"
    config.penalty = "r1+r2"
    config.penalty_weight = 0.5
    config.conditional = False  # on the classes of the data
    config.width = 64  # channels of the smallest feature map
    config.blocks = 1  # residual blocks for each side
    config.group_size = 16  # channels of a group of the 3x3 convolutions
    config.narrowing = True  # halve the channels with each doubling of the side from 64 on
    config.latent_dim = 64
    config.batch_size = 64
    config.burn_in_images = 0  # images through which the settings change as above; 0 for constants
    config.ema_half_life = 0  # images, at the end of the burn-in; 0 for ema_decay
    config.fresh_batch = False
    # The paper begins with 2e-4, which so small networks learn from too slowly.
    config.generator_learning_rate = config.discriminator_learning_rate = 1e-3
    config.num_steps = 1_500
    if variant != "digits":
        config.update({**OF_ALL_PRESETS, **PRESETS[variant]})
    return config


def make_players(config, num_classes):
    generator, discriminator = networks.r3gan(
        config.image_size,
        config.channels,
        width=config.width,
        blocks=config.blocks,
        group_size=config.group_size,
        narrowing=config.narrowing,
        num_classes=num_classes,
        dtype=DTYPES[config.dtype],
    )
    gen_tx = make_adam(config, config.generator_learning_rate)
    return generator, discriminator, gen_tx, make_adam(config, config.discriminator_learning_rate)


def make_adam(config, rate):
    """Adam with b1 = 0, of a constant rate, or through the burn-in."""
    if not config.burn_in_images:
        return optax.adam(rate, b1=0.0, b2=0.99)
    # Of the settings, `b1` is to stay a number, which Adam's program depends on.
    adam = optax.inject_hyperparams(optax.adam, static_args="b1")
    return adam(burn_in(config, rate, rate / 4), b1=0.0, b2=burn_in(config, 0.9, 0.99))


def burn_in(config, first, last):
    """Step -> a number that goes from first to last along half a cosine, and stays there."""
    cosine = optax.cosine_decay_schedule(1.0, config.burn_in_images / config.batch_size)
    return lambda step: last + (first - last) * cosine(step)


def make_game(config, source, key):
    for name in ("burn_in_images", "ema_half_life"):
        expect_field(config, name, config[name] >= 0, "0 or more")
    needed = not config.ema_half_life or config.burn_in_images > 0
    expect_field(config, "burn_in_images", needed, "a burn-in where there is an ema_half_life")
    schedules = {}
    if config.burn_in_images:
        weight = config.penalty_weight
        schedules["penalty_weight"] = burn_in(config, weight, weight / 10)
        schedules["augment_probability"] = burn_in(config, 0.0, config.augment_probability)
    if config.ema_half_life:
        half_life = burn_in(config, 0.0, config.ema_half_life)
        # None at first: the average is then the generator itself.
        schedules["ema_decay"] = lambda step: 0.5 ** (config.batch_size / (half_life(step) + 1e-8))
    return adversarial.make_game(make_players, config, source, key, **schedules)


if __name__ == "__main__":
    generation.main(get_config, make_game, variants=VARIANTS)
