"""A modern baseline: residual networks without normalisation, for 28 to 256 pixels."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.labels import check_labels
from jaxgan.networks.layers import Conv, GroupedConv, LeakyReLU

__all__ = ["R3GANDiscriminator", "R3GANGenerator", "downsample", "r3gan", "upsample"]

Dtype = Any

SLOPE = 0.2
EXPANSION = 2


def scaled_normal(gain: float) -> nn.initializers.Initializer:
    """N(0, gain^2 / fan_in), which keeps the variance of what a linear layer takes, times gain^2.

    Examples:
      >>> scaled_normal(1.0)(jax.random.key(0), (3, 3, 16, 64)).shape
      (3, 3, 16, 64)
    """
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


def upsample(x: jax.Array) -> jax.Array:
    """Doubles the side by bilinear interpolation.

        out[2 i] = (x[i - 1] + 3 x[i]) / 4,  out[2 i + 1] = (3 x[i] + x[i + 1]) / 4

    along each axis, with zeros outside: the filter [1, 3, 3, 1] / 4 in between zeros.

    Args:
      x: (B, H, W, C), floating.

    Returns:
      (B, 2 H, 2 W, C), of the same dtype.

    Examples:
      >>> upsample(jnp.array([4.0, 8.0]).reshape(1, 1, 2, 1))[0, 0].ravel() * 4 / 3
      Array([3., 5., 7., 6.], dtype=float32)

    Source: Huang et al. 2024, configurations D and E; Karras et al. 2020, "Analyzing and Improving
    the Image Quality of StyleGAN".
    """
    for axis in (1, 2):
        before, after = _neighbours(x, axis)
        both = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = both.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def downsample(x: jax.Array) -> jax.Array:
    """Halves the side, the transpose of `upsample` over 4.

        out[i] = (x[2 i - 1] + 3 x[2 i] + 3 x[2 i + 1] + x[2 i + 2]) / 8

    along each axis, with zeros outside.

    Args:
      x: (B, H, W, C), floating, of even sides.

    Returns:
      (B, H / 2, W / 2, C), of the same dtype.

    Raises:
      UserError: an odd side.

    Examples:
      >>> downsample(jnp.ones((1, 2, 6, 1)))[0, 0].ravel() * 4 / 3
      Array([0.875, 1.   , 0.875], dtype=float32)

    Source: Huang et al. 2024, configurations D and E.
    """
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise UserError(f"x: got shape {x.shape}, expected even sides")
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
        even, odd = (jnp.take(pairs, i, axis=axis + 1) for i in (0, 1))
        x = 0.375 * (even + odd) + 0.125 * (_neighbours(odd, axis)[0] + _neighbours(even, axis)[1])
    return x


def _neighbours(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """x[i - 1] and x[i + 1] along an axis, 0 outside."""
    zero = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis))
    size = x.shape[axis]
    before = jnp.concatenate([zero, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis=axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), zero], axis=axis)
    return before, after


class ResidualBlock(nn.Module):
    """x + 1x1 (LeakyReLU (3x3 in groups (LeakyReLU (1x1 (x))))), twice as wide within.

    The fix-up initialisation: the last kernel is 0, so that the block begins as the identity, and
    the m - 1 = 2 before it are scaled by L^(-1 / (2 m - 2)), so that the L blocks of a network
    together move its function as far in a step of training as one would.

    Attributes:
      group_size: channels of a group of the 3x3 convolution.
      depth: L, residual blocks in the network.
      dtype: of the computation; parameters are float32.

    Source: Huang et al. 2024, configurations D and E; Zhang et al. 2019, "Fixup Initialization:
    Residual Learning Without Normalization".
    """

    group_size: int
    depth: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> the same shape."""
        width = x.shape[-1]
        init = scaled_normal(math.sqrt(2 / (1 + SLOPE**2)) * self.depth ** (-1 / 4))
        y = Conv(EXPANSION * width, (1, 1), kernel_init=init, dtype=self.dtype)(x)
        y = LeakyReLU(SLOPE)(y)
        y = GroupedConv(
            EXPANSION * width,
            (3, 3),
            kernel_init=init,
            group_size=self.group_size,
            dtype=self.dtype,
        )(y)
        y = LeakyReLU(SLOPE)(y)
        zeros = nn.initializers.zeros_init()
        return x + Conv(width, (1, 1), use_bias=False, kernel_init=zeros, dtype=self.dtype)(y)


