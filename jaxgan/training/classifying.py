"""The training of `classifier.py`, and its accuracy."""

import functools
import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import data, metrics
from jaxgan.errors import UserError
from jaxgan.files import write_atomically
from jaxgan.metrics.lenet import LeNet, pack_lenet
from jaxgan.training import short_training
from jaxgan.training.config import check_numbers
from jaxgan.training.sources import load_splits, number_of_classes
from jaxgan.training.workdir import check_workdir, lock_workdir, open_workdir


def train(config, workdir):
    """Trains a classifier as the config says; prints the file of its weights."""
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
    step = make_step(module, tx, arrays, config.shift)

    def tell(progress, number, state, _):
        accuracy = measure_accuracy(module, state["variables"], test) if test else None
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
    # Only now: a classifier that has not learnt to the end would give other metrics.
    name = re.sub(r"[^a-z0-9]+", "_", Path(config.dataset).name.lower())
    file = write_atomically(
        workdir / f"{name}.msgpack", pack_lenet(jax.device_get(state["variables"]), image_shape)
    )
    unfinished.unlink()
    return file


def make_step(module, tx, arrays, shift):
    """(state, indices) -> state, one step on the training images of these numbers."""

    def move(image, corner):
        padded = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
        return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), image.shape)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, indices):
        variables = state["variables"]
        key, shift_key = jax.random.split(jax.random.wrap_key_data(state["key"]))
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
        changes, opt_state = tx.update(gradient, state["opt_state"])
        params = optax.apply_updates(variables["params"], changes)
        return {
            "variables": {"params": params, **updates},
            "opt_state": opt_state,
            "key": jax.random.key_data(key),
        }

    return step


def measure_accuracy(module, variables, arrays, size=500):
    """The share of images that the classifier puts in their class."""
    classify = jax.jit(lambda images: module.apply(variables, images)[1])
    blocks = np.split(arrays["image"], range(size, len(arrays["image"]), size))
    logits = np.concatenate([classify(block.astype(np.float32) / 255) for block in blocks])
    return metrics.accuracy(metrics.count_right(logits, arrays["label"], module.num_classes))
