"""What the experiments of translation share: config, data and pictures."""

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from jaxgan import data, networks
from jaxgan.errors import UserError
from jaxgan.inference.load import LoadedGenerator
from jaxgan.inference.translator import BOTH, make_translations
from jaxgan.inputs import describe_inputs
from jaxgan.methods import Method
from jaxgan.state import TrainState
from jaxgan.training.config import base_config, expect_field, image_shape
from jaxgan.training.experiment import fit_images, make_mesh, make_step, run_experiment
from jaxgan.training.reports import translation_report
from jaxgan.training.sources import fits_on_device, load_splits
from jaxgan.training.workdir import open_workdir

COLUMNS = 10
HELD_OUT = 500
"""How many of the held-out images an evaluation in training sees."""


def default_config() -> config_dict.ConfigDict:
    """The vocabulary of translation."""
    config = base_config()
    config.dataset = "digits"  # or folder:PATH_A,PATH_B, or of TFDS, as cycle_gan/horse2zebra
    config.channels = 3
    config.load_size = 0  # images are read at this size and squares cut out; 0 cuts none
    config.flip = False  # turn a random half of the images left to right
    config.batch_size = 16
    config.sample_every = 200
    config.eval_every = 400
    config.checkpoint_every = 200
    return config


def main(
    get_config: Callable, make_game: Callable, *, paired: bool = False, variants: tuple = ()
) -> None:
    """Runs an experiment of translation from the command line.

    Args:
      get_config: () or (variant) -> config.
      make_game: (config, key) -> what `game_of` returns.
      paired: image i of b is what image i of a should become, in training, too.
      variants: as for `run_experiment`.
    """
    report = functools.partial(translation_report.report, paired=paired)
    train_so = functools.partial(train, paired=paired)
    run_experiment(train_so, get_config, make_game, variants=variants, report=report)


def make_both(generator, discriminator):
    """The players of an objective: one module for each direction and each domain."""
    return {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}


def game_of(
    config: config_dict.ConfigDict,
    key: jax.Array,
    modules: tuple,
    method: Method,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
) -> tuple:
    """What `make_game` returns: (generator, discriminator), the method over them, state, step."""
    images = jax.ShapeDtypeStruct((config.batch_size, *image_shape(config)), jnp.float32)
    state = method.init(key, {"a": images, "b": images}, gen_tx, disc_tx)
    return modules, method, state, make_step(config, method, gen_tx, disc_tx)


def train(
    make_game: Callable,
    config: config_dict.ConfigDict,
    workdir: str | Path,
    change_config: bool,
    paired: bool = False,
) -> None:
    """Trains translations, both ways or from a to b, as the config says."""
    right = config.load_size == 0 or config.load_size >= config.image_size
    expect_field(config, "load_size", right, f"0, or image_size={config.image_size} or more")
    mesh = make_mesh(config)
    sources, tests = load_splits(config, data.load_pairs if paired else data.load_domains)
    if config.channels == 3:
        check_channels(sources)
    pixels = {"image_size": config.image_size, "channels": config.channels}
    (generator, discriminator), method, state, play = make_game(config, jax.random.key(config.seed))
    order = {"batch_size": config.batch_size, "seed": config.seed, "paired": paired}
    cut = config.flip or config.load_size > config.image_size
    arrays = None
    if not cut and fits_on_device(config, sum(map(len, sources))):
        both = (data.load_arrays(source, **pixels) for source in sources)
        arrays = dict(zip("ab", both, strict=True))
        batches = data.domain_index_iterator(*map(len, sources), **order)
    else:
        look: dict[str, Any] = {**pixels, "value_range": generator.value_range}
        look |= {"load_size": config.load_size or None, "flip": config.flip}
        batches = data.domain_iterator(sources[0], sources[1], **order, **look)
    shown = tests or sources
    columns = min(COLUMNS, *map(len, shown))
    shown = [data.spread_images(source, columns, **pixels) for source in shown]
    shown = dict(zip("ab", shown, strict=True))
    real = np.concatenate([data.spread_images(source, 32, **pixels) for source in sources])
    knows_truth = translation_report.knows_truth(config, paired)
    measure = tests and translation_report.TranslationMetrics(config, tests, HELD_OUT, paired)
    workdir = open_workdir(workdir, config.to_dict(), change_config=change_config)

    def step(state: TrainState, arrays, batch):
        if arrays is not None:
            batch = data.take_domains(arrays, batch, generator.value_range)
        return play(state, batch)

    def translations(state: TrainState) -> dict[str, LoadedGenerator]:
        """By direction, from images in [0, 1] to such images."""
        # Of this process alone: each translates the same images on a device of its own.
        return make_translations(generator, jax.device_get(state.generator.variables))

    def sample(state: TrainState):
        """For each direction: images, their translations, the truth where known, and back."""
        rows, ways = [], translations(state)
        for way, there in ways.items():
            source, target = way[0], way[1]
            made = there(shown[source])
            rows += [shown[source], made, *([shown[target]] if knows_truth else [])]
            rows += [ways[target + source](made)] if len(ways) == 2 else []
        return {"samples": jnp.stack(rows)}

    folder = shlex.quote(str(workdir))
    command = f"jaxgan translate --workdir {folder} --direction ab"
    both_ways = set(state.generator.params) == BOTH
    layout = "Rows: images of a, their translations" + (", the truth" if knows_truth else "")
    fit_images(
        config,
        state,
        step,
        batches,
        workdir,
        mesh,
        arrays=arrays,
        sample=sample,
        real=real,
        evaluate=measure and (lambda state: measure(translations(state))),
        description={
            "generator": networks.describe(generator),
            "discriminator": networks.describe(discriminator),
            **({"inputs": describe_inputs(method.inputs)} if method.inputs else {}),
        },
        use={
            "Translate a folder of images": f"{command} --input FOLDER --output FOLDER",
            "Or in Python": "from jaxgan.inference.translator import load_translator\n\n"
            f'translate = load_translator({str(workdir)!r}, "ab")',
        },
        layout=layout + (", the way back; then the same of b." if both_ways else "."),
        images_per_step=config.batch_size,
        sources=(*sources, *(tests or ())),
    )


def check_channels(sources: tuple) -> None:
    """Refuses a domain of grey images beside one in colour: what it lacks cannot be translated."""
    channels = []
    for source in sources:
        # Photographs have a grey one among them here and there.
        numbers = range(0, len(source), max(1, len(source) // 16))
        channels.append(max(source[number]["image"].shape[-1] for number in numbers))
    if channels[0] != channels[1]:
        raise UserError(
            f"dataset: domain a has {channels[0]} channels and domain b {channels[1]}, expected as "
            "many in both"
        )
