"""The discriminator of Real-ESRGAN: a U-Net with a logit for each pixel."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import Conv, LeakyReLU, uniform_init
from jaxgan.networks.spectral import SpectralNorm

__all__ = ["UNetDiscriminator"]

Dtype = Any


class UNetDiscriminator(nn.Module):
    """Images (B, H, W, C) -> float32 logits (B, H, W), one for each pixel.

    3x3 to `width` channels; three halvings of the side by 4x4 convolutions that double the
    channels, and three doublings, bilinear before a 3x3 convolution that halves them. After each
    what had this size on the way down is added. Three 3x3 convolutions more give the logits.
    LeakyReLU 0.2 follows all but the last; all but the first and the last are under spectral norm
    and without bias. No logit depends on other images of the batch.

    Attributes:
      width: channels of the first layer.
      dtype: of the computation; parameters are float32.

    Raises:
      UserError: when called, images whose height or width is no multiple of 8.

    Examples:
      >>> network, images = UNetDiscriminator(width=8), jnp.zeros((2, 16, 16, 3))
      >>> logits, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), images)
      >>> logits.shape
      (2, 16, 16)

    Source: Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
    Synthetic Data", section 3.3, as in the authors' code, but for biases, which begin at 0.
    """

    width: int = 64
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> logits (B, H, W)."""
        if images.shape[1] % 8 or images.shape[2] % 8:
            raise UserError(
                f"image_size: got images {images.shape}, expected height and width to be multiples "
                "of 8, since the discriminator halves them three times"
            )
        options = {"kernel_init": uniform_init, "dtype": self.dtype}

        def normed(x, factor, kernel, stride=1):
            size = (kernel, kernel)
            conv = Conv(factor * self.width, size, stride, 1, use_bias=False, **options)
            return LeakyReLU(0.2)(SpectralNorm(conv)(x, update_stats=train))

        def doubled(x):
            b, h, w, c = x.shape
            return jax.image.resize(x, (b, 2 * h, 2 * w, c), "linear")

        x = LeakyReLU(0.2)(Conv(self.width, (3, 3), padding=1, **options)(images))
        beside = []
        for factor in (2, 4, 8):
            beside.append(x)
            x = normed(x, factor, 4, 2)
        for factor in (4, 2, 1):
            x = normed(doubled(x), factor, 3) + beside.pop()
        for _ in range(2):
            x = normed(x, 1, 3)
        return Conv(1, (3, 3), padding=1, **options)(x)[..., 0].astype(jnp.float32)
