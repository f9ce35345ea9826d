"""Trains the classifier whose features measure generated images: LeNet, on any labelled data.

    python experiments/classifier.py --workdir runs/classifier
    python experiments/classifier.py --workdir runs/classifier --config.dataset=fashion_mnist

Writes WORKDIR/DATASET.msgpack, for `evaluate.py --features` and `jaxgan.metrics.load_lenet`. The
MNIST weights that come with the package are the file of the first command.
"""

import functools
import math
import re
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict
from parts import command_line, common

from jaxgan import UserError, data, metrics
from jaxgan.metrics.lenet import LeNet, pack_lenet
from jaxgan.workdir import open_workdir, write_atomically


def get_config():
    config = config_dict.ConfigDict()
    config.seed = 0
    config.dataset = "mnist"  # or folder:PATH, or a name of TensorFlow Datasets
    config.data_dir = config_dict.placeholder(str)  # where TFDS keeps its data sets
    config.image_size = 28
    config.channels = 1
    config.batch_size = 128
    config.epochs = 14
    config.learning_rate = 3e-3  # its highest, from where it falls along a cosine
    config.shift = 2  # pixels that a training image is moved by at most
    return config


def make_step(module, tx, arrays, shift):
    """(carry, indices) -> carry, one step on the training images of these numbers."""

    def move(image, corner):
        padded = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
        return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), image.shape)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, indices):
        variables, opt_state, key = carry
        key, shift_key = jax.random.split(key)
        batch = data.take_batch(arrays, indices, (0.0, 1.0))
        corners = jax.random.randint(shift_key, (len(indices), 2), 0, 2 * shift + 1)
        images = jax.vmap(move)(batch["image"], corners)

        def loss(params):
            (_, logits), updates = module.apply(
                {**variables, "params": params}, images, train=True, mutable="batch_stats"
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            return jnp.mean(losses), updates

        gradient, updates = jax.grad(loss, has_aux=True)(variables["params"])
        changes, opt_state = tx.update(gradient, opt_state)
        params = optax.apply_updates(variables["params"], changes)
        return {"params": params, **updates}, opt_state, key

    return step


def measure_accuracy(module, variables, arrays, size=500):
    """The share of images that the classifier puts in their class."""
    classify = jax.jit(lambda images: module.apply(variables, images)[1])
    blocks = np.split(arrays["image"], range(size, len(arrays["image"]), size))
    logits = np.concatenate([classify(block.astype(np.float32) / 255) for block in blocks])
    return metrics.accuracy(metrics.count_right(logits, arrays["label"], module.num_classes))


def train(config, workdir):
    for name, least in (("epochs", 1), ("shift", 0), ("learning_rate", 0), ("seed", 0)):
        if not least <= config[name] < 2**31:
            raise UserError(f"{name}: got {config[name]}, expected a number from {least} on")
    source = data.load(config.dataset, "train", config.data_dir)
    num_classes = common.number_of_classes(config, source)
    test = data.load(config.dataset, "test", config.data_dir)
    look = {name: config[name] for name in ("image_size", "channels")}
    arrays = jax.device_put(data.load_arrays(source, **look))
    test = test and data.load_arrays(test, **look)
    batches = data.index_iterator(len(source), batch_size=config.batch_size, seed=config.seed)
    workdir = open_workdir(workdir, config.to_dict(), change_config=True)

    module, image_shape = LeNet(num_classes), arrays["image"].shape[1:]
    steps_per_epoch = math.ceil(len(source) / config.batch_size)
    num_steps = config.epochs * steps_per_epoch
    tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, num_steps))
    init_key, key = jax.random.split(jax.random.key(config.seed))
    variables = module.init(init_key, jnp.zeros((1, *image_shape)))
    carry = (variables, tx.init(variables["params"]), key)
    step = make_step(module, tx, arrays, config.shift)
    file = workdir / f"{re.sub(r'[^a-z0-9]+', '_', Path(config.dataset).name.lower())}.msgpack"
    started = time.monotonic()
    for epoch in range(1, config.epochs + 1):
        for _ in range(steps_per_epoch):
            carry = step(carry, next(batches)["index"])
        share = f"{measure_accuracy(module, carry[0], test):.2%} of test right, " if test else ""
        seconds = time.monotonic() - started
        print(f"epoch {epoch}/{config.epochs}: {share}{seconds:.0f} s", file=sys.stderr)
        write_atomically(file, pack_lenet(carry[0], image_shape))
    print(file)


if __name__ == "__main__":
    command_line.start(get_config, train)
