"""The discriminator of pix2pixHD: one of patches for each of several sizes of the images."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.cyclegan import PatchDiscriminator

__all__ = ["MultiScaleDiscriminator"]

Dtype = Any


class MultiScaleDiscriminator(nn.Module):
    """Images (B, H, W, C) -> a list of float32 logits (B, h, w), one of each scale.

    A `PatchDiscriminator` with a border of two pixels sees the images as they are, another one sees
    them at half the side, and so on; each has parameters of its own. The side is halved by the mean
    of 3x3 pixels around every second one.

    Attributes:
      scales: how many.
      widths: of each `PatchDiscriminator`.
      features: give (logits, feature maps) in place of the logits: lists of an entry a scale.
      dtype: of the computation; parameters are float32.

    Raises:
      UserError: when called, images that are too small to be halved so often.

    Examples:
      >>> network = MultiScaleDiscriminator(scales=2, widths=(8, 16))
      >>> images = jnp.zeros((4, 32, 32, 3))
      >>> logits, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), images)
      >>> [x.shape for x in logits]
      [(4, 19, 19), (4, 11, 11)]

    Source: Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with
    Conditional GANs", section 3.2, as in the authors' code.
    """

    scales: int = 3
    widths: tuple[int, ...] = (64, 128, 256, 512)
    features: bool = False
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> list[jax.Array] | tuple[list[jax.Array], list[list[jax.Array]]]:
        """Images (B, H, W, C) -> the logits of each scale, and maybe the maps of each."""
        if min(images.shape[1:3]) < 2 ** (self.scales - 1):
            raise UserError(
                f"image_size: got images {images.shape}, expected a side of at least "
                f"{2 ** (self.scales - 1)} for {self.scales} scales"
            )
        logits, maps = [], []
        for scale in range(self.scales):
            if scale > 0:
                border = ((1, 1), (1, 1))
                images = nn.avg_pool(images, (3, 3), (2, 2), border, count_include_pad=False)
            judge = PatchDiscriminator(self.widths, self.dtype, border=2, features=True)
            of_scale, maps_of_scale = judge(images, train)
            logits.append(of_scale)
            maps.append(maps_of_scale)
        return (logits, maps) if self.features else logits
