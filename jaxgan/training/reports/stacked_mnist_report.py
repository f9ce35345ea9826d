"""What stacked_mnist.py reports of a finished run: how many of a thousand modes it draws."""

import functools
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxgan import data, metrics
from jaxgan.evaluation.features import generated_batches, real_batches
from jaxgan.files import write_json
from jaxgan.inference.load import load_generator
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs.evaluations import format_table

NUM_IMAGES = 26_000


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
    values = {
        "generated": count(generated_batches(load_generator(workdir), NUM_IMAGES)),
        "real": count(real_batches(data.stacked_mnist(config.evaluate_on), NUM_IMAGES, **look)),
    }
    record = {"split": config.evaluate_on, **values}
    file = write_json(Path(workdir) / "stacked_mnist.json", record)
    print(format_table(f"{NUM_IMAGES} images", values))
    print(file)
