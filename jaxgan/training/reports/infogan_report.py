"""What infogan.py reports of a finished run: whether its codes are the classes of real images."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxgan import data
from jaxgan.files import write_json
from jaxgan.inference.load import load_discriminator
from jaxgan.training.sources import load_splits


def report(config, workdir):
    """Prints and writes how many held-out digits are of the class that their code stands for."""
    test = load_splits(config)[1]
    if test is None or not test.num_classes:
        return
    arrays = data.load_arrays(test, image_size=config.image_size, channels=config.channels)
    discriminate = load_discriminator(workdir)
    parts = np.array_split(arrays["image"], -(-len(test) // 500))
    logits = [discriminate(jnp.float32(part) / 255)[1][:, : config.categories] for part in parts]
    found = np.zeros((config.categories, test.num_classes), int)
    np.add.at(found, (np.argmax(np.concatenate(logits), axis=1), arrays["label"]), 1)
    error = 1 - found[linear_sum_assignment(-found)].sum() / len(test)
    values = {"split": config.evaluate_on, "error": float(error)}
    file = write_json(Path(workdir) / "infogan.json", values)
    print(f"\n{error:.2%} of {config.evaluate_on} images are of another class than their code")
    print(file)
