"""A small U-Net for flow matching, and what distillation makes of it: a generator and a critic."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import Conv, UpConv, to_logits

__all__ = ["OneStepUNet", "VelocityCritic", "VelocityUNet"]

Dtype = Any

# As nn.Dense begins.
lecun = nn.initializers.lecun_normal()
zeros = nn.initializers.zeros_init()


class _UNet(nn.Module):
    """The fields of all three, and the layers that they share, under the same names.

    Attributes:
      width: channels at half the image's side; twice as many at a quarter.
      channels: of the image.
      blocks: residual blocks at each side, down and up again.
      dtype: of the computation; parameters are float32.
    """

    width: int = 64
    channels: int = 1
    blocks: int = 2
    dtype: Dtype = jnp.float32

    def unet(self, x: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Called in a compact `__call__`: (velocities, the features of the smallest side)."""
        if x.ndim != 4 or x.shape[1] % 4 or x.shape[2] % 4 or x.shape[3] != self.channels:
            raise UserError(
                f"x: got shape {x.shape}, expected images (B, H, W, {self.channels}) with sides "
                "that 4 divides"
            )
        if t.shape != x.shape[:1]:
            raise UserError(f"t: got shape {t.shape}, expected {x.shape[:1]}, a time each")
        small = {"dtype": self.dtype}
        conv = {"kernel_init": lecun, **small}
        time = nn.swish(nn.Dense(4 * self.width, name="time", **small)(_embed(t, self.width)))
        h = Conv(self.width, (3, 3), name="first", **conv)(_fold(x))
        skips = [h]
        for i in range(self.blocks):
            h = ResBlock(self.width, name=f"down{i}", **small)(h, time)
            skips.append(h)
        h = Conv(2 * self.width, (3, 3), 2, name="halve", **conv)(h)
        for i in range(2 * self.blocks):
            h = ResBlock(2 * self.width, name=f"middle{i}", **small)(h, time)
            if i == self.blocks - 1:
                features = h
        h = UpConv(self.width, (3, 3), name="double", **conv)(h)
        for i in range(self.blocks):
            h = jnp.concatenate([h, skips.pop()], axis=-1)
            h = ResBlock(self.width, name=f"up{i}", **small)(h, time)
        h = nn.swish(_norm(self.width, "norm", **small)(h))
        h = Conv(4 * self.channels, (3, 3), name="last", dtype=self.dtype, kernel_init=zeros)(h)
        return _unfold(h).astype(jnp.float32), features


class ResBlock(nn.Module):
    """x + f(x): norm, swish, 3x3, norm scaled and shifted by the time, swish, 3x3 from zero.

    Attributes:
      features: output channels; where x has others a 1x1 convolution takes its place in the sum.
      dtype: of the computation.
    """

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array) -> jax.Array:
        """(B, H, W, C) and (B, T) -> (B, H, W, features)."""
        small = {"dtype": self.dtype}
        h = nn.swish(_norm(x.shape[-1], "norm0", **small)(x))
        h = Conv(self.features, (3, 3), name="conv0", kernel_init=lecun, **small)(h)
        by_time = nn.Dense(2 * self.features, name="time", **small)(time)
        scale, shift = jnp.split(by_time[:, None, None], 2, axis=-1)
        h = nn.swish((1 + scale) * _norm(self.features, "norm1", **small)(h) + shift)
        h = Conv(self.features, (3, 3), name="conv1", kernel_init=zeros, **small)(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, (1, 1), name="skip", kernel_init=lecun, **small)(x)
        return x + h


class VelocityUNet(_UNet):
    """Noisy images and times -> velocities: a U-Net over two sides, H / 2 and H / 4.

    Blocks of 2 x 2 pixels are the channels of the first side. Residual blocks at either side, a
    convolution of stride 2 between them and one that doubles the side back; what went down is laid
    beside what comes up. The time, as sines and cosines, scales and shifts each block. It begins
    with velocities of 0, and sees each image by itself (group norm).

    Examples:
      >>> network = VelocityUNet(width=8)
      >>> x, t = jnp.zeros((2, 28, 28, 1)), jnp.zeros(2)
      >>> made, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), x, t)
      >>> made.shape
      (2, 28, 28, 1)

    Source: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 3,
    for the blocks; Ronneberger et al. 2015, "U-Net", figure 1.
    """

    @nn.compact
    def __call__(self, x: jax.Array, t: jax.Array, train: bool = False) -> jax.Array:
        """x_t (B, H, W, channels) and t (B,) in [0, 1] -> float32 velocities, as x_t."""
        return self.unet(x, t)[0]