class R3GANGenerator(nn.Module):
    """Latents (B, D) -> float32 images for [-1, 1], (B, S, S, channels).

    The latents weigh the channels of a learnt map, base_size x base_size x widths[0]; blocks
    follow, and for each further width `upsample` and as many blocks; a 1x1 convolution makes the
    image, which nothing holds to its range. No layer but those within the blocks has a bias. With
    classes it is called `generator(latents, labels, ...)`, and an embedding of the label, as long
    as the latents, is appended to them.

    Attributes:
      base_size: side of the first feature map.
      widths: channels of the feature maps, each of twice the side.
      blocks: residual blocks for each width.
      channels: of the image.
      group_size: channels of a group of the 3x3 convolutions.
      num_classes: of the labels; None for none.
      dtype: of the computation; parameters are float32.
      float32_stages: at so many of the smallest sides it is float32 whatever `dtype`.
    """

    base_size: int
    widths: tuple[int, ...]
    blocks: int
    channels: int
    group_size: int = 16
    num_classes: int | None = None
    dtype: Dtype = jnp.float32
    float32_stages: int = 0

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(
        self, latents: jax.Array, labels: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """Latents (B, D), with classes also labels (B,) -> images (B, S, S, channels)."""
        check_labels(labels, self.num_classes, latents.shape[0])
        dtypes = _dtypes(self.dtype, len(self.widths), self.float32_stages)
        linear: dict[str, Any] = {"use_bias": False, "kernel_init": scaled_normal(1.0)}
        if self.num_classes is not None:
            init = nn.initializers.normal(1 / math.sqrt(self.num_classes))
            size = latents.shape[1]
            embed = nn.Embed(
                self.num_classes, size, embedding_init=init, name="embed", dtype=dtypes[0]
            )
            latents = jnp.concatenate([latents.astype(dtypes[0]), embed(labels)], axis=1)
        first, side, depth = self.widths[0], self.base_size, self.blocks * len(self.widths)
        normal = nn.initializers.normal(1.0)
        basis = self.param("basis", normal, (side, side, first), jnp.float32)
        weights = nn.Dense(first, **linear, dtype=dtypes[0])(latents)
        x = weights.reshape(-1, 1, 1, first) * basis.astype(dtypes[0])[None]
        for i, (width, dtype) in enumerate(zip(self.widths, dtypes, strict=True)):
            x = x.astype(dtype)
            if i > 0:
                if width != x.shape[-1]:
                    x = Conv(width, (1, 1), **linear, dtype=dtype)(x)
                x = upsample(x)
            for _ in range(self.blocks):
                x = ResidualBlock(self.group_size, depth, dtype)(x)
        return Conv(self.channels, (1, 1), **linear, dtype=dtypes[-1])(x).astype(jnp.float32)


class R3GANDiscriminator(nn.Module):
    """Images (B, S, S, C) -> logits (B,), the generator's mirror image.

    A 1x1 convolution from the image, then blocks for each width, with `downsample` in between; at
    the end each channel is weighed by a learnt map of its own (a depthwise convolution of the whole
    map) and a dense layer makes the logit. It has no batch norm and no spectral norm: R1 and R2 of
    `jaxgan.losses.penalties` belong to it. With classes it is called
    `discriminator(images, labels, ...)`, the dense layer makes as many features as there are
    channels, and the logit is their product with an embedding of the label.

    Attributes:
      widths: channels of the feature maps, each of half the side.
      blocks: residual blocks for each width.
      group_size: channels of a group of the 3x3 convolutions.
      num_classes: of the labels; None for none.
      dtype: of the computation; parameters are float32.
      float32_stages: at so many of the smallest sides it is float32 whatever `dtype`.
    """

    widths: tuple[int, ...]
    blocks: int
    group_size: int = 16
    num_classes: int | None = None
    dtype: Dtype = jnp.float32
    float32_stages: int = 0

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """Images (B, S, S, C), with classes also labels (B,) -> float32 logits (B,)."""
        check_labels(labels, self.num_classes, images.shape[0])
        factor = 2 ** (len(self.widths) - 1)
        if images.shape[1] % factor or images.shape[2] % factor:
            raise UserError(
                f"images: got shape {images.shape}, expected sides in multiples of {factor}"
            )
        dtypes = _dtypes(self.dtype, len(self.widths), self.float32_stages)[::-1]
        linear: dict[str, Any] = {"use_bias": False, "kernel_init": scaled_normal(1.0)}
        depth = self.blocks * len(self.widths)
        x = Conv(self.widths[0], (1, 1), **linear, dtype=dtypes[0])(images)
        for i, (width, dtype) in enumerate(zip(self.widths, dtypes, strict=True)):
            if i > 0:
                x = downsample(x)
                if width != x.shape[-1]:
                    x = Conv(width, (1, 1), **linear, dtype=dtypes[i - 1])(x)
            x = x.astype(dtype)
            for _ in range(self.blocks):
                x = ResidualBlock(self.group_size, depth, dtype)(x)
        height, breadth, last = x.shape[1:]
        init = nn.initializers.normal(1 / math.sqrt(height * breadth))
        basis = self.param("basis", init, (height, breadth, last), jnp.float32)
        x = jnp.einsum("bhwc,hwc->bc", x, basis.astype(x.dtype))
        features = 1 if self.num_classes is None else last
        x = nn.Dense(features, **linear, dtype=dtypes[-1])(x).astype(jnp.float32)
        if self.num_classes is None:
            return x[:, 0]
        init = nn.initializers.normal(1 / math.sqrt(self.num_classes * last))
        embed = nn.Embed(
            self.num_classes, last, embedding_init=init, name="embed", dtype=dtypes[-1]
        )
        return jnp.sum(x * embed(labels).astype(jnp.float32), axis=1)


def _dtypes(dtype: Dtype, count: int, exact: int) -> list[Dtype]:
    """Of the computation at each side, from the smallest on."""
    return [jnp.float32] * exact + [dtype] * (count - exact)


def r3gan(
    image_size: int = 28,
    channels: int = 1,
    *,
    width: int = 64,
    blocks: int = 1,
    group_size: int = 16,
    narrowing: bool = True,
    num_classes: int | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[R3GANGenerator, R3GANDiscriminator]:
    """The pair of the modern baseline, small by default.

    From 4x4 to 32x32 each side has `width` channels, which halve with each doubling of it beyond.
    Published with two blocks, latents of size 64, the relativistic pairing loss with R1 and R2, and
    Adam with b1 = 0; for CIFAR-10 and FFHQ with width 768, and for ImageNet with 1536, groups of
    32, and no narrowing. At 28 pixels nothing is published: 7x7 has `width` channels, and they
    halve from there.

    Args:
      image_size: 28, 32, 64, 128 or 256 pixels.
      channels: 1 or 3.
      width: channels of the smallest feature map.
      blocks: residual blocks for each side.
      group_size: channels of a group of the 3x3 convolutions, which see twice the width.
      narrowing: whether channels halve at all; if not, each side has `width`.
      num_classes: for a pair that takes labels.
      dtype: of the computation at the largest four sides, but for the smallest of all, as
        published; elsewhere it is float32, as parameters are.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: another image size, a width whose feature maps the groups do not divide, or blocks
        or a group size out of range.

    Examples:
      >>> generator, discriminator = r3gan(256, 3, width=768, blocks=2)
      >>> generator.widths
      (768, 768, 768, 768, 384, 192, 96)

    Source: Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN",
    configurations D and E.
    """
    if image_size not in (28, 32, 64, 128, 256):
        expected = "28, 32, 64, 128 or 256 for an R3GAN"
        raise UserError(f"image_size: got {image_size}, expected {expected}")
    base_size, wide = (7, 1) if image_size == 28 else (4, 4)
    stages = (image_size // base_size).bit_length()
    halvings = [max(0, stage + 1 - wide) if narrowing else 0 for stage in range(stages)]
    widths = [width // 2**halving for halving in halvings]
    if group_size < 1:
        raise UserError(f"group_size: got {group_size}, expected 1 or more")
    if any(w < 1 or EXPANSION * w % group_size for w in widths):
        raise UserError(
            f"width: got {width}, which gives feature maps of {', '.join(map(str, widths))} "
            f"channels, expected {EXPANSION} times each to be a multiple of group_size={group_size}"
        )
    if blocks < 0:
        raise UserError(f"blocks: got {blocks}, expected 0 or more")
    options: dict[str, Any] = {
        "blocks": blocks,
        "group_size": group_size,
        "num_classes": num_classes,
        "dtype": dtype,
        "float32_stages": max(1, stages - 4),
    }
    generator = R3GANGenerator(base_size, tuple(widths), channels=channels, **options)
    return generator, R3GANDiscriminator(tuple(widths[::-1]), **options)
