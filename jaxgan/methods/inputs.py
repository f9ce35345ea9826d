"""What a generator can be given, as its method tells those that sample from it."""

from typing import NamedTuple

__all__ = ["Classes", "Embeddings", "Images", "Input", "Latents"]


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

    count: int


class Embeddings(NamedTuple):
    """What a caption was made into, (B, dim) float32."""

    dim: int


class Images(NamedTuple):
    """Images of so many channels, (B, H, W, channels) float32 in the generator's `value_range`."""

    channels: int


Input = Latents | Classes | Embeddings | Images
