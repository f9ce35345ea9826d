"""Real-ESRGAN's compact generator: plain convolutions at the small side, and one step up."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import Conv, uniform_init

__all__ = ["SRVGGNet"]

Dtype = Any


class SRVGGNet(nn.Module):
    """Images (B, h, w, C) -> images `scale` times as large, (B, scale h, scale w, C).

    3x3 convolutions with PReLU, of which the last gives each pixel its scale x scale pixels, which
    are added to the image enlarged by nearest neighbours.

    Attributes:
      channels: of the images.
      width: channels in between.
      depth: convolutions in between.
      scale: how many times larger the sides become.
      dtype: of the computation; parameters are float32.

    Examples:
      >>> network = SRVGGNet(width=8, depth=2)
      >>> made, _ = jax.eval_shape(
      ...     network.init_with_output, jax.random.key(0), jnp.zeros((2, 16, 16, 3))
      ... )
      >>> made.shape
      (2, 64, 64, 3)

    Source: `SRVGGNetCompact` of Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind
    Super-Resolution with Pure Synthetic Data", in the authors' code, whose general model has a
    depth of 32. There images are in [0, 1].
    """

    channels: int = 3
    width: int = 64
    depth: int = 16
    scale: int = 4
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """(B, h, w, channels) -> float32 (B, scale h, scale w, channels)."""
        options = {"dtype": self.dtype, "kernel_init": uniform_init}
        x = images.astype(self.dtype)
        for _ in range(1 + self.depth):
            x = PReLU(self.dtype)(Conv(self.width, (3, 3), **options)(x))
        b, h, w, _ = images.shape
        s = self.scale
        x = Conv(s * s * self.channels, (3, 3), **options)(x).astype(jnp.float32)
        x = x.reshape(b, h, w, s, s, self.channels) + images[:, :, :, None, None]
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, s * h, s * w, self.channels)


class PReLU(nn.Module):
    """x where it is positive, else a learnt slope of each channel, at first 0.25, times x.

    Attributes:
      dtype: of the computation; the slopes are float32.

    Source: He et al. 2015, "Delving Deep into Rectifiers", section 2.1.
    """

    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., C) -> the same shape."""
        slopes = self.param("slopes", nn.initializers.constant(0.25), x.shape[-1:], jnp.float32)
        slopes = slopes.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
        return jnp.where(x > 0, x, slopes * x)
