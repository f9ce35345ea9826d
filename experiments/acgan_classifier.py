"""Do an ACGAN's generated images make a better classifier? Its discriminator against one without.

    python experiments/acgan_classifier.py --workdir runs/acgan

The discriminator has learnt the classes of real and of generated images. The other classifier is
the same network, trained on the real ones alone: as many steps, of batches as large, by the same
optimiser. Both read the data's test images; WORKDIR/classifiers.json keeps the figures.
"""

import argparse
from pathlib import Path

import command_line
import dcgan
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from jaxgan import UserError, cpu, data, load_discriminator
from jaxgan.step import apply_train
from jaxgan.workdir import write_json


def train_alone(config, num_classes, arrays, num_steps):
    """Images in [0, 1] -> class logits, of the discriminator's network without a generator."""
    arrays = jax.device_put(arrays)
    generator, module, _, tx = dcgan.make_players(config, num_classes=num_classes)
    low, high = generator.value_range
    init_key, train_key = jax.random.split(jax.random.key(config.seed))

    def train_step(carry, index):
        variables, opt_state = carry
        batch = data.take_batch(arrays, index, (low, high))

        def loss_of(params):
            now = {**variables, "params": params}
            (_, logits), model_state = apply_train(module, now, batch["image"], key=train_key)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            return jnp.mean(losses), model_state

        grads, model_state = jax.grad(loss_of, has_aux=True)(variables["params"])
        updates, opt_state = tx.update(grads, opt_state)
        params = optax.apply_updates(variables["params"], updates)
        return ({"params": params, **model_state}, opt_state)

    variables = jax.jit(module.init)(init_key, jnp.zeros((1, *arrays["image"].shape[1:])))
    carry = (variables, tx.init(variables["params"]))
    step = jax.jit(train_step, donate_argnums=0, compiler_options=cpu.compiler_options())
    order = {"batch_size": config.batch_size, "seed": config.seed}
    batches = data.index_iterator(len(arrays["image"]), **order)
    for _ in range(num_steps):
        carry = step(carry, next(batches)["index"])
    return lambda images: module.apply(carry[0], low + (high - low) * images, train=False)[1]


def find_right(classify, arrays, size=500):
    """Which images a classifier puts in their class, (N,) bool."""
    predict = jax.jit(lambda images: jnp.argmax(classify(images / 255.0), axis=1))
    blocks = np.split(arrays["image"], range(size, len(arrays["image"]), size))
    return np.concatenate([predict(block) for block in blocks]) == arrays["label"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", required=True, help="the folder of a run of acgan.py")
    parser.add_argument("--step", type=int, help="which checkpoint (the newest)")
    arguments = parser.parse_args()
    discriminate = load_discriminator(arguments.workdir, step=arguments.step)
    config = config_dict.ConfigDict(discriminate.config)
    if "class_weight" not in config:
        raise UserError(
            f"workdir: {arguments.workdir} tells no classes, expected a run of acgan.py"
        )
    source, test = (
        data.load(config.dataset, split, config.data_dir) for split in ("train", "test")
    )
    if test is None:
        raise UserError(f"dataset: {config.dataset} has no test images")
    look = {name: config[name] for name in ("image_size", "channels")}
    arrays, test = data.load_arrays(source, **look), data.load_arrays(test, **look)
    num_steps = discriminate.step * config.disc_steps
    alone = train_alone(config, source.num_classes, arrays, num_steps)
    right = {
        "discriminator": find_right(lambda images: discriminate(images)[1], test),
        "without generated images": find_right(alone, test),
    }
    both = np.all(list(right.values()), axis=0)
    figures = {
        name: {"accuracy": float(np.mean(of)), "right alone": int(np.sum(of & ~both))}
        for name, of in right.items()
    }
    print(f"{len(both)} test images, {num_steps} steps of training")
    for name, of in figures.items():
        print(f"{name:24}  {of['accuracy']:.2%} read rightly, {of['right alone']} by it alone")
    try:
        path = Path(arguments.workdir) / "classifiers.json"
        print(write_json(path, {"step": discriminate.step, **figures}))
    except OSError as error:
        raise UserError(f"workdir: cannot write {arguments.workdir}: {error.strerror}") from None


if __name__ == "__main__":
    command_line.reporting_errors(main)
