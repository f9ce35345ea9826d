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
from pathlib import Path

import dcgan
import jax.numpy as jnp
import numpy as np

from jaxgan import data, load_generator, metrics
from jaxgan.evaluation.features import generated_batches, real_batches
from jaxgan.files import write_json
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs.evaluations import format_table
from jaxgan.training import adversarial
from jaxgan.training.config import expect_field, falling_adams

VARIANTS = ("quick", "packed", "plain")
NUM_IMAGES = 26_000


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


def report(config, workdir):
    """Prints and writes what the images of a finished run have of the modes."""
    network = load_lenet()

    def modes(images):
        read = [jnp.argmax(network(images[..., c : c + 1])["logits"], 1) for c in range(3)]
        return metrics.count_modes(np.asarray(100 * read[0] + 10 * read[1] + read[2]), 1000)

    def count(batches):
        total = functools.reduce(metrics.merge_modes, map(modes, batches))
        return {
            "modes": float(metrics.modes_caught(total)),
            "reverse_kl": metrics.reverse_kl(total),
        }

    look = {"image_size": config.image_size, "channels": config.channels}
    figures = {
        "generated": count(generated_batches(load_generator(workdir), NUM_IMAGES)),
        "real": count(real_batches(data.stacked_mnist(config.evaluate_on), NUM_IMAGES, **look)),
    }
    record = {"split": config.evaluate_on, **figures}
    file = write_json(Path(workdir) / "stacked_mnist.json", record)
    print(format_table(f"{NUM_IMAGES} images", figures))
    print(file)


if __name__ == "__main__":
    adversarial.main(get_config, make_players, VARIANTS, report)
