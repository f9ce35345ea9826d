"""A thousand modes (VEEGAN's protocol): three digits in three channels, and how many a GAN makes.

    python experiments/stacked_mnist.py --workdir runs/stacked
    python experiments/stacked_mnist.py --workdir runs/stacked_packed --variant=packed
    python experiments/stacked_mnist.py --workdir runs/stacked_plain --variant=plain

All are the DCGAN. `plain` is as it is, in `packed` the discriminator judges two images at once
(PacGAN), `quick` learns five times as fast as the paper's, at rates that fall to zero, and from
smaller batches. The run ends with the modes that 26,000 images have and their divergence from
equally frequent ones, as the digit classifier reads them, in stacked_mnist.json too; real images of
unseen digits stand beside.
"""

import functools

import dcgan

from jaxgan.training import adversarial, generation
from jaxgan.training.config import expect_field, falling_adams
from jaxgan.training.reports import stacked_mnist_report

VARIANTS = ("quick", "packed", "plain")


def get_config(variant):
    config = dcgan.get_config()
    config.variant = variant
    config.dataset = "stacked_mnist"
    config.channels = 3
    if variant == "packed":
        config.packing = 2
    if variant == "quick":
        config.generator_learning_rate = config.discriminator_learning_rate = 1e-3
        config.batch_size = 64
        config.num_steps = 4_000
    return config


def make_players(config):
    expect_field(config, "dataset", config.dataset == "stacked_mnist", "stacked_mnist")
    expect_field(config, "image_size", config.image_size == 28, "28")
    expect_field(config, "channels", config.channels == 3, "3, one for each digit")
    generator, discriminator, *tx = dcgan.make_players(config)
    if config.variant == "quick":
        tx = falling_adams(config, config.num_steps)
    return generator, discriminator, *tx


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game, variants=VARIANTS, report=stacked_mnist_report.report)
