"""From a run that translates images to the function that does."""

from pathlib import Path

from jaxgan import networks
from jaxgan.errors import UserError
from jaxgan.inference.load import LoadedGenerator, inputs_of, make_generate, restore_player
from jaxgan.inputs import Images
from jaxgan.methods.translation import variables_of
from jaxgan.network import NetworkLike, name_of
from jaxgan.state import PyTree

__all__ = ["load_translator", "make_translate", "make_translations"]

BOTH = {"ab", "ba"}
"""The directions of the methods without pairs, by which their variables are named."""


def load_translator(
    workdir: str | Path,
    direction: str,
    *,
    step: int | None = None,
    generator: NetworkLike | None = None,
) -> LoadedGenerator:
    """Loads a generator of a CycleGAN, a DiscoGAN or a pix2pix as a jitted function.

    Args:
      workdir: the folder of a run.
      direction: "ab", from domain a to domain b, or "ba", which a pix2pix has not.
      step: which checkpoint; by default the newest that is not damaged.
      generator: the network, where it is not one of `jaxgan.networks`.

    Returns:
      Images in [0, 1], (B, H, W, C) float -> images in [0, 1], (B, H, W, C) float32. Its attributes
      `generator` (the module), `step` and `config` (the run's, a dict) say of what, when and in
      what run it was saved.

    Raises:
      UserError: another direction, no run there, no such checkpoint, a damaged one, a run that
        does not translate; when called, other arrays.

    Examples:
      >>> translate = load_translator("runs/", "ab")  # doctest: +SKIP
      >>> images = translate(images)  # doctest: +SKIP
    """
    if direction not in ("ab", "ba"):
        raise UserError(f"direction: got {direction!r}, expected 'ab' or 'ba'")
    step, description, variables, _ = restore_player(workdir, step, "generator")
    inputs = [type(of) for of in (inputs_of(description) or {}).values()]
    if inputs != [Images] and set(variables["params"]) != BOTH:
        raise UserError(f"workdir: {workdir} holds no run that translates images")
    if generator is None:
        generator = networks.from_description(description["generator"])
    ways = make_translations(generator, variables)
    if direction not in ways:
        raise UserError(f"direction: got {direction!r}, expected 'ab', the only one of {workdir}")
    translate = ways[direction]
    translate.step = step
    translate.config = description.get("config", {})
    return translate


def make_translate(generator: NetworkLike, variables: PyTree) -> LoadedGenerator:
    """Makes of a generator and its variables the function that `load_translator` gives.

    Args:
      generator: any network from images to images in its `value_range`, with its `channels`.
      variables: its collections, of one direction.

    Returns:
      Images in [0, 1], (B, H, W, C) float -> images in [0, 1], (B, H, W, C) float32.

    Raises:
      UserError: when called, other arrays.

    Examples:
      >>> import jax
      >>> generator, _ = networks.cyclegan(image_size=28, width=4, blocks=1)
      >>> images = jax.numpy.zeros((2, 28, 28, 3))
      >>> make_translate(generator, generator.init(jax.random.key(0), images))(images).shape
      (2, 28, 28, 3)
    """
    # As many channels in either domain.
    channels = getattr(generator, "channels", None)
    if channels is None:
        raise UserError(
            f"generator: got {name_of(generator)} without channels, expected those of its images"
        )
    inputs = {"images": Images(channels)}
    return make_generate(generator, variables, inputs, averaged=False)


def make_translations(generator: NetworkLike, variables: PyTree) -> dict[str, LoadedGenerator]:
    """The functions of `make_translate`, by their directions.

    Args:
      generator: the module, of either direction.
      variables: those of the state's generator: {collection: {"ab", "ba"}}, or of one module, which
        translates from a to b.

    Returns:
      {"ab", "ba"}, or {"ab"}.
    """
    if set(variables["params"]) != BOTH:
        return {"ab": make_translate(generator, variables)}
    return {d: make_translate(generator, variables_of(variables, d)) for d in sorted(BOTH)}
