"""DiscoGAN's networks: an encoder and decoder without skips, a discriminator with its features."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import BatchNorm, Conv, ConvTranspose, LeakyReLU

__all__ = ["DiscoGANDiscriminator", "DiscoGANGenerator", "discogan"]

Dtype = Any


class DiscoGANGenerator(nn.Module):
    """Images (B, S, S, C) -> float32 images in [0, 1], (B, S, S, channels).

    4x4 convolutions of stride 2 with LeakyReLU 0.2, then as many transposed ones with ReLU, and a
    sigmoid; batch norm on all but the first and the last, no biases. Nothing passes by the
    narrowest layer.

    Attributes:
      channels: of the images made.
      widths: channels of the encoder's feature maps; the decoder mirrors them.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    channels: int
    widths: tuple[int, ...] = (64, 128, 256, 512)
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    value_range = (0.0, 1.0)

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, S, S, C) -> images (B, S, S, channels)."""
        factor = 2 ** len(self.widths)
        if images.shape[1] % factor or images.shape[2] % factor:
            raise UserError(
                f"image_size: got images {images.shape}, expected height and width to be multiples "
                f"of {factor}, since the generator halves them {len(self.widths)} times"
            )
        x = images
        for i, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, use_bias=False, dtype=self.dtype)(x)
            if i > 0:
                x = BatchNorm(train, self.axis_name, self.dtype)(x)
            x = LeakyReLU(0.2)(x)
        for width in self.widths[-2::-1]:
            x = ConvTranspose(width, (4, 4), 2, use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(BatchNorm(train, self.axis_name, self.dtype)(x))
        x = ConvTranspose(self.channels, (4, 4), 2, use_bias=False, dtype=self.dtype)(x)
        return nn.sigmoid(x.astype(jnp.float32))


class DiscoGANDiscriminator(nn.Module):
    """Images (B, S, S, C) -> (float32 logits (B,), features of all layers but the first).

    4x4 convolutions of stride 2 with LeakyReLU 0.2, batch norm on all but the first, and one
    product over all that is left to the logit; no biases.

    Attributes:
      widths: channels of the feature maps; each halves the side.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Images (B, S, S, C) -> (logits (B,), features, each (B, s, s, width))."""
        options = {"use_bias": False, "dtype": self.dtype}
        x, features = images, []
        for i, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, **options)(x)
            if i > 0:
                x = BatchNorm(train, self.axis_name, self.dtype)(x)
            x = LeakyReLU(0.2)(x)
            if i > 0:
                features.append(x)
        logits = Conv(1, (x.shape[1], x.shape[2]), padding="VALID", **options)(x)
        return logits[:, 0, 0, 0].astype(jnp.float32), tuple(features)


def discogan(
    image_size: int = 64,
    channels: int = 3,
    *,
    width: int = 64,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[DiscoGANGenerator, DiscoGANDiscriminator]:
    """The DiscoGAN pair for one direction; the other direction takes it with its own parameters.

    At 64 pixels, as published: four layers of 64 to 512 channels down to 4x4, and the way back. At
    32 pixels three layers; at 28 two in the generator, down to 7x7, and three in the
    discriminator. Weights are drawn from N(0, 0.02), batch norm scales from N(1, 0.02).

    Differs from the authors' code: its weights are drawn as PyTorch does by default, and its
    translations are made with the statistics of their batch, where here running ones are used.

    Args:
      image_size: 28, 32 or 64 pixels.
      channels: of the images that the generator makes.
      width: channels of the first layer of either network; 64 is the published one.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: another image size, a width out of range.

    Examples:
      >>> generator, discriminator = discogan(image_size=28)
      >>> generator.widths, discriminator.widths
      ((64, 128), (64, 128, 256))

    Source: Kim et al. 2017, "Learning to Discover Cross-Domain Relations with Generative
    Adversarial Networks", section 4; kernels, normalisation and features as in the authors' code.
    """
    layers = {28: (2, 3), 32: (3, 3), 64: (4, 4)}
    if image_size not in layers:
        raise UserError(f"image_size: got {image_size}, expected 28, 32 or 64 for a DiscoGAN")
    if not isinstance(width, int) or width < 1:
        raise UserError(f"width: got {width}, expected a positive integer")
    options = {"axis_name": axis_name, "dtype": dtype}
    encoder, judge = (tuple(width * 2**i for i in range(count)) for count in layers[image_size])
    return DiscoGANGenerator(channels, encoder, **options), DiscoGANDiscriminator(judge, **options)
