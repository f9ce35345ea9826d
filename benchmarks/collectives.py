"""What a compiled step moves between devices, read from its program.

A device sends and receives, of an array of S bytes over n devices in a ring,

    all-reduce        2 (n - 1) / n S
    all-gather          (n - 1) / n S, S being what it gives
    reduce-scatter      (n - 1) / n S, S being what it takes
    all-to-all          (n - 1) / n S
    collective-permute              S
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np

__all__ = ["Collective", "collectives", "least_bytes", "moved_bytes"]

_RING = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: (n - 1) / n,
    "all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1.0,
}
_CALL = re.compile(rf"= (\(.*?\)|\S+) ({'|'.join(_RING)})\(")
_ARRAY = re.compile(r"\b(pred|bf16|[fsu]\d+)\[([\d,]*)\]")
_CHANNEL = re.compile(r"channel_id=(\d+)")


class Collective(NamedTuple):
    """Attributes: its kind, and the bytes of the whole array that it is of."""

    kind: str
    size: int


def collectives(program: str, devices: int) -> list[Collective]:
    """Those of a program, each once, though it may stand in several parts that overlap it.

    Args:
      program: `compiled.as_text()`.
      devices: that each is over.
    """
    found: list[Collective] = []
    # Where an operation of an array on a channel was first seen: under `shard_map` several share a
    # channel, but parts that overlap one are computations of their own.
    seen: dict[tuple[str, str], int] = {}
    part = 0
    # TPUs fuse an all-reduce with the cut of its result into a reduce-scatter, named thus.
    fused = False
    for line in program.splitlines():
        if line.startswith(("%", "ENTRY")):
            fused, part = line.startswith("%all-reduce-scatter"), part + 1
        call, channel = _CALL.search(line), _CHANNEL.search(line)
        if not call:
            continue
        # A reduce-scatter stands in one part alone, whatever its channel.
        again = channel and seen.setdefault((channel[1], _shapes(call[1])), part) != part
        if again and not fused:
            continue
        kind = "reduce-scatter" if fused else call[2]
        size = sum(_bytes(*array) for array in _ARRAY.findall(call[1]))
        found.append(Collective(kind, size * (devices if call[2] == "reduce-scatter" else 1)))
    return found


def _shapes(text: str) -> str:
    """Without layouts, which differ between the parts."""
    return str(_ARRAY.findall(text))


def _bytes(dtype: str, shape: str) -> int:
    bits = 8 if dtype == "pred" else int(re.sub(r"\D+", "", dtype))
    return math.prod(int(n) for n in shape.split(",") if n) * bits // 8


def moved_bytes(found: Iterable[Collective], devices: int) -> float:
    """That a device sends, and receives as many."""
    return sum(_RING[one.kind](devices) * one.size for one in found)


def least_bytes(gen_params, disc_params, devices: int, *, cut: bool, item: int = 4) -> float:
    """The least for a step: each gradient is summed once, each value of a parameter gathered once.

    The discriminator has two values within a step, since the generator is judged by the new one.

    Args:
      gen_params, disc_params: of float32.
      devices: over which batch and state are split.
      cut: whether a device has only its share of the state; else gradients alone are moved.
      item: bytes of a number that is moved.
    """
    gen, disc = (sum(x.size for x in jax.tree.leaves(tree)) for tree in (gen_params, disc_params))
    if not cut:
        return _RING["all-reduce"](devices) * item * (gen + disc)
    return _RING["all-gather"](devices) * item * ((gen + 2 * disc) + (gen + disc))


def held_bytes(tree) -> int:
    """Of arrays, or of their shapes with shardings, on the first device."""
    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * np.dtype(x.dtype).itemsize
        for x in jax.tree.leaves(tree)
        if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    )
