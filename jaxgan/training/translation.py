"""What the experiments of translation without pairs share: config, data and pictures."""

import functools
import itertools
import shlex
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from jaxgan import data, networks
from jaxgan.errors import UserError
from jaxgan.inference.translator import make_translate
from jaxgan.methods import Method, variables_of
from jaxgan.state import TrainState
from jaxgan.step import make_train_step
from jaxgan.training import sharding
from jaxgan.training.config import base_config, expect_field, image_shape
from jaxgan.training.experiment import fit_images, run_experiment
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


def main(get_config: Callable, make_game: Callable) -> None:
    """Runs an experiment of translation from the command line.

    Args:
      get_config: () -> config.
      make_game: (config, key) -> (generator, discriminator, state, step): the modules, which serve
        either direction and domain with parameters of their own, and the pure train step.
    """
    run_experiment(
        get_config, functools.partial(train, make_game), report=translation_report.report
    )


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
    """What `make_game` returns, of (generator, discriminator) and the method over them."""
    images = jax.ShapeDtypeStruct((config.batch_size, *image_shape(config)), jnp.float32)
    state = method.init(key, {"a": images, "b": images}, gen_tx, disc_tx)
    return *modules, state, make_train_step(method, gen_tx, disc_tx)


def train(
    make_game: Callable, config: config_dict.ConfigDict, workdir: str, change_config: bool
) -> None:
    """Trains both translations as the config says."""
    right = config.load_size == 0 or config.load_size >= config.image_size
    expect_field(config, "load_size", right, f"0, or image_size={config.image_size} or more")
    mesh = sharding.make_mesh()
    sharding.check_batch_size(config.batch_size, mesh)
    sources, tests = load_splits(config, data.load_domains)
    if config.channels == 3:
        check_channels(sources)
    pixels = {"image_size": config.image_size, "channels": config.channels}
    generator, discriminator, state, play = make_game(config, jax.random.key(config.seed))
    order = {"batch_size": config.batch_size, "seed": config.seed}
    cut = config.flip or config.load_size > config.image_size
    arrays = None
    if not cut and fits_on_device(config, sum(map(len, sources))):
        both = (data.load_arrays(source, **pixels) for source in sources)
        arrays = dict(zip("ab", both, strict=True))
        batches = data.domain_index_iterator(*map(len, sources), **order)
    else:
        look = {**pixels, "load_size": config.load_size or None, "flip": config.flip}
        look["value_range"] = generator.value_range
        batches = data.domain_iterator(*sources, **order, **look)
    shown = tests or sources
    columns = min(COLUMNS, *map(len, shown))
    shown = [data.spread_images(source, columns, **pixels) for source in shown]
    knows_truth = translation_report.is_embedded(config)
    real = np.concatenate([data.spread_images(source, 32, **pixels) for source in sources])
    figures = tests and translation_report.Figures(config, tests, HELD_OUT)
    workdir = open_workdir(workdir, config.to_dict(), change_config=change_config)

    def step(state: TrainState, arrays, batch):
        if arrays is not None:
            batch = data.take_domains(arrays, batch, generator.value_range)
        return play(state, batch)

    def translations(state: TrainState) -> list[Callable]:
        """From a to b and from b to a, images in [0, 1]."""
        # Of this process alone: each translates the same images on a device of its own.
        variables = jax.device_get(state.generator.variables)
        return [make_translate(generator, variables_of(variables, name)) for name in ("ab", "ba")]

    def sample(state: TrainState):
        """For either domain: images, their translations, the truth where known, and back."""
        rows = []
        ways = itertools.permutations(translations(state))
        directions = zip(shown, shown[::-1], ways, strict=True)
        for images, truth, (there, back) in directions:
            made = there(images)
            rows += [images, made, *([truth] if knows_truth else []), back(made)]
        return {"samples": jnp.stack(rows)}

    folder = shlex.quote(str(workdir))
    command = f"python experiments/translate.py --workdir {folder} --direction ab"
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
        evaluate=figures and (lambda state: figures(*translations(state))),
        description={
            "generator": networks.describe(generator),
            "discriminator": networks.describe(discriminator),
        },
        use={
            "Translate a folder of images": f"{command} --input FOLDER --output FOLDER",
            "Or in Python": "from jaxgan.inference.translator import load_translator\n\n"
            f'translate = load_translator({str(workdir)!r}, "ab")',
        },
        layout="Rows: images of a, their translations, "
        + ("the truth, " if knows_truth else "")
        + "the way back; then the same of b.",
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
