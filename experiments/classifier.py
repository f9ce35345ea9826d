"""Trains the classifier whose features measure generated images: LeNet, on any labelled data.

    python experiments/classifier.py --workdir runs/classifier
    python experiments/classifier.py --workdir runs/classifier --config.dataset=fashion_mnist

Writes WORKDIR/DATASET.msgpack, for `evaluate.py --features` and `jaxgan.metrics.load_lenet`. The
MNIST weights that come with the package are the file of the first command.
"""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from ml_collections import config_dict

from jaxgan import UserError, data
from jaxgan.files import write_atomically
from jaxgan.metrics.lenet import LeNet, pack_lenet
from jaxgan.training import classifying, command_line, short_training
from jaxgan.training.config import check_numbers
from jaxgan.training.sources import load_splits, number_of_classes
from jaxgan.training.workdir import check_workdir, lock_workdir, open_workdir


def get_config():
    config = config_dict.ConfigDict()
    config.seed = 0
    config.dataset = "mnist"  # or folder:PATH, or a name of TensorFlow Datasets
    config.data_dir = config_dict.placeholder(str)  # where TFDS keeps its data sets
    config.on_bad_image = "stop"  # or skip: bad images are left out and counted
    config.evaluate_on = "test"  # or validation, put aside from the training data
    config.image_size = 28
    config.channels = 1
    config.batch_size = 128
    config.epochs = 14
    config.learning_rate = 3e-3  # its highest, from where it falls along a cosine
    config.shift = 2  # pixels that a training image is moved by at most
    return config


def train(config, workdir):
    check_numbers(config)
    check_workdir(workdir, config.to_dict(), change_config=True)
    for name, least in (("epochs", 1), ("shift", 0), ("learning_rate", 0), ("seed", 0)):
        if not least <= config[name] < 2**31:
            raise UserError(f"{name}: got {config[name]}, expected a number from {least} on")
    source, test = load_splits(config)
    num_classes = number_of_classes(config, source)
    look = {name: config[name] for name in ("image_size", "channels")}
    arrays = jax.device_put(data.load_arrays(source, **look))
    test = test and data.load_arrays(test, **look)
    batches = data.index_iterator(len(source), batch_size=config.batch_size, seed=config.seed)
    workdir = open_workdir(workdir, config.to_dict(), change_config=True)
    with lock_workdir(workdir):
        print(_train(config, workdir, num_classes, arrays, batches, test))


def _train(config, workdir, num_classes, arrays, batches, test):
    module, image_shape = LeNet(num_classes), arrays["image"].shape[1:]
    steps_per_epoch = math.ceil(len(arrays["image"]) / config.batch_size)
    num_steps = config.epochs * steps_per_epoch
    tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, num_steps))
    init_key, key = jax.random.split(jax.random.key(config.seed))
    variables = module.init(init_key, jnp.zeros((1, *image_shape)))
    opt_state = tx.init(variables["params"])
    step = classifying.make_step(module, tx, arrays, config.shift)

    def tell(progress, number, state, _):
        accuracy = classifying.measure_accuracy(module, state["variables"], test) if test else None
        share = f"{accuracy:.2%} of {config.evaluate_on} right, " if test else ""
        epoch = f"epoch {number // steps_per_epoch}/{config.epochs}"
        progress.say(f"{epoch}: {share}{progress.seconds:.0f} s")

    unfinished = workdir / "unfinished.msgpack"
    state = short_training.train(
        lambda state, batch, _: (step(state, batch["index"]), None),
        {"variables": variables, "opt_state": opt_state, "key": jax.random.key_data(key)},
        batches,
        num_steps,
        file=unfinished,
        about={
            "config": config.to_dict(),
            "image_shape": image_shape,
            "images": len(arrays["image"]),
        },
        every=steps_per_epoch,
        tell=tell,
        images_per_step=config.batch_size,
    )
    # Only now: a classifier that has not learnt to the end would give other figures.
    name = re.sub(r"[^a-z0-9]+", "_", Path(config.dataset).name.lower())
    file = write_atomically(
        workdir / f"{name}.msgpack", pack_lenet(jax.device_get(state["variables"]), image_shape)
    )
    unfinished.unlink()
    return file


if __name__ == "__main__":
    command_line.start(get_config, train)
