"""What a generator takes, as its method tells it to those that load it, sample and evaluate.

A mapping from names to inputs, in the order in which the generator takes them, such as
{"latents": Latents(100), "labels": Classes(10)}.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.latent import sample_latents

__all__ = [
    "Classes",
    "Embeddings",
    "Generate",
    "Images",
    "Input",
    "Inputs",
    "Latents",
    "check_inputs",
    "describe_inputs",
    "draw_grid",
    "draw_inputs",
    "inputs_from_description",
]


class Latents(NamedTuple):
    """Draws of a prior, (B, dim) float32.

    Attributes:
      dim: how many numbers.
      prior: "normal" or "uniform", in [-1, 1].
    """

    dim: int
    prior: str = "normal"


class Classes(NamedTuple):
    """One of so many classes, (B,) int32."""

    count: int  # type: ignore[assignment]


class Embeddings(NamedTuple):
    """What captions are made into, (B, dim) float32."""

    dim: int


class Images(NamedTuple):
    """Images of so many channels, (B, H, W, channels) float32 in [0, 1]."""

    channels: int


Input = Latents | Classes | Embeddings | Images
Inputs = Mapping[str, Input]


class Generate(Protocol):
    """What makes images (B, H, W, C) in [0, 1] of its inputs."""

    inputs: Inputs

    def __call__(self, *arrays: ArrayLike) -> jax.Array: ...


_KINDS = {kind.__name__: kind for kind in (Latents, Classes, Embeddings, Images)}


def describe_inputs(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Inputs as JSON, which checkpoints carry.

    Examples:
      >>> describe_inputs({"latents": Latents(100)})
      {'latents': {'kind': 'Latents', 'dim': 100, 'prior': 'normal'}}
    """
    return {name: {"kind": type(of).__name__, **of._asdict()} for name, of in inputs.items()}


def inputs_from_description(description: Mapping[str, Mapping[str, Any]]) -> dict[str, Input]:
    """What `describe_inputs` has described."""
    return {
        name: _KINDS[of["kind"]](**{k: v for k, v in of.items() if k != "kind"})
        for name, of in description.items()
    }


def draw_inputs(
    inputs: Inputs, key: jax.Array, count: int, *, truncation: float | None = None
) -> tuple[jax.Array, ...]:
    """Draws inputs for so many images.

    Args:
      inputs: latents and classes.
      key: a PRNG key, of the latents; a second input of latents has one of its own.
      count: B.
      truncation: the bound that normal latents keep, see `latent.sample_latents`.

    Returns:
      An array for each input. Classes are asked for in turn, each as often as any other.

    Raises:
      UserError: an input that has no distribution to draw from, such as images.

    Examples:
      >>> latents, labels = draw_inputs(
      ...     {"latents": Latents(2), "labels": Classes(3)}, jax.random.key(0), 5
      ... )
      >>> print(latents.shape, labels)
      (5, 2) [0 1 2 0 1]
    """
    drawn: list[jax.Array] = []
    priors = {of.prior for of in inputs.values() if isinstance(of, Latents)}
    for index, (name, of) in enumerate(inputs.items()):
        if isinstance(of, Latents):
            own = jax.random.fold_in(key, index) if index else key
            # Beside normal latents, others stay as they are.
            bound = truncation if of.prior == "normal" or "normal" not in priors else None
            drawn.append(sample_latents(own, count, of.dim, prior=of.prior, truncation=bound))
        elif isinstance(of, Classes):
            drawn.append(jnp.arange(count, dtype=jnp.int32) % of.count)
        else:
            raise UserError(f"{name}: got {type(of).__name__}, expected what can be drawn")
    return tuple(drawn)


def draw_grid(
    inputs: Inputs, key: jax.Array, count: int, *, truncation: float | None = None
) -> tuple[tuple[jax.Array, ...], int | None]:
    """Draws inputs for a grid of at least so many images: a draw a row and a class a column.

    Args:
      inputs, key, truncation: as for `draw_inputs`.
      count: how many images at least.

    Returns:
      (an array for each input, the number of columns), which is None without classes. The columns
      are of the first input of classes; in a row all else is the same.

    Examples:
      >>> inputs = {"latents": Latents(2), "labels": Classes(3)}
      >>> (latents, labels), columns = draw_grid(inputs, jax.random.key(0), 5)
      >>> print(latents.shape, labels, columns)
      (6, 2) [0 1 2 0 1 2] 3
    """
    columns = next((of.count for of in inputs.values() if isinstance(of, Classes)), None)
    if columns is None:
        return draw_inputs(inputs, key, count, truncation=truncation), None
    rows = -(-count // columns)
    drawn = draw_inputs(inputs, key, rows, truncation=truncation)
    grid = [jnp.repeat(of, columns, axis=0) for of in drawn]
    first = next(i for i, of in enumerate(inputs.values()) if isinstance(of, Classes))
    grid[first] = jnp.tile(jnp.arange(columns, dtype=jnp.int32), rows)
    return tuple(grid), columns


def check_inputs(inputs: Inputs, arrays: Sequence[jax.Array]) -> None:
    """Refuses arrays that are not what a generator takes.

    Args:
      inputs: what it takes.
      arrays: what it is given; classes that are traced are not looked at.

    Raises:
      UserError: another number of arrays, another shape or dtype, a class that there is not.
    """
    if len(arrays) != len(inputs):
        names = " and ".join(inputs)
        raise UserError(f"inputs: got {len(arrays)} arrays, expected {len(inputs)}: {names}")
    for (name, of), array in zip(inputs.items(), arrays, strict=True):
        shape, dtype = np.shape(array), jnp.result_type(array)
        if isinstance(of, Classes):
            _check_classes(name, of, array, np.shape(arrays[0])[0])
            continue
        rank, last = (4, of.channels) if isinstance(of, Images) else (2, of.dim)
        if len(shape) != rank or shape[-1] != last or not jnp.issubdtype(dtype, jnp.floating):
            wanted = f"(B, H, W, {last})" if rank == 4 else f"(B, {last})"
            raise UserError(f"{name}: got {dtype} of shape {shape}, expected floats {wanted}")


def _check_classes(name: str, of: Classes, array: jax.Array, batch_size: int) -> None:
    shape, dtype = np.shape(array), jnp.result_type(array)
    if shape != (batch_size,) or not jnp.issubdtype(dtype, jnp.integer):
        raise UserError(f"{name}: got {dtype} of shape {shape}, expected int ({batch_size},)")
    if not isinstance(array, jax.core.Tracer) and batch_size:
        low, high = int(np.min(array)), int(np.max(array))
        if low < 0 or high >= of.count:
            got = low if low < 0 else high
            raise UserError(f"{name}: got class {got}, expected 0 to {of.count - 1}")
