"""What experiments share that make images of images by a loss of their own and a critic's term."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import config_dict

from jaxgan import data, losses, metrics, networks
from jaxgan.evaluation.features import collect_features, frechet
from jaxgan.inference.load import LoadedGenerator
from jaxgan.inference.translator import make_translate
from jaxgan.inputs import Images, describe_inputs
from jaxgan.methods import Critic
from jaxgan.metrics.efficientnet import load_lite
from jaxgan.metrics.names import metric_name
from jaxgan.network import NetworkLike
from jaxgan.state import (
    PyTree,
    TrainState,
    create_player,
    create_train_state,
    init_variables,
    update_player,
)
from jaxgan.step import Metrics, example_gradient_norm
from jaxgan.training.config import base_config, expect_field, image_shape
from jaxgan.training.experiment import fit_images, make_mesh, run_experiment
from jaxgan.training.feature_metrics import load_network
from jaxgan.training.sources import fits_on_device, load_splits
from jaxgan.training.workdir import open_workdir

SEEN = "lite0"
"""By whose feature maps the loss compares images; the judge is another network."""
COLUMNS = 10


def default_config() -> config_dict.ConfigDict:
    """The vocabulary of reconstruction."""
    config = base_config()
    config.dataset = "emoji"
    config.image_size = 64
    config.channels = 3
    config.batch_size = 16
    config.perceptual_weight = 1.0  # of the distance in Lite0's feature maps, beside the L1 error
    config.adversarial_weight = 0.1  # of the critic's term; 0 trains without a critic
    config.adversarial_start = 0  # before this step there is neither term nor critic
    config.features = "lite1"  # of the Fréchet distance, see evaluate.py; not those of the loss
    config.sample_every = config.checkpoint_every = 200
    config.eval_every = 400
    return config


class Task(NamedTuple):
    """What an experiment makes images of, and how.

    Attributes:
      network: the generator, from images to images in its `value_range`.
      apply: (variables, batch of real images, key) -> (made, what the network's own loss adds, its
        model state, metrics), in training.
      degrade: real images (B, H, W, C) in [0, 1] -> what the network is given of them, such as
        they are shown and measured.
      rows: what the pictures' rows are.
      measure: (variables, what the network is given, in its range) -> numbers of all held-out
        images, or None.
    """

    network: NetworkLike
    apply: Callable[..., tuple[jax.Array, jax.Array, PyTree, Metrics]]
    degrade: Callable[[jax.Array], jax.Array]
    rows: str
    measure: Callable[[PyTree, np.ndarray], dict[str, float]] | None = None


def main(get_config: Callable, make_task: Callable) -> None:
    """Runs an experiment of reconstruction from the command line.

    Args:
      get_config: () -> config.
      make_task: config -> (`Task`, critic, generator's optimiser).
    """
    run_experiment(train, get_config, make_task)


def make_step(
    task: Task, critic: Critic, tx: optax.GradientTransformation, config: config_dict.ConfigDict
) -> Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]:
    """The train step: (state, {"image": (B, H, W, C)}) -> (state, metrics).

    L1 + perceptual_weight * perceptual + the task's own + adversarial_weight * w * the critic's
    term, where w lets the term pull on the images as hard as the first two do together.
    """
    stages = load_lite(SEEN).stages

    def distance(made: jax.Array, real: jax.Array) -> tuple[jax.Array, Metrics]:
        l1 = jnp.mean(jnp.abs(made - real))
        perceptual = losses.perceptual(*(stages((1 + images) / 2) for images in (real, made)))
        found = {"l1": l1, "perceptual": perceptual}
        return l1 + config.perceptual_weight * perceptual, found

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        real, key = batch["image"], jax.random.fold_in(state.key, state.step)
        critic_state = state.extra.replace(player=state.discriminator)

        def loss_fn(params):
            variables = {"params": params, **state.generator.model_state}
            made, own, model_state, more = task.apply(variables, real, key)
            # What stands for the distance has its gradient by the images, which is needed anyway.
            (value, found), by_made = jax.value_and_grad(distance, has_aux=True)(
                jax.lax.stop_gradient(made), real
            )
            linear = jnp.vdot(by_made, made)
            loss = own + value + linear - jax.lax.stop_gradient(linear)
            found |= more
            if not config.adversarial_weight:
                return loss, (critic_state, model_state, found)
            term, moved, judged = critic.update(critic_state, real, made, state.step)
            weight = losses.adaptive_weight(
                example_gradient_norm(by_made), judged["generator_gradient_norm"]
            )
            loss += config.adversarial_weight * weight * term
            return loss, (moved, model_state, {**found, **judged, "adaptive_weight": weight})

        (loss, (critic_state, model_state, found)), grads = jax.value_and_grad(
            loss_fn, has_aux=True
        )(state.generator.params)
        generator = update_player(state.generator, grads, model_state, tx)
        state = state.replace(
            step=state.step + 1,
            generator=generator,
            discriminator=critic_state.player,
            extra=critic_state.replace(player=None),
        )
        return state, {**found, "loss": loss}

    return step


def init_state(
    task: Task,
    critic: Critic,
    tx: optax.GradientTransformation,
    config: config_dict.ConfigDict,
) -> TrainState:
    """The state at step 0; the critic's is its `discriminator`, and what else that has `extra`."""
    key, gen_key, critic_key = jax.random.split(jax.random.key(config.seed), 3)
    image = jnp.zeros((1, *image_shape(config)))
    variables = init_variables(task.network, gen_key, task.degrade(image), train=False)
    critic_state = critic.init(critic_key, image)
    return create_train_state(
        key,
        create_player(variables, tx),
        critic_state.player,
        critic_state.replace(player=None),
    )


def train(
    make_task: Callable, config: config_dict.ConfigDict, workdir: str | Path, change_config: bool
) -> None:
    """Trains as the config says."""
    for name in ("perceptual_weight", "adversarial_weight", "adversarial_start"):
        expect_field(config, name, config[name] >= 0, "0 or more")
    expect_field(config, "channels", config.channels == 3, "3, which the features are of")
    expect_field(config, "features", config.features != SEEN, "another network than the loss's")
    for name in ("shard_state", "model_devices", "micro_batches"):
        plain = config[name] == base_config()[name]
        expect_field(config, name, plain, f"{base_config()[name]!r} in this experiment")
    mesh = make_mesh(config)
    source, test = load_splits(config)
    judge = load_network(config.features, (), image_shape(config))
    task, critic, tx = make_task(config)
    state = init_state(task, critic, tx, config)
    play = make_step(task, critic, tx, config)
    pixels = {"image_size": config.image_size, "channels": config.channels}
    order = {"batch_size": config.batch_size, "seed": config.seed}
    arrays = None
    if fits_on_device(config, len(source)):
        arrays = data.load_arrays(source, **pixels)
        batches = data.index_iterator(len(source), **order)
    else:
        batches = data.train_iterator(source, **order, **pixels)
    shown = data.spread_images(test or source, COLUMNS, **pixels)
    given = task.degrade(jnp.asarray(shown))
    measure = test and Measure(task, judge, test, pixels)
    workdir = open_workdir(workdir, config.to_dict(), change_config=change_config)

    def step(state: TrainState, arrays, batch):
        if arrays is not None:
            batch = data.take_batch(arrays, batch["index"], (-1.0, 1.0))
        return play(state, {"image": batch["image"]})

    def translate(state: TrainState) -> LoadedGenerator:
        return make_translate(task.network, jax.device_get(state.generator.variables))

    def sample(state: TrainState) -> dict[str, jax.Array]:
        enlarged = jax.image.resize(given, shown.shape, "nearest")
        return {"samples": jnp.stack([enlarged, translate(state)(given), jnp.asarray(shown)])}

    inputs = {"images": Images(config.channels)}
    folder = shlex.quote(str(workdir))
    fit_images(
        config,
        state,
        step,
        batches,
        workdir,
        mesh,
        arrays=arrays,
        sample=sample,
        real=shown,
        evaluate=measure and (lambda state: measure(translate(state))),
        description={
            "generator": networks.describe(task.network),
            "inputs": describe_inputs(inputs),
        },
        use={
            "Make images of a folder's": f"jaxgan translate --workdir {folder} --input FOLDER "
            "--output FOLDER",
        },
        layout=task.rows,
        images_per_step=config.batch_size,
        sources=(source, test),
    )


class Measure:
    """Measures what is made of held-out images by what they are.

    Args:
      task: of the experiment.
      judge: the network of the Fréchet distance.
      source: held-out images.
      pixels: their size and channels.
    """

    def __init__(self, task: Task, judge, source, pixels: dict[str, Any]) -> None:
        self._judge, self._task = judge, task
        self._real = data.read_images(source, range(len(source)), **pixels)
        # Always the same, so that all runs have the same task.
        self._given = np.asarray(jax.jit(task.degrade)(jnp.asarray(self._real)))
        self._features = self._features_of(self._real)

    def __call__(self, translate: LoadedGenerator) -> dict[str, float]:
        """Means over the images: error, PSNR, SSIM, and the Fréchet distance of all.

        Returns:
          {"mae", "psnr", "ssim", "fd_lite1_COUNT"}: absolute error of pixels in [0, 1], dB, and as
          they are named; and what the task measures besides.
        """
        measure = self._task.measure
        made = np.concatenate([np.asarray(translate(given)) for given in _batches(self._given)])
        squares = np.asarray(metrics.mean_squared_error(made, self._real))
        name = metric_name("fid", self._judge.name, len(made))
        return {
            "mae": float(np.mean(np.abs(made - self._real), dtype=np.float64)),
            "psnr": float(np.mean(-10 * np.log10(squares))),
            "ssim": float(np.mean(metrics.ssim(made, self._real, data_range=1.0))),
            name: frechet(self._features, self._features_of(made)),
            **(measure(translate.variables, 2 * self._given - 1) if measure else {}),
        }

    def _features_of(self, images: np.ndarray) -> np.ndarray:
        return collect_features(self._judge, _batches(images), len(images)).features


def _batches(images: np.ndarray) -> list[np.ndarray]:
    """All of them, about 50 at once."""
    return np.array_split(images, max(1, len(images) // 50))
