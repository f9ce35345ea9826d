"""InfoGAN (Chen et al. 2016) on MNIST: classes of digits found without labels.

    python experiments/infogan.py --workdir runs/infogan
    python experiments/sample.py --workdir runs/infogan --out codes.png

A column of the pictures is one value of the categorical code. The run ends with how well the codes
that the discriminator reads in held-out digits are their classes, after the best assignment of one
to the other; in infogan.json. Of other data there have to be labels for that, and for nothing else.
"""

from pathlib import Path

import dcgan
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxgan import data, load_discriminator, losses
from jaxgan.files import write_json
from jaxgan.methods import infogan
from jaxgan.training import generation
from jaxgan.training.config import expect_field
from jaxgan.training.sources import load_splits


def get_config():
    config = generation.default_config()
    config.latent, config.latent_dim = "uniform", 16
    config.codes = 2  # of the latents, which the discriminator reads as well
    config.categories = 10
    config.class_weight = 3.0
    config.code_weight = 0.1
    config.generator_learning_rate = 1e-3
    config.num_steps = 6_000
    config.upsampling = "transpose"  # or resize, against checkerboards
    return config


def make_game(config, source, key):
    for name, least in (("categories", 2), ("codes", 0), ("class_weight", 0), ("code_weight", 0)):
        expect_field(config, name, config[name] >= least, f"{least} or more")
    expect_field(config, "codes", config.codes < config.latent_dim, "less than latent_dim")
    classes, codes = config.categories, config.codes
    generator, _, *txs = dcgan.make_players(config, num_classes=classes)
    discriminator = dcgan.make_players(config, num_classes=classes + codes)[1]
    names = ("latent_dim", "class_weight", "code_weight")
    options = {"num_classes": classes, "num_codes": codes, "loss": losses.non_saturating}
    options |= {"prior": config.latent, **{name: config[name] for name in names}}
    method = infogan(generator, discriminator, **options)
    return generation.game_of(config, key, generator, discriminator, method, *txs)


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
    figures = {"split": config.evaluate_on, "error": float(error)}
    file = write_json(Path(workdir) / "infogan.json", figures)
    print(f"\n{error:.2%} of {config.evaluate_on} images are of another class than their code")
    print(file)


if __name__ == "__main__":
    generation.main(get_config, make_game, report=report)
