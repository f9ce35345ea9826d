"""What acgan.py reports of a finished run: its images class by class, its discriminator's reading.

The discriminator has learnt the classes of real and of generated images. It is compared with the
same network, trained on the real ones alone: as many steps, of batches as large, by the same
optimiser. Both are judged with batch statistics of real training images: those that the
discriminator gathered in training are of real and generated batches mixed, which its rival's are
not. What either reads with the statistics of its own training stands beside.
"""

import functools
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import cpu, data, networks
from jaxgan.batch_statistics import standing_statistics
from jaxgan.files import write_json
from jaxgan.inference.load import restore_player
from jaxgan.state import create_player, init_variables
from jaxgan.training import feature_metrics
from jaxgan.training.config import image_shape
from jaxgan.training.reports.evaluate_run import evaluate_run
from jaxgan.training.sources import load_splits
from jaxgan.training.supervised import make_supervised_step

OF_PICTURES = 3_000
"""How many are generated of what Lite1 judges, which takes a minute for as many."""


def report(config, workdir):
    """Prints the metrics; evaluation.json and classifiers.json in the run's folder keep them."""
    source, test = load_splits(config)
    if test is None or not test.num_classes:
        return
    # The classifier that comes with the package reads no other images.
    if config.dataset == "mnist" and image_shape(config) == (28, 28, 1):
        print()
        evaluate_run(workdir, ("fid", "accuracy", "class_fid"), split=config.evaluate_on)
    elif config.channels == 3 and feature_metrics.judge_of_pictures():
        print()
        metrics = ("fid", "kid", "prdc", "accuracy")
        evaluate_run(workdir, metrics, split=config.evaluate_on, num=OF_PICTURES)
    compare_classifiers(config, workdir, source, test)


def compare_classifiers(config, workdir, source, test):
    """Prints what the discriminator and its rival read in images of the test source."""
    look = {"image_size": config.image_size, "channels": config.channels}
    arrays, test = (data.load_arrays(images, **look) for images in (source, test))
    step, description, variables, _ = restore_player(workdir, None, "discriminator")
    discriminator = networks.from_description(description["discriminator"])
    value_range = networks.from_description(description["generator"]).value_range
    variables = {name: {"discriminator": of} for name, of in variables.items()}
    rivals = {
        "discriminator": (ClassHead(discriminator), variables),
        "trained without generator": train_alone(config, discriminator, value_range, arrays),
    }
    right, as_trained = {}, {}
    for name, (module, variables) in rivals.items():
        of_real = real_statistics(module, variables, arrays["image"], value_range)
        right[name] = find_right(module, of_real, test, value_range)
        as_trained[name] = find_right(module, variables, test, value_range)
    both = np.all(list(right.values()), axis=0)
    values = {
        name: {
            "accuracy": float(np.mean(of)),
            "right alone": int(np.sum(of & ~both)),
            "accuracy, statistics of training": float(np.mean(as_trained[name])),
        }
        for name, of in right.items()
    }
    record = {"step": step, "split": config.evaluate_on, **values}
    file = write_json(Path(workdir) / "classifiers.json", record)
    print(f"\nof {len(both)} {config.evaluate_on} images, classified correctly")
    for name, of in values.items():
        print(
            f"{name:28}{of['accuracy']:.2%}, {of['right alone']} where the other is wrong; "
            f"{of['accuracy, statistics of training']:.2%} with the statistics of its training"
        )
    print(file)


class ClassHead(nn.Module):
    """The discriminator as a classifier: its class logits alone."""

    discriminator: nn.Module

    def __call__(self, images, train=False):
        return self.discriminator(images, train)[1]


def train_alone(config, discriminator, value_range, arrays):
    """(module, variables) of the discriminator's network as a classifier, without a generator."""
    arrays = jax.device_put(arrays)
    tx = optax.adam(config.discriminator_learning_rate, b1=0.5)
    module = ClassHead(discriminator)
    init_key, train_key = jax.random.split(jax.random.key(config.seed))
    learn = make_supervised_step(module, tx)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def step(player, arrays, index):
        batch = data.take_batch(arrays, index, value_range)
        return learn(player, batch, train_key)[0]

    images = jnp.zeros((1, *arrays["image"].shape[1:]))
    player = create_player(init_variables(module, init_key, images), tx)
    order = {"batch_size": config.batch_size, "seed": config.seed}
    batches = data.index_iterator(len(arrays["image"]), **order)
    for _ in range(config.num_steps * config.disc_steps):
        player = step(player, arrays, next(batches)["index"])
    return module, player.variables


def real_statistics(module, variables, images, value_range, count=20, size=500):
    """The variables with batch statistics of training images (N, H, W, C) uint8 alone."""
    numbers = np.random.default_rng(0).permutation(len(images))[: count * size]
    size = min(size, len(numbers))
    batches = images[numbers[: len(numbers) // size * size].reshape(-1, size)]
    return standing_statistics(module, variables, _scaled(batches, value_range))


def find_right(module, variables, arrays, value_range, size=500):
    """Which images a classifier puts in their class, (N,) bool."""
    predict = jax.jit(lambda images: jnp.argmax(module.apply(variables, images), axis=1))
    blocks = np.split(arrays["image"], range(size, len(arrays["image"]), size))
    read = np.concatenate([predict(_scaled(block, value_range)) for block in blocks])
    return read == arrays["label"]


def _scaled(images, value_range):
    low, high = value_range
    return low + (high - low) * images.astype(np.float32) / 255
