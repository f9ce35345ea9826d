"""From a StackGAN's run to the function that makes images of captions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import networks
from jaxgan.batch_statistics import standing_statistics
from jaxgan.checkpoints import checkpoint
from jaxgan.data import Vocabulary
from jaxgan.errors import UserError
from jaxgan.inference.load import draw_images, read_run
from jaxgan.state import PyTree

__all__ = [
    "Stage",
    "TextToImage",
    "load_stackgan",
    "make_text_to_image",
    "measure_text_statistics",
    "restore_stage",
]


class TextToImage(Protocol):
    """A stage as a function, with the attributes that `load_stackgan` tells of."""

    noise_dim: int
    first: Callable[[jax.Array, jax.Array], jax.Array] | None
    vocabulary: Vocabulary | None
    embed: Callable[[Sequence[str]], jax.Array] | None
    step: int
    config: dict[str, Any]

    def __call__(self, noise: jax.Array, embeddings: jax.Array) -> jax.Array: ...


def load_stackgan(workdir: str | Path, *, ema: bool = True, step: int | None = None) -> TextToImage:
    """Loads either stage of a StackGAN as a function from captions' embeddings to images.

    Args:
      workdir: the folder of a stage, such as "runs/stackgan/stage2".
      ema: use the averaged parameters, where the run kept them.
      step: which checkpoint; by default the newest that is not damaged.

    Returns:
      (noise (B, noise_dim), embeddings (B, E)) float -> images in [0, 1], (B, H, W, C) float32. Its
      attributes are those of `make_text_to_image`; `vocabulary`, the words that it knows, and
      `embed`, from a sequence of captions to embeddings (B, E), both None where the run was given
      embeddings in place of captions; `step` and `config`. `embed` takes words that it does not
      know for one and the same, which says nothing: `vocabulary.unknown_words(caption)` tells them.

    Raises:
      UserError: no run there, no such checkpoint, a damaged one, no run of a StackGAN;
        when called, arrays of another shape; of `embed`, no captions, or one without a word.

    Examples:
      >>> generate = load_stackgan("runs/stackgan/stage2")  # doctest: +SKIP
      >>> embeddings = generate.embed(["a small red seven on a black ground"])  # doctest: +SKIP
      >>> noise = jax.random.normal(jax.random.key(0), (1, generate.noise_dim))  # doctest: +SKIP
      >>> images = generate(noise, embeddings)  # doctest: +SKIP
    """
    stage = restore_stage(workdir, ema=ema, step=step)
    generate = make_text_to_image(stage.generator, stage.variables, stage.extra, stage.stage_one)
    generate.embed = generate.vocabulary = None
    words = stage.description["vocabulary"]
    if words:
        encoder = networks.from_description(stage.description["text_encoder"])
        generate.vocabulary = Vocabulary(tuple(words["words"]), words["length"])
        generate.embed = _make_embed(encoder, stage.extra["text"], generate.vocabulary)
    generate.step = stage.step
    generate.config = stage.description.get("config", {})
    return generate


class Stage(NamedTuple):
    """What a checkpoint of either stage holds.

    Attributes:
      generator: the module.
      variables: its Flax collections; averaged parameters have batch statistics of their own.
      extra: the state's.
      stage_one: Stage I's module, None where this is Stage I.
      description: JSON.
      step: of the checkpoint.
    """

    generator: nn.Module
    variables: PyTree
    extra: PyTree
    stage_one: nn.Module | None
    description: dict[str, Any]
    step: int


def restore_stage(workdir: str | Path, *, ema: bool = True, step: int | None = None) -> Stage:
    """Reads a checkpoint of either stage.

    Args:
      workdir, ema, step: as for `load_stackgan`.

    Returns:
      The `Stage`.

    Raises:
      UserError: no run there, no such checkpoint, a damaged one, no run of a StackGAN.
    """

    def read(manager, step):
        description = checkpoint.read_description(manager, step)
        if "vocabulary" not in description:
            raise UserError(f"workdir: {workdir} holds no stage of a StackGAN")
        player = checkpoint.restore_player(manager, step, "generator", ema=ema)
        return description, *player, checkpoint.restore_extra(manager, step)

    step, (description, variables, averaged, extra) = read_run(workdir, step, read)
    generator, stage_one = (
        description[name] and networks.from_description(description[name])
        for name in ("generator", "stage_one")
    )
    if averaged:
        variables = measure_text_statistics(generator, variables, extra, stage_one)
    return Stage(generator, variables, extra, stage_one, description, step)


def make_text_to_image(
    generator: nn.Module, variables: PyTree, extra: PyTree, stage_one: nn.Module | None = None
) -> TextToImage:
    """Makes of either stage's generator the function that `load_stackgan` gives.

    Args:
      generator: of Stage I, or of Stage II.
      variables: its Flax collections.
      extra: the state's: {"embeddings": (N, E)}, and {"stage_one": variables} for Stage II.
      stage_one: Stage I's generator, for Stage II.

    Returns:
      (noise (B, noise_dim), embeddings (B, E)) -> images in [0, 1], (B, H, W, C) float32. Its
      attributes are `noise_dim` and `first`, from the same inputs to Stage I's images, None where
      this is Stage I.
    """
    first_of = generator if stage_one is None else stage_one
    first_dim = first_of.latent_dim + first_of.condition_dim
    embedding_dim = extra["embeddings"].shape[-1]
    noise_dim = first_dim + (0 if stage_one is None else generator.condition_dim)

    def check(noise, embeddings):
        shapes, rows = (jnp.shape(noise), jnp.shape(embeddings)), jnp.shape(noise)[:1]
        if shapes != ((*rows, noise_dim), (*rows, embedding_dim)):
            raise UserError(
                f"noise, embeddings: got shapes {shapes[0]} and {shapes[1]}, expected "
                f"(B, {noise_dim}) and (B, {embedding_dim})"
            )

    def first(noise: jax.Array, embeddings: jax.Array) -> jax.Array:
        check(noise, embeddings)
        return draw_images(stage_one, extra["stage_one"], noise[:, :first_dim], embeddings)

    def generate(noise: jax.Array, embeddings: jax.Array) -> jax.Array:
        if stage_one is None:
            check(noise, embeddings)
            return draw_images(generator, variables, noise, embeddings)
        small = 2 * first(noise, embeddings) - 1
        return draw_images(generator, variables, small, noise[:, first_dim:], embeddings)

    made = cast(TextToImage, generate)
    made.noise_dim, made.first = noise_dim, None if stage_one is None else first
    return made


def measure_text_statistics(
    generator: nn.Module, variables: PyTree, extra: PyTree, stage_one: nn.Module | None = None
) -> PyTree:
    """Gives averaged parameters batch statistics of their own, see `standing_statistics`.

    Args:
      generator, variables, extra, stage_one: as for `make_text_to_image`; the embeddings of `extra`
        are some of those of the training captions.

    Returns:
      The variables with the statistics of ten batches, always the same ones.
    """
    embeddings = extra["embeddings"]
    embeddings = embeddings[: len(embeddings) // 10 * 10]
    draw = make_text_to_image(generator, variables, extra, stage_one)
    noise = jax.random.normal(jax.random.key(0), (len(embeddings), draw.noise_dim))
    inputs = [noise, embeddings]
    if draw.first is not None:
        small = 2 * draw.first(noise, embeddings) - 1
        inputs = [small, noise[:, -generator.condition_dim :], embeddings]
    batches = [array.reshape(10, -1, *array.shape[1:]) for array in inputs]
    return jax.jit(standing_statistics, static_argnums=0)(generator, variables, *batches)


def _make_embed(encoder: nn.Module, params: PyTree, vocabulary: Vocabulary) -> Callable:
    apply = jax.jit(lambda params, tokens: encoder.apply({"params": params}, tokens))

    def embed(captions: Sequence[str]) -> jax.Array:
        if isinstance(captions, str):
            raise UserError("captions: got one string, expected a sequence of them")
        if not len(captions) or not all(isinstance(caption, str) for caption in captions):
            raise UserError(f"captions: got {captions!r}, expected a sequence of strings")
        tokens = np.stack([vocabulary.encode(caption) for caption in captions])
        return apply(params, tokens)

    return embed
