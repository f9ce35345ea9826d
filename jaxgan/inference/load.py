"""From a run's folder to images, in one line."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp

from jaxgan import networks
from jaxgan.augment import pack
from jaxgan.batch_statistics import standing_statistics
from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.undamaged import read_undamaged
from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import last_features
from jaxgan.inputs import (
    Classes,
    Generate,
    Images,
    Input,
    Inputs,
    Latents,
    check_inputs,
    draw_inputs,
    inputs_from_description,
)
from jaxgan.network import NetworkLike, value_range_of
from jaxgan.state import PyTree
from jaxgan.step import apply_eval

__all__ = [
    "Discriminate",
    "LoadedGenerator",
    "draw_images",
    "load_discriminator",
    "load_generator",
    "make_generate",
    "measure_statistics",
    "read_run",
    "restore_player",
]


class LoadedGenerator(Generate, Protocol):
    """A generator as a function of what it takes.

    Attributes:
      generator: the network.
      variables: its collections, as they are applied.
      step, config: of a run, when it was saved, and the run's, a dict.
    """

    generator: NetworkLike
    variables: PyTree
    step: int
    config: dict[str, Any]


class Discriminate(Protocol):
    """A discriminator as a function, with the attributes that `load_discriminator` tells of."""

    takes_labels: bool
    features: Callable[..., jax.Array]
    step: int
    config: dict[str, Any]

    def __call__(self, images: jax.Array, *labels: jax.Array) -> PyTree: ...


def load_generator(
    workdir: str | Path,
    *,
    ema: bool = True,
    step: int | None = None,
    truncation: float | None = None,
    generator: NetworkLike | None = None,
) -> LoadedGenerator:
    """Loads a trained generator as a jitted function.

    Args:
      workdir: the folder of a run.
      ema: use the averaged parameters, where the run kept them.
      step: which checkpoint; by default the newest that is not damaged.
      truncation: the bound that latents will keep, as `latent.sample_latents` has it; batch
        statistics are measured of such.
      generator: the network, where it is not one of `jaxgan.networks`.

    Returns:
      What the method's generator takes -> images in [0, 1], (B, H, W, C) float32: of latents
      (B, dim) float, in a run with classes of (latents, labels (B,) int), of images in [0, 1]. Its
      attributes `inputs` (such as {"latents": Latents(dim=100, prior="normal"), "labels":
      Classes(count=10)}; see `jaxgan.inputs`), `step` and `config` (the run's, a dict) say what it
      takes, when it was saved and in what run.

    Raises:
      UserError: no run there, no such checkpoint, a damaged one, a generator that takes
        no latents; when called, latents or labels of another shape, a class that there is not.

    Examples:
      >>> generate = load_generator("runs/")  # doctest: +SKIP
      >>> drawn = draw_inputs(generate.inputs, jax.random.key(0), 64)  # doctest: +SKIP
      >>> images = generate(*drawn)  # doctest: +SKIP
    """
    step, description, variables, averaged = restore_player(workdir, step, "generator", ema)
    inputs = inputs_of(description)
    if not description:
        raise UserError(
            f"workdir: {workdir} holds checkpoints without a description; saved by fit, give "
            "Checkpoints one that has networks.describe(generator) as generator and "
            "describe_inputs(method.inputs) as inputs"
        )
    if inputs is None:
        raise UserError(
            f"workdir: {workdir} holds no generator of images from latents, classes or images; "
            "for captions there is load_stackgan, for translation both ways load_translator"
        )
    generate = make_generate(
        networks.from_description(description["generator"]) if generator is None else generator,
        variables,
        inputs,
        averaged=averaged,
        truncation=truncation,
    )
    generate.step = step
    generate.config = description.get("config", {})
    return generate


def make_generate(
    generator: NetworkLike,
    variables: dict[str, PyTree],
    inputs: Inputs,
    *,
    averaged: bool,
    truncation: float | None = None,
) -> LoadedGenerator:
    """Makes of a generator and its variables the function that `load_generator` gives.

    Args:
      generator: any network to images in its `value_range`.
      variables: its collections.
      inputs: what it takes, such as `method.inputs`.
      averaged: whether the parameters are averages, which need batch statistics of their own.
      truncation: as for `load_generator`.

    Returns:
      As `load_generator`, without `step` and `config`.

    Raises:
      UserError: when called, arrays of another shape or dtype, a class that there is not.

    Examples:
      >>> generator, _ = networks.mlp("plain")
      >>> variables = generator.init(jax.random.key(0), jnp.zeros((1, 64)))
      >>> generate = make_generate(generator, variables, {"latents": Latents(64)}, averaged=False)
      >>> generate(jnp.zeros((2, 64))).shape
      (2, 28, 28, 1)
    """
    if averaged:
        variables = measure_statistics(generator, variables, tuple(inputs.items()), truncation)
    low, high = value_range_of(generator)

    def generate(*arrays: jax.Array) -> jax.Array:
        check_inputs(inputs, arrays)
        scaled = (
            low + (high - low) * jnp.asarray(array) if isinstance(of, Images) else array
            for of, array in zip(inputs.values(), arrays, strict=True)
        )
        return draw_images(generator, variables, *scaled)

    made = cast(LoadedGenerator, generate)
    made.generator, made.variables, made.inputs = generator, variables, inputs
    return made


def inputs_of(description: dict[str, Any]) -> Inputs | None:
    """What the generator of a run takes, by its description; None of captions and translation."""
    if "inputs" in description:
        return inputs_from_description(description["inputs"])
    if "latent_dim" not in description:
        return None
    # A run from before its description had the inputs.
    inputs = {"latents": Latents(description["latent_dim"], description["latent"])}
    classes = description.get("num_classes")
    return inputs if classes is None else {**inputs, "labels": Classes(classes)}


def load_discriminator(
    workdir: str | Path,
    *,
    step: int | None = None,
    discriminator: NetworkLike | None = None,
    value_range: tuple[float, float] | None = None,
) -> Discriminate:
    """Loads a trained discriminator as a function of images.

    Its batch norm uses the running statistics of training, which mix real and generated batches:
    each image is judged by itself, and less sharply than in training.

    Args:
      workdir: the folder of a run.
      step: which checkpoint; by default the newest that is not damaged.
      discriminator: the network, where it is not one of `jaxgan.networks`.
      value_range: of the pixels it was trained on; by default that of the run's generator, which
        then is no Linen module of your own.

    Returns:
      Images in [0, 1], (B, H, W, C) float -> logits (B,) float32, (B / m,) where it was trained on
      packs of m; (logits, class logits (B, K)) where it tells classes itself. Its attributes are
      `takes_labels`, true where it is given the classes, (images, labels (B,) int) -> logits;
      `features`, a function from the same inputs to its last layer but one, (B, ...); `step`, when
      it was saved; and `config`, the run's.

    Raises:
      UserError: no run there, no such checkpoint, a damaged one.

    Examples:
      >>> discriminate = load_discriminator("runs/")  # doctest: +SKIP
      >>> logits = discriminate(images)  # doctest: +SKIP
      >>> features = discriminate.features(images)  # doctest: +SKIP
    """
    step, description, variables, _ = restore_player(workdir, step, "discriminator")
    if discriminator is None:
        discriminator = networks.from_description(description["discriminator"])
    if value_range is None:
        of = description["generator"]
        value_range = of.get("value_range") or networks.from_description(of).value_range
    low, high = value_range
    packing = description.get("packing", 1)

    def judge(images: jax.Array, *labels: jax.Array) -> PyTree:
        shown = pack(low + (high - low) * jnp.asarray(images), packing)
        return apply_eval(discriminator, variables, shown, *labels)

    discriminate = cast(Discriminate, judge)
    if "disc_inputs" in description:
        discriminate.takes_labels = "labels" in description["disc_inputs"]
    else:  # a run from before its description had them
        conditional = description.get("num_classes") is not None
        discriminate.takes_labels = description.get("discriminator_takes_labels", conditional)
    discriminate.features = functools.partial(last_features, discriminate)
    discriminate.step = step
    discriminate.config = description.get("config", {})
    return discriminate


def restore_player(workdir: str | Path, step: int | None, player: str, ema: bool = False):
    """What the checkpoints of a run hold of a player, "generator" or "discriminator".

    Args:
      workdir: the folder of a run.
      step: which checkpoint; None is the newest that is not damaged.
      player: which.
      ema: take the averaged parameters, where the run kept them.

    Returns:
      (the step, the run's description, the player's variables, whether they are averaged).

    Raises:
      UserError: as `read_run`.
    """

    def read(manager, step):
        description = checkpoint.read_description(manager, step)
        if together := description.get("trainings"):
            raise UserError(
                f"workdir: {workdir} holds {len(together)} trainings at once, expected one of "
                f"them, as {Path(workdir) / together[0]} will be when they are trained"
            )
        return description, *checkpoint.restore_player(manager, step, player, ema=ema)

    step, found = read_run(workdir, step, read)
    return step, *found


def read_run(workdir: str | Path, step: int | None, read: Callable[[Any, int], Any]):
    """Reads from a run's newest undamaged checkpoint; what is damaged stays where it is.

    Args:
      workdir: the folder of a run.
      step: which checkpoint; None is the newest that is not damaged.
      read: from the open checkpoints and the step to what is wanted.

    Returns:
      (the step, what `read` gave).

    Raises:
      UserError: no run there, no such checkpoint, a damaged one, none that is not.
    """
    with checkpoint.open_checkpoints(workdir) as manager:
        steps = manager.all_steps()
        if not steps:
            raise UserError(f"workdir: {workdir} has no finished checkpoint yet")
        if step is not None and step not in steps:
            raise UserError(f"step: got {step}, expected one of {sorted(steps)} in {workdir}")
        return read_undamaged(manager, lambda step: read(manager, step), step)


@functools.partial(jax.jit, static_argnums=0)
def draw_images(
    generator: NetworkLike, variables: dict[str, PyTree], latents: jax.Array, *labels: jax.Array
) -> jax.Array:
    """Applies a generator as outside training, and brings its images to [0, 1].

    Args:
      generator: any network from latents to images in its `value_range`.
      variables: its collections.
      latents: (B, latent_dim) float.
      *labels: (B,) int, of a generator with classes.

    Returns:
      (B, H, W, C) float32 in [0, 1].
    """
    low, high = value_range_of(generator)
    images = apply_eval(generator, variables, latents, *labels)
    return jnp.clip((images - low) / (high - low), 0.0, 1.0)


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def measure_statistics(
    generator: NetworkLike,
    variables: dict[str, PyTree],
    inputs: tuple[tuple[str, Input], ...],
    truncation: float | None = None,
) -> dict[str, PyTree]:
    """Gives a generator's averaged parameters batch statistics of their own.

    Args:
      generator: any network to images.
      variables: its averaged variables.
      inputs: the items of what it takes; each class is as frequent as any other.
      truncation: of the latents, see `latent.sample_latents`.

    Returns:
      The variables with the statistics of 10 batches of 64 draws, always the same ones.
    """
    drawn = draw_inputs(dict(inputs), jax.random.key(0), 640, truncation=truncation)
    batches = (of.reshape(10, 64, *of.shape[1:]) for of in drawn)
    return standing_statistics(generator, variables, *batches)
