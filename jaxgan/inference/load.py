"""From a run's folder to images, in one line."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import networks
from jaxgan.augment import pack
from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.undamaged import read_undamaged
from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import last_features
from jaxgan.latent import sample_latents
from jaxgan.state import PyTree
from jaxgan.step import standing_statistics

__all__ = [
    "draw_images",
    "load_discriminator",
    "load_generator",
    "make_generate",
    "measure_statistics",
    "read_run",
    "restore_player",
]


def load_generator(
    workdir: str | Path,
    *,
    ema: bool = True,
    step: int | None = None,
    truncation: float | None = None,
    generator: nn.Module | None = None,
) -> Callable[[jax.Array], jax.Array]:
    """Loads a trained generator as a jitted function.

    Args:
      workdir: the folder of a run.
      ema: use the averaged parameters, where the run kept them.
      step: which checkpoint; by default the newest that is not damaged.
      truncation: the bound that latents will keep, as `latent.sample_latents` has it; batch
        statistics are measured of such.
      generator: the module, where it is not one of `jaxgan.networks`.

    Returns:
      Latents (B, latent_dim) float -> images in [0, 1], (B, H, W, C) float32; of a run with classes
      (latents, labels (B,) int) -> images. Its attributes `latent_dim`, `latent` (the prior,
      "normal" or "uniform"), `num_classes` (None without), `step` and `config` (the run's, a dict)
      say what it takes, when it was saved and in what run.

    Raises:
      UserError: no run there, no such checkpoint, a damaged one, a generator that takes
        no latents; when called, latents or labels of another shape, a class that there is not.

    Example:
      >>> generate = load_generator("runs/")  # doctest: +SKIP
      >>> latents = jax.random.normal(jax.random.key(0), (64, generate.latent_dim))
      ... # doctest: +SKIP
      >>> images = generate(latents)  # doctest: +SKIP
    """
    step, description, variables, averaged = restore_player(workdir, step, "generator", ema)
    if "latent_dim" not in description:
        raise UserError(
            f"workdir: {workdir} holds no generator of images from latents, with or without "
            "classes; for captions there is load_stackgan, for translation load_translator"
        )
    generate = make_generate(
        networks.from_description(description["generator"]) if generator is None else generator,
        variables,
        latent_dim=description["latent_dim"],
        latent=description["latent"],
        num_classes=description.get("num_classes"),
        averaged=averaged,
        truncation=truncation,
    )
    generate.step = step
    generate.config = description.get("config", {})
    return generate


def make_generate(
    generator: nn.Module,
    variables: dict[str, PyTree],
    *,
    latent_dim: int,
    latent: str,
    averaged: bool,
    num_classes: int | None = None,
    truncation: float | None = None,
) -> Callable[..., jax.Array]:
    """Makes of a generator and its variables the function that `load_generator` gives.

    Args:
      generator: module from latents to images in its `value_range`.
      variables: its Flax collections.
      latent_dim: size of the latents.
      latent: "normal" or "uniform".
      averaged: whether the parameters are averages, which need batch statistics of their own.
      num_classes: how many classes the generator makes; None where it takes latents alone.
      truncation: as for `load_generator`.

    Returns:
      Latents (B, latent_dim) float -> images in [0, 1], (B, H, W, C) float32; with classes
      (latents, labels (B,) int) -> images. Its attributes are `latent_dim`, `latent` and
      `num_classes`.

    Raises:
      UserError: when called, latents or labels of another shape, a class that there is not.

    Example:
      >>> generator, _ = networks.mlp("plain")
      >>> variables = generator.init(jax.random.key(0), jnp.zeros((1, 64)))
      >>> prior = {"latent_dim": 64, "latent": "normal"}
      >>> make_generate(generator, variables, averaged=False, **prior)(jnp.zeros((2, 64))).shape
      (2, 28, 28, 1)
    """
    if averaged:
        variables = measure_statistics(
            generator, variables, latent_dim, latent, num_classes, truncation
        )

    def generate(latents: jax.Array, *labels: jax.Array) -> jax.Array:
        if jnp.ndim(latents) != 2 or jnp.shape(latents)[1] != latent_dim:
            raise UserError(f"latents: got shape {jnp.shape(latents)}, expected (B, {latent_dim})")
        _check_labels(labels, num_classes, len(latents))
        return draw_images(generator, variables, latents, *labels)

    generate.latent_dim = latent_dim
    generate.latent = latent
    generate.num_classes = num_classes
    return generate


def _check_labels(labels: tuple[jax.Array, ...], num_classes: int | None, batch_size: int) -> None:
    expected = 0 if num_classes is None else 1
    if len(labels) != expected:
        takes = "latents and labels" if expected else "latents alone"
        raise UserError(f"labels: got {len(labels)} arrays, expected {takes}")
    for array in labels:
        shape, dtype = jnp.shape(array), jnp.result_type(array)
        if shape != (batch_size,) or not jnp.issubdtype(dtype, jnp.integer):
            raise UserError(f"labels: got {dtype} of shape {shape}, expected int ({batch_size},)")
        if not isinstance(array, jax.core.Tracer) and batch_size:
            low, high = int(np.min(array)), int(np.max(array))
            if low < 0 or high >= num_classes:
                got = low if low < 0 else high
                raise UserError(f"labels: got class {got}, expected 0 to {num_classes - 1}")


def load_discriminator(
    workdir: str | Path,
    *,
    step: int | None = None,
    discriminator: nn.Module | None = None,
    value_range: tuple[float, float] | None = None,
) -> Callable[[jax.Array], jax.Array]:
    """Loads a trained discriminator as a function of images.

    Its batch norm uses the running statistics of training, which mix real and generated batches:
    each image is judged by itself, and less sharply than in training.

    Args:
      workdir: the folder of a run.
      step: which checkpoint; by default the newest that is not damaged.
      discriminator: the module, where it is not one of `jaxgan.networks`.
      value_range: of the pixels it was trained on; by default that of the run's generator, which
        then is one of `jaxgan.networks`.

    Returns:
      Images in [0, 1], (B, H, W, C) float -> logits (B,) float32, (B / m,) where it was trained on
      packs of m; (logits, class logits (B, K)) where it tells classes itself. Its attributes are
      `takes_labels`, true where it is given the classes, (images, labels (B,) int) -> logits;
      `features`, a function from the same inputs to its last layer but one, (B, ...); `step`, when
      it was saved; and `config`, the run's.

    Raises:
      UserError: no run there, no such checkpoint, a damaged one.

    Example:
      >>> discriminate = load_discriminator("runs/")  # doctest: +SKIP
      >>> logits = discriminate(images)  # doctest: +SKIP
      >>> features = discriminate.features(images)  # doctest: +SKIP
    """
    step, description, variables, _ = restore_player(workdir, step, "discriminator")
    if discriminator is None:
        discriminator = networks.from_description(description["discriminator"])
    if value_range is None:
        value_range = networks.from_description(description["generator"]).value_range
    low, high = value_range
    packing = description.get("packing", 1)

    def discriminate(images: jax.Array, *labels: jax.Array) -> jax.Array:
        shown = pack(low + (high - low) * jnp.asarray(images), packing)
        return discriminator.apply(variables, shown, *labels, train=False)

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
    generator: nn.Module, variables: dict[str, PyTree], latents: jax.Array, *labels: jax.Array
) -> jax.Array:
    """Applies a generator as outside training, and brings its images to [0, 1].

    Args:
      generator: module from latents to images in its `value_range`.
      variables: its Flax collections.
      latents: (B, latent_dim) float.
      *labels: (B,) int, of a generator with classes.

    Returns:
      (B, H, W, C) float32 in [0, 1].
    """
    low, high = generator.value_range
    images = generator.apply(variables, latents, *labels, train=False)
    return jnp.clip((images - low) / (high - low), 0.0, 1.0)


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5))
def measure_statistics(
    generator: nn.Module,
    variables: dict[str, PyTree],
    latent_dim: int,
    latent: str,
    num_classes: int | None = None,
    truncation: float | None = None,
) -> dict[str, PyTree]:
    """Gives a generator's averaged parameters batch statistics of their own.

    Args:
      generator: module from latents to images.
      variables: its averaged variables.
      latent_dim: size of the latents.
      latent: "normal" or "uniform".
      num_classes: of a generator with classes; each is as frequent as any other.
      truncation: of the latents, see `latent.sample_latents`.

    Returns:
      The variables with the statistics of 10 batches of 64 latents, always the same ones.
    """
    latents = sample_latents(
        jax.random.key(0), 640, latent_dim, distribution=latent, truncation=truncation
    )
    inputs = [latents.reshape(10, 64, latent_dim)]
    if num_classes is not None:
        inputs.append(jnp.arange(640).reshape(10, 64) % num_classes)
    return standing_statistics(generator, variables, *inputs)
