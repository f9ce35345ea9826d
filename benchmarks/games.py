"""The games that are timed: their sizes, which every side reads."""

from typing import NamedTuple

__all__ = ["GAMES", "LEARNING_RATE", "Game"]

LEARNING_RATE = 2e-4


class Game(NamedTuple):
    """Attributes: examples a batch, size of the latents, (H, W, C) of the images, Adam's beta1."""

    batch: int
    latent_dim: int
    image_shape: tuple[int, int, int]
    b1: float


GAMES = {
    "mlp": Game(100, 64, (28, 28, 1), 0.9),
    "dcgan28": Game(100, 100, (28, 28, 1), 0.5),
    "dcgan64": Game(64, 100, (64, 64, 3), 0.5),
}
