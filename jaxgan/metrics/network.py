"""What metrics of features ask of a network."""

from typing import Protocol

import jax
from jax.typing import ArrayLike

__all__ = ["Network"]


class Network(Protocol):
    """Images (B, H, W, C) in [0, 1] -> {"features": (B, D), "logits": (B, K)}, float32.

    Attributes:
      name: such as "lenet".
      version: of its weights.
    """

    name: str
    version: str

    def __call__(self, images: ArrayLike) -> dict[str, jax.Array]: ...
