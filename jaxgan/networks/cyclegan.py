"""CycleGAN's networks: a residual generator of images from images, a discriminator of patches."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import Conv, ConvTranspose, InstanceNorm, LeakyReLU

__all__ = ["PatchDiscriminator", "ResNetGenerator", "cyclegan"]

Dtype = Any

# 3x3 taps around every second pixel, the first one a tap beyond the border, and the same pairs of
# pixels the other way: 2 i + tap - 1.
_HALVING = ((1, 1), (1, 1))
_DOUBLING = ((1, 2), (1, 2))


class ResNetGenerator(nn.Module):
    """Images (B, H, W, C) -> float32 images in [-1, 1], (B, H, W, channels).

    7x7 to `width` channels, two halvings of the side by 3x3 convolutions that double the channels,
    `blocks` residual blocks, two doublings by transposed ones, 7x7 to the image, tanh. Instance
    norm without scale and bias and ReLU follow all but the last; borders are reflected, except
    where the side is halved or doubled.

    Attributes:
      channels: of the images made.
      width: channels of the first layer.
      blocks: residual blocks of two 3x3 convolutions each.
      dtype: of the computation; parameters are float32.
    """

    channels: int
    width: int = 64
    blocks: int = 9
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> images (B, H, W, channels)."""
        if images.shape[1] % 4 or images.shape[2] % 4:
            raise UserError(
                f"image_size: got images {images.shape}, expected height and width to be multiples "
                "of 4, since the generator halves them twice"
            )

        def normed(x, relu=True):
            x = InstanceNorm()(x)
            return nn.relu(x) if relu else x

        def reflected(x, features, kernel):
            side = kernel // 2
            x = jnp.pad(x, ((0, 0), (side, side), (side, side), (0, 0)), mode="reflect")
            return Conv(features, (kernel, kernel), padding="VALID", dtype=self.dtype)(x)

        x = normed(reflected(images.astype(self.dtype), self.width, 7))
        for factor in (2, 4):
            x = normed(Conv(factor * self.width, (3, 3), 2, _HALVING, dtype=self.dtype)(x))
        for _ in range(self.blocks):
            y = normed(reflected(x, 4 * self.width, 3))
            x = x + normed(reflected(y, 4 * self.width, 3), relu=False)
        for factor in (2, 1):
            x = normed(
                ConvTranspose(factor * self.width, (3, 3), 2, _DOUBLING, dtype=self.dtype)(x)
            )
        return jnp.tanh(reflected(x, self.channels, 7).astype(jnp.float32))


class PatchDiscriminator(nn.Module):
    """Images (B, H, W, C) -> float32 logits (B, h, w), one for each of many overlapping patches.

    4x4 convolutions of stride 2, the last width of stride 1, and one more to the logits, each with
    a border of zeros; LeakyReLU 0.2 throughout, instance norm without scale and bias on all but the
    first and the last. A logit sees a patch of 70x70 pixels with four widths, 34x34 with three,
    16x16 with two.

    Attributes:
      widths: channels of the feature maps; all but the last halve the side.
      dtype: of the computation; parameters are float32.
      border: of zeros, in pixels.
      features: give (logits, feature maps) in place of the logits, a map for each of the widths.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    dtype: Dtype = jnp.float32
    border: int = 1
    features: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> jax.Array | tuple[jax.Array, list[jax.Array]]:
        """Images (B, H, W, C) -> float32 logits (B, h, w), and maybe maps (B, h, w, width)."""
        options = {"padding": self.border, "dtype": self.dtype}
        x, maps = images, []
        for i, width in enumerate(self.widths):
            stride = 2 if i < len(self.widths) - 1 else 1
            x = Conv(width, (4, 4), stride, **options)(x)
            if i > 0:
                x = InstanceNorm()(x)
            x = LeakyReLU(0.2)(x)
            maps.append(x)
        x = Conv(1, (4, 4), **options)(x)
        if 0 in x.shape:
            raise UserError(
                f"image_size: got images {images.shape}, expected larger ones for a discriminator "
                f"of {len(self.widths)} widths"
            )
        logits = x[..., 0].astype(jnp.float32)
        return (logits, maps) if self.features else logits


def cyclegan(
    image_size: int = 256,
    channels: int = 3,
    *,
    width: int = 64,
    blocks: int | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[ResNetGenerator, PatchDiscriminator]:
    """The CycleGAN pair for one direction; the other direction takes it with its own parameters.

    From 256 pixels on nine residual blocks, below six; from 70 pixels on a discriminator of
    70x70 patches, below one of 34x34. Weights are drawn from N(0, 0.02), biases are 0.

    Args:
      image_size: side of the images, a multiple of 4 from 16 on.
      channels: of the images that the generator makes.
      width: channels of the first layer of either network; 64 is the published one.
      blocks: residual blocks, in place of nine or six.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: a size below 16 or no multiple of 4, a width or blocks out of range.

    Examples:
      >>> generator, discriminator = cyclegan(image_size=28, width=32)
      >>> generator.blocks, discriminator.widths
      (6, (32, 64, 128))

    Source: Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", section 4 and appendix 7.2; where the text leaves a choice, as in the authors' code.
    """
    if not isinstance(image_size, int) or image_size < 16 or image_size % 4:
        raise UserError(f"image_size: got {image_size}, expected a multiple of 4 from 16 on")
    if not isinstance(width, int) or width < 1:
        raise UserError(f"width: got {width}, expected a positive integer")
    if blocks is None:
        blocks = 9 if image_size >= 256 else 6
    if not isinstance(blocks, int) or blocks < 0:
        raise UserError(f"blocks: got {blocks}, expected 0 or more")
    widths = tuple(width * 2**i for i in range(4 if image_size >= 70 else 3))
    return (
        ResNetGenerator(channels, width, blocks, dtype=dtype),
        PatchDiscriminator(widths, dtype=dtype),
    )
