"""FastGAN's generator: one convolution for each size, and large maps weighed by small ones."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import BatchNorm, Conv, UpConv, uniform_init
from jaxgan.networks.spectral import SpectralNorm

__all__ = ["FastGANGenerator"]

Dtype = Any

WIDTHS = {4: 16.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 2.0, 128: 1.0, 256: 0.5}
"""Channels of the feature map of each side, in widths."""
EXCITED_FROM = 64
"""From this side on a map is weighed by the one of a 16th of its side."""


class FastGANGenerator(nn.Module):
    """Latents (B, D) -> float32 images for [-1, 1], (B, S, S, channels).

    The latents are scaled to a mean square of 1, and a dense layer makes 4 x 4 x 16 width of them;
    each block doubles the side:

        x -> nearest neighbour, 3x3 (to twice the channels), norm, GLU;  GLU(a, b) = a sigmoid(b)

    Maps from 64 pixels on are then weighed, channel by channel, by the map of a 16th of their side
    (skip-layer excitation), and a 3x3 convolution makes the image, which nothing holds to its
    range:

        x * sigmoid(dense(swish(dense(mean of small in 4 x 4))))

    Every layer is under spectral norm, and batch norm follows each but those of the excitation and
    the last, which alone has a bias.

    Attributes:
      image_size: 32, 64, 128 or 256 pixels.
      width: channels at 128 pixels; at 4 to 256 they are 16, 8, 4, 2, 2, 1 and 1/2 times as many.
      channels: of the image.
      lite: one convolution a block. Else a second one follows, 3x3 to twice the channels, norm,
        GLU, and before either norm noise is added in training, the same for all channels of a
        pixel, in a learnt strength. Outside of training there is none, so that an image is a
        function of its latents; in the authors' code noise is drawn there as well.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Raises:
      UserError: when called, another image size, or a width that is not an even number.

    Examples:
      >>> generator = FastGANGenerator(64, width=32)
      >>> latents = jnp.zeros((2, 256))
      >>> made, variables = jax.eval_shape(generator.init_with_output, jax.random.key(0), latents)
      >>> made.shape
      (2, 64, 64, 3)

    Source: Liu et al. 2021, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot
    Image Synthesis", sections 3.1 and figure 3; the widths, the spectral norm, the scaled latents
    and the lighter blocks as in the code of Sauer et al. 2021, `pg_modules/networks_fastgan.py`,
    which takes 256 latents and a width of 128.
    """

    image_size: int
    width: int = 128
    channels: int = 3
    lite: bool = True
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool = False) -> jax.Array:
        """Latents (B, D) -> images (B, S, S, channels)."""
        if self.image_size not in WIDTHS or self.image_size < 32:
            raise UserError(
                f"image_size: got {self.image_size}, expected 32, 64, 128 or 256 for a FastGAN"
            )
        if self.width < 2 or self.width % 2:
            raise UserError(f"width: got {self.width}, expected an even number above 0")

        def normed(layer, x, features, *size, use_bias=False):
            options = {"kernel_init": uniform_init, "use_bias": use_bias, "dtype": self.dtype}
            return SpectralNorm(layer(features, *size, **options))(x, update_stats=train)

        def gated(x):
            ones = nn.initializers.ones_init()
            x = BatchNorm(train, self.axis_name, scale_init=ones, dtype=self.dtype)(x)
            content, gate = jnp.split(x, 2, axis=-1)
            return content * nn.sigmoid(gate)

        def excitation(small, features):
            weights = nn.swish(normed(nn.Dense, _means_4x4(small), features))
            weights = nn.sigmoid(normed(nn.Dense, weights, features))
            return weights.reshape(-1, 1, 1, features)

        squares = jnp.mean(jnp.square(latents), axis=1, keepdims=True)
        x = (latents * jax.lax.rsqrt(squares + 1e-8)).astype(self.dtype)
        first = 2 * int(WIDTHS[4] * self.width)
        x = gated(normed(nn.Dense, x, 4 * 4 * first).reshape(-1, 4, 4, first))
        maps = {4: x}
        for side in [side for side in WIDTHS if 4 < side <= self.image_size]:
            features = int(WIDTHS[side] * self.width)
            x = normed(UpConv, x, 2 * features, (3, 3))
            if not self.lite:
                x = gated(Noise(train)(x))
                x = Noise(train)(normed(Conv, x, 2 * features, (3, 3)))
            x = gated(x)
            if side >= EXCITED_FROM:
                x = x * excitation(maps[side // 16], features)
            maps[side] = x
        return normed(Conv, x, self.channels, (3, 3), use_bias=True).astype(jnp.float32)


class Noise(nn.Module):
    """In training, x + s n: n ~ N(0, 1) for each pixel, one for all channels; s learnt, at first 0.

    Attributes:
      train: whether there is noise.
    """

    train: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> the same shape."""
        strength = self.param("strength", nn.initializers.zeros_init(), (), jnp.float32)
        if not self.train:
            return x
        noise = jax.random.normal(self.make_rng("dropout"), (*x.shape[:3], 1), x.dtype)
        return x + strength.astype(x.dtype) * noise


def _means_4x4(x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, 16 C), the means of 4 x 4 equal parts."""
    b, h, w, c = x.shape
    return x.reshape(b, 4, h // 4, 4, w // 4, c).mean((2, 4)).reshape(b, 16 * c)