class OneStepUNet(_UNet):
    """Latents -> images, by one step of a `VelocityUNet` whose parameters it has.

        G(z) = t z - t v(t z, t), the latents z laid out as an image

    Attributes:
      image_size: H = W, which 4 divides; latents have H * W * channels numbers.
      time: t, at which the noise is taken for a noisy image. Of noise alone, at 1, the teacher
        makes the mean of all images; below 1 it makes images of what it takes for their traces.

    Examples:
      >>> student, latents = OneStepUNet(width=8), jnp.zeros((2, 28 * 28))
      >>> jax.eval_shape(student.init_with_output, jax.random.key(0), latents)[0].shape
      (2, 28, 28, 1)

    Source: Yin et al. 2024, "Improved Distribution Matching Distillation for Fast Image
    Synthesis"; `experiments/sdxl` of github.com/tianweiy/DMD2 for a time below 1, there 399 of
    1,000 for the student of one step.
    """

    image_size: int = 28
    time: float = 1.0

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool = False) -> jax.Array:
        """z (B, H * W * channels) from N(0, I) -> float32 images (B, H, W, channels)."""
        shape = (self.image_size, self.image_size, self.channels)
        if latents.shape[1:] != (math.prod(shape),):
            raise UserError(
                f"latents: got shape {latents.shape}, expected (B, {math.prod(shape)}), a number "
                "for each of an image"
            )
        noise = self.time * latents.reshape(-1, *shape)
        times = jnp.full(len(noise), self.time, jnp.float32)
        return noise - self.time * self.unet(noise, times)[0]


class VelocityCritic(_UNet):
    """Noisy images and times -> velocities, and a logit of each image by what the U-Net sees of it.

    The logit is of the features of the smallest side, half way through its blocks: a convolution of
    stride 2, norm, swish and a dense layer.

    Examples:
      >>> critic = VelocityCritic(width=8)
      >>> x, t = jnp.zeros((2, 28, 28, 1)), jnp.zeros(2)
      >>> (v, logits), _ = jax.eval_shape(critic.init_with_output, jax.random.key(0), x, t)
      >>> v.shape, logits.shape
      ((2, 28, 28, 1), (2,))

    Source: Yin et al. 2024, "Improved Distribution Matching Distillation for Fast Image
    Synthesis", section 4.3.
    """

    @nn.compact
    def __call__(
        self, x: jax.Array, t: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """x_t (B, H, W, channels) and t (B,) -> (float32 velocities as x_t, logits (B,))."""
        velocity, features = self.unet(x, t)
        width, small = 2 * self.width, {"dtype": self.dtype}
        h = Conv(width, (3, 3), 2, name="judge", kernel_init=lecun, **small)(features)
        h = nn.swish(_norm(width, "judge_norm", **small)(h))
        return velocity, to_logits(h, **small)


def _norm(features: int, name: str, dtype: Dtype) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, features), dtype=dtype, name=name)


def _embed(t: jax.Array, size: int) -> jax.Array:
    """(B,) in [0, 1] -> (B, size): sines and cosines of 1 to 1,000 times t."""
    angles = t[:, None] * jnp.geomspace(1.0, 1000.0, size // 2)[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)


def _fold(x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H / 2, W / 2, 4 C)."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).swapaxes(2, 3).reshape(b, h // 2, w // 2, 4 * c)


def _unfold(x: jax.Array) -> jax.Array:
    """The inverse of `_fold`."""
    b, h, w, c = x.shape
    return x.reshape(b, h, w, 2, 2, c // 4).swapaxes(2, 3).reshape(b, 2 * h, 2 * w, c // 4)
