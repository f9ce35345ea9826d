"""The networks of pix2pix: a U-Net, and a discriminator of patches that sees both images."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.cyclegan import PatchDiscriminator
from jaxgan.networks.layers import Conv, ConvTranspose, Dtype, InstanceNorm, LeakyReLU

__all__ = ["UNetGenerator", "pix2pix"]


class UNetGenerator(nn.Module):
    """Images (B, H, W, C) -> float32 images in [-1, 1], (B, H, W, channels).

    Convolutions of 4x4 and stride 2 down, with LeakyReLU 0.2, and as many transposed ones up again,
    with ReLU; tanh. Each on the way up but the last is laid beside what had its size on the way
    down. Instance norm without scale and bias follows all but the first and the last on the way
    down, and all but the last on the way up.

    Attributes:
      channels: of the images made.
      widths: channels on the way down; those on the way up mirror them. As many as the side can be
        halved, or fewer.
      dropout: how many layers, the first on the way up, drop half of their features in training.
      dtype: of the computation.
    """

    channels: int
    widths: tuple[int, ...]
    dropout: int = 3
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> images (B, H, W, channels)."""
        side = 2 ** len(self.widths)
        if images.shape[1] % side or images.shape[2] % side:
            raise UserError(
                f"image_size: got images {images.shape}, expected height and width to be multiples "
                f"of {side}, since the generator halves them {len(self.widths)} times"
            )
        x, beside = images.astype(self.dtype), []
        for i, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, padding=1, dtype=self.dtype)(x)
            if 0 < i < len(self.widths) - 1:
                x = InstanceNorm()(x)
            x = LeakyReLU(0.2)(x)
            beside.append(x)
        for i, past in enumerate(reversed(beside)):
            x = nn.relu(past if i == 0 else jnp.concatenate([x, past], axis=-1))
            last = i == len(beside) - 1
            width = self.channels if last else beside[-2 - i].shape[-1]
            x = ConvTranspose(width, (4, 4), 2, dtype=self.dtype)(x)
            if not last:
                x = InstanceNorm()(x)
                x = nn.Dropout(0.5, deterministic=not train or i >= self.dropout)(x)
        return jnp.tanh(x.astype(jnp.float32))


def pix2pix(
    image_size: int = 256, channels: int = 3, *, width: int = 64, dtype: Dtype = jnp.float32
) -> tuple[UNetGenerator, PatchDiscriminator]:
    """The pix2pix pair: a generator of images from images, and a discriminator of both together.

    The U-Net halves the side as often as it can, at most eight times; its first layers have
    `width`, 2, 4 and from then on 8 times as many channels. From 70 pixels on the discriminator is
    one of 70x70 patches, below one of 34x34. Weights are drawn from N(0, 0.02), biases are 0.

    Differs from the paper: its batch norm, on the single image that it trains on, is the instance
    norm of this one. Dropout is for training alone.

    Args:
      image_size: side of the images, even, from 16 on.
      channels: of the images that the generator makes.
      width: channels of the first layer of either network; 64 is the published one.
      dtype: of the computation.

    Returns:
      (generator, discriminator), the discriminator for the two images laid over one another, of as
      many channels as both have.

    Raises:
      UserError: a size below 16 or odd, a width below 1.

    Examples:
      >>> generator, discriminator = pix2pix(image_size=64, width=32)
      >>> generator.widths, discriminator.widths
      ((32, 64, 128, 256, 256, 256), (32, 64, 128))

    Source: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
    appendix 6.1.
    """
    if not isinstance(image_size, int) or image_size < 16 or image_size % 2:
        raise UserError(f"image_size: got {image_size}, expected an even number from 16 on")
    if not isinstance(width, int) or width < 1:
        raise UserError(f"width: got {width}, expected a positive integer")
    halvings = min(8, (image_size & -image_size).bit_length() - 1)
    widths = tuple(width * 2 ** min(i, 3) for i in range(halvings))
    dropout = max(0, min(3, halvings - 4))
    patches = tuple(width * 2**i for i in range(4 if image_size >= 70 else 3))
    return (
        UNetGenerator(channels, widths, dropout, dtype=dtype),
        PatchDiscriminator(patches, dtype=dtype),
    )
