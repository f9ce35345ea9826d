"""What acgan.py reports of a finished run: its images class by class, its discriminator's reading.

The discriminator has learnt the classes of real and of generated images. It is compared with the
same network, trained on the real ones alone: as many steps, of batches as large, by the same
optimiser.
"""

import functools
from pathlib import Path

import dcgan
import evaluate
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from parts import common

from jaxgan import cpu, data, load_discriminator
from jaxgan.state import create_player, init_variables
from jaxgan.supervised import make_supervised_step
from jaxgan.workdir import write_json


def report(config, workdir):
    """Prints the figures; evaluation.json and classifiers.json in the run's folder keep them."""
    # The classifier that comes with the package reads no other images.
    if config.dataset == "mnist" and common.image_shape(config) == (28, 28, 1):
        print()
        evaluate.main(["--workdir", str(workdir), "--metrics", "fid,accuracy,class_fid"])
    source, test = (common.load(config, split) for split in ("train", "test"))
    if test is None or not test.num_classes:
        return
    look = {"image_size": config.image_size, "channels": config.channels}
    arrays, test = (data.load_arrays(images, **look) for images in (source, test))
    discriminate = load_discriminator(workdir)
    right = {
        "discriminator": find_right(lambda images: discriminate(images)[1], test),
        "trained without generator": find_right(
            train_alone(config, source.num_classes, arrays), test
        ),
    }
    both = np.all(list(right.values()), axis=0)
    figures = {
        name: {"accuracy": float(np.mean(of)), "right alone": int(np.sum(of & ~both))}
        for name, of in right.items()
    }
    file = write_json(Path(workdir) / "classifiers.json", {"step": discriminate.step, **figures})
    print(f"\nof {len(both)} test images read rightly")
    for name, of in figures.items():
        print(f"{name:28}{of['accuracy']:.2%}, {of['right alone']} where the other is wrong")
    print(file)


class ClassHead(nn.Module):
    """The discriminator as a classifier: its class logits alone."""

    discriminator: nn.Module

    def __call__(self, images, train=False):
        return self.discriminator(images, train)[1]


def train_alone(config, num_classes, arrays):
    """Images in [0, 1] -> class logits, of the discriminator's network without a generator."""
    arrays = jax.device_put(arrays)
    generator, discriminator, _, tx = dcgan.make_players(config, num_classes=num_classes)
    module, (low, high) = ClassHead(discriminator), generator.value_range
    init_key, train_key = jax.random.split(jax.random.key(config.seed))
    learn = make_supervised_step(module, tx)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def step(player, arrays, index):
        return learn(player, data.take_batch(arrays, index, (low, high)), train_key)[0]

    images = jnp.zeros((1, *arrays["image"].shape[1:]))
    player = create_player(init_variables(module, init_key, images), tx)
    order = {"batch_size": config.batch_size, "seed": config.seed}
    batches = data.index_iterator(len(arrays["image"]), **order)
    for _ in range(config.num_steps * config.disc_steps):
        player = step(player, arrays, next(batches)["index"])
    return lambda images: module.apply(player.variables, low + (high - low) * images, train=False)


def find_right(classify, arrays, size=500):
    """Which images a classifier puts in their class, (N,) bool."""
    predict = jax.jit(lambda images: jnp.argmax(classify(images / 255.0), axis=1))
    blocks = np.split(arrays["image"], range(size, len(arrays["image"]), size))
    return np.concatenate([predict(block) for block in blocks]) == arrays["label"]
