"""Spectral normalisation of any layer with a kernel."""

from typing import Any

import flax.linen as nn
import jax

__all__ = ["SpectralNorm"]


class SpectralNorm(nn.SpectralNorm):
    """Divides a layer's kernel by its largest singular value, which makes it 1-Lipschitz.

        W / s(W),  s(W) = v^T W u

    The kernel is taken as a matrix of all inputs by all outputs. The singular vectors come from
    one power iteration at each pass in training, carried on from the last in the collection
    "spectral"; gradients see them as constants. Wraps dense layers and the `layers` alike:

        x = SpectralNorm(Conv(64, (3, 3), 2))(x, update_stats=train)

    The parameters stand where they stood without it.

    Differs from the authors' code: there the vectors move in the generator's update, too, of which
    the train step here keeps no state of the discriminator.

    Flax's own, but for two things. It keeps the weights that `init` drew, where Flax stores them
    divided by their singular value: for small layers ten times as large, on which Adam's steps,
    whose size does not depend on the weights', count for a tenth. And its vectors stand apart from
    "batch_stats", since they do not couple a batch.

    Source: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
    algorithm 1.
    """

    collection_name: str = "spectral"

    def _spectral_normalize(self, path: Any, vs: jax.Array, update_stats: bool) -> jax.Array:
        normalized = super()._spectral_normalize(path, vs, update_stats)
        return vs if self.is_initializing() else normalized
