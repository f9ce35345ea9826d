"""That all sides train the same game: the same losses from the same weights, step by step.

A `Start` is what they begin from, kept in a file between their processes: jaxgan's weights, with
numbers in place of those that begin as zeros, the images, and the latents that jaxgan draws.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from games import Game

__all__ = ["LEARNING_RATE", "STEPS", "TOLERANCE", "Start", "largest_difference"]

STEPS = 10

TOLERANCE = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 2e-2}
"""Of the losses, relative."""

LEARNING_RATE = 1e-5
"""Adam's first updates are the signs of the gradients, so that a rounding may turn a weight's
whole update. At the rate of training it grows to 1% of a float32 loss in ten steps; at this one the
losses still fall by a third or more, and roundings stay small. The time of a step is the same."""

SMALLEST = 0.1
"""Losses closer to 0 are compared as if they were this far from it."""


class Start(NamedTuple):
    """What the sides begin from.

    Attributes:
      game: of which sizes.
      weights: (player, collection, ..., name) -> array, of jaxgan's networks.
      latents: (STEPS, B, D).
      platform: "cpu" or "gpu", where the sides run.
    """

    game: Game
    weights: dict[tuple[str, ...], np.ndarray]
    latents: np.ndarray
    platform: str

    def images(self, step: int) -> tuple[np.ndarray, ...]:
        """The images (B, H, W, C) of a step, those of two domains for CycleGAN."""
        rng = np.random.default_rng(step)
        shape = (self.game.batch, *self.game.image_shape)
        domains = 2 if self.game.name == "cyclegan" else 1
        return tuple(rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(domains))

    def params(self, player: str) -> dict[tuple[str, ...], np.ndarray]:
        """path -> array of the generator or of the discriminator."""
        chosen = (player, "params")
        return {path[2:]: array for path, array in self.weights.items() if path[:2] == chosen}

    def save(self, file: Path) -> None:
        """Writes what cannot be drawn anew."""
        arrays = {"|".join(path): array for path, array in self.weights.items()}
        np.savez(file, **arrays, latents=self.latents)

    @classmethod
    def load(cls, file: Path, game: Game, platform: str) -> "Start":
        """What `save` wrote."""
        with np.load(file) as arrays:
            weights = {name: arrays[name] for name in arrays}
        latents = weights.pop("latents")
        by_path = {tuple(name.split("|")): array for name, array in weights.items()}
        return cls(game, by_path, latents, platform)


def filled(weights: dict[tuple[str, ...], Any]) -> dict[tuple[str, ...], np.ndarray]:
    """Weights in which N(0, 0.02) stands for zeros: what they are multiplied by counts as well."""
    rng = np.random.default_rng(0)
    return {
        path: np.asarray(array)
        if np.any(array)
        else rng.normal(0, 0.02, array.shape).astype(np.float32)
        for path, array in weights.items()
    }


def largest_difference(losses: list[list[float]], ours: list[list[float]]) -> float:
    """The largest relative difference over all steps and losses."""
    theirs, right = np.array(losses), np.array(ours)
    return float(np.max(np.abs(theirs - right) / np.maximum(np.abs(right), SMALLEST)))
