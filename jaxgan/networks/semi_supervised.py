"""A discriminator that is a classifier, small enough to learn from few labels."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.dcgan import DCGANGenerator
from jaxgan.networks.layers import Conv, LeakyReLU

__all__ = ["SGANDiscriminator", "sgan"]

Dtype = Any


class SGANDiscriminator(nn.Module):
    """Images (B, H, W, C) -> class logits (B, K), by convolutions and their largest values.

    LeakyReLU 0.2 after each convolution, the largest of each 2x2 between them, a dense layer, and
    one to the logits; dropout before either, and in training noise on the images. The dense layer
    is the features that a generator matches: few, and all that the logits are made of. No batch
    norm: labelled, other real and generated images are all judged in the same way.

    Attributes:
      num_classes: K.
      widths: channels of the convolutions.
      kernels: sides of their kernels.
      hidden: width of the dense layer.
      dropout: rate.
      noise: standard deviation, in pixel values.
      dtype: of the computation; parameters are float32.
    """

    num_classes: int
    widths: tuple[int, ...] = (16, 32, 64)
    kernels: tuple[int, ...] = (5, 3, 3)
    hidden: int = 128
    dropout: float = 0.3
    noise: float = 0.5
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> float32 class logits (B, K)."""
        he = nn.initializers.he_normal()
        x = images
        if train and self.noise:
            x = x + self.noise * jax.random.normal(self.make_rng("dropout"), x.shape, x.dtype)
        for i, (width, kernel) in enumerate(zip(self.widths, self.kernels, strict=True)):
            x = _largest_of_2x2(x) if i > 0 else x
            x = LeakyReLU(0.2)(Conv(width, (kernel, kernel), kernel_init=he, dtype=self.dtype)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        x = LeakyReLU(0.2)(nn.Dense(self.hidden, kernel_init=he, dtype=self.dtype)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.num_classes, name="class_logits", dtype=self.dtype)(x)
        return x.astype(jnp.float32)


def _largest_of_2x2(x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H // 2, W // 2, C); an odd last row or column is left out."""
    b, h, w, c = x.shape
    blocks = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
    # On CPU the gradient of a maximum over axes is faster than that of `nn.max_pool`.
    return jnp.max(blocks, axis=(2, 4))


def sgan(
    image_size: int = 28,
    channels: int = 1,
    *,
    num_classes: int,
    conditional: bool = False,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[DCGANGenerator, SGANDiscriminator]:
    """A pair for few labels: a small generator of the DCGAN's kind, a discriminator of classes.

    The generator goes from a quarter of the side and 64 channels by 32 channels to the image, by
    transposed convolutions of 4x4. With dense layers in their place, as Salimans et al. have them
    on both sides, it was left behind by this discriminator, from which then little was learnt.

    Args:
      image_size: a multiple of 4 pixels.
      channels: 1 or 3.
      num_classes: K.
      conditional: the generator is given a class.
      axis_name: mapped axis over which the generator's batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: another image size.

    Examples:
      >>> generator, discriminator = sgan(image_size=28, channels=1, num_classes=10)
      >>> discriminator.hidden
      128
    """
    if image_size < 4 or image_size % 4:
        raise UserError(f"image_size: got {image_size}, expected a multiple of 4 for an SGAN")
    generator = DCGANGenerator(
        base_size=image_size // 4,
        widths=(64, 32),
        channels=channels,
        kernel=4,
        last_doubles=True,
        num_classes=num_classes if conditional else None,
        axis_name=axis_name,
        dtype=dtype,
    )
    return generator, SGANDiscriminator(num_classes, dtype=dtype)
