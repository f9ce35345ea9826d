"""SGAN (Odena 2016; Salimans et al. 2016): a classifier from a hundred labels.

    python experiments/sgan.py --workdir runs/sgan --config.labels=100

Of the training images so many keep their label, drawn by the seed, as many of each class; all of
them are shown without besides. The discriminator is the classifier. At its side the same network
learns from the same labelled batches alone, by the same optimiser. Of both, the share of test
images (or validation images, `--config.evaluate_on=validation`) that they put in their class is
measured at intervals, `accuracy` and `accuracy_supervised`; that at the end is printed and in
sgan.json. `benchmarks/experiments.py` runs it over several seeds.
"""

from pathlib import Path

import jax
import jax.numpy as jnp

from jaxgan import data, networks
from jaxgan.files import write_json
from jaxgan.methods import sgan
from jaxgan.runs.page import read_metrics
from jaxgan.state import create_player, init_variables
from jaxgan.training import generation
from jaxgan.training.config import DTYPES, expect_field, falling_adams, image_shape
from jaxgan.training.sources import number_of_classes
from jaxgan.training.supervised import make_supervised_step


def get_config():
    config = generation.default_config()
    config.labels = 100  # how many images keep their label
    config.labelled_batch_size = 20  # how many of them a batch has besides its batch_size others
    config.feature_matching = True  # or else the generator wants its images taken for real ones
    config.consistency = 1.0  # weight of being of one mind about an image judged twice
    config.conditional = False  # the generator is given a class
    config.num_steps = 4_000
    config.generator_learning_rate = config.discriminator_learning_rate = 3e-3
    config.sample_every = config.eval_every = 400
    return config


def make_game(config, source, key):
    """Makes what is trained, as the config says."""
    enough = config.labelled_batch_size >= 1
    expect_field(config, "labelled_batch_size", enough, "1 or more")
    right = config.consistency >= 0
    expect_field(config, "consistency", right, "a number of at least 0")
    num_classes = number_of_classes(config, source)
    labelled = draw_labelled(config, source, num_classes)
    shape = image_shape(config)
    rules = {"num_classes": num_classes, "conditional": config.conditional}
    generator, discriminator = players = networks.sgan(
        config.image_size, config.channels, **rules, dtype=DTYPES[config.dtype]
    )
    txs = falling_adams(config, config.num_steps)
    names = ("latent_dim", "feature_matching", "consistency")
    options = {"prior": config.latent, **{name: config[name] for name in names}}
    method = sgan(*players, **options, **rules)
    game_key, alone_key, labelled_key = jax.random.split(key, 3)
    game = generation.game_of(config, game_key, *players, method, *txs, held_out=None)
    alone = init_variables(discriminator, alone_key, jnp.zeros((1, *shape)))
    learn_alone = make_supervised_step(discriminator, txs[1])

    def step(state, batch):
        draw_key, alone_key = jax.random.split(jax.random.fold_in(labelled_key, state.step))
        count = config.labelled_batch_size * config.disc_steps
        index = jax.random.randint(draw_key, (count,), 0, config.labels)
        few = data.take_batch(labelled, index, generator.value_range)
        unknown = jnp.full(len(batch["image"]), -1, jnp.int32)
        both = {
            "image": jnp.concatenate([few["image"], batch["image"]]),
            "label": jnp.concatenate([few["label"], unknown]),
        }
        state, metrics = game.step(state, both)
        alone, learnt = learn_alone(state.extra, few, alone_key)
        metrics["class_loss_supervised"] = learnt["class_loss"]
        return state.replace(extra=alone), metrics

    def evaluate(state, batch, key):
        alone = method.evaluate(state.replace(discriminator=state.extra), batch, key)
        measured = method.evaluate(state, batch, key)
        return {**measured, "accuracy_supervised": alone["accuracy"]}

    state = game.state.replace(extra=create_player(alone, txs[1]))
    return game._replace(state=state, step=step, evaluate=evaluate)


def draw_labelled(config, source, num_classes):
    """The images that keep their labels, {"image": uint8 (N, H, W, C), "label": int32 (N,)}."""
    arrays = data.load_arrays(source, image_size=config.image_size, channels=config.channels)
    options = {"num_classes": num_classes, "seed": config.seed}
    chosen = data.balanced_subset(arrays["label"], config.labels, **options)
    return {name: jnp.asarray(array[chosen]) for name, array in arrays.items()}


def report(config, workdir):
    """Prints and writes the accuracies of a finished run, if there are test images."""
    rows = read_metrics(Path(workdir) / "metrics.jsonl")
    for row in [row for row in rows if "eval/accuracy" in row][-1:]:
        mine, alone = row["eval/accuracy"], row["eval/accuracy_supervised"]
        figures = {"split": config.evaluate_on, "labels": config.labels}
        figures |= {"accuracy": mine, "accuracy_supervised": alone}
        file = write_json(Path(workdir) / "sgan.json", figures)
        of = f"{config.evaluate_on} images right"
        print(f"{config.labels} labels: {mine:.2%} of {of}, {alone:.2%} without a GAN")
        print(file)


if __name__ == "__main__":
    generation.main(get_config, make_game, report=report)
