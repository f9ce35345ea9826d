"""StackGAN: a small image from a caption's embedding, then a large one from it and the caption."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU, Upsample, dcgan_init, to_logits

__all__ = [
    "ConditioningAugmentation",
    "StackGANDiscriminator",
    "StackGANStageOne",
    "StackGANStageTwo",
    "stackgan_stage_one",
    "stackgan_stage_two",
]

Dtype = Any

_BASE = 4  # side of Stage I's first feature map and of the discriminators' last
_MIDDLE = 16  # side of Stage II's residual blocks


class ConditioningAugmentation(nn.Module):
    """A Gaussian about each caption: embeddings (B, E) -> mean and log sigma, (B, N) each.

        c = mean + sigma epsilon,  epsilon ~ N(0, I)

    Few captions leave gaps between their embeddings; draws from about each fill them.

    Differs from the authors' code: it has LeakyReLU 0.2 on mean and log sigma, and epsilon is cut
    off at two standard deviations.

    Attributes:
      features: N.
      dtype: of the computation; parameters are float32.

    Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
    Generative Adversarial Networks", section 3.2.
    """

    features: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, embeddings: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(B, E) -> float32 (B, N), (B, N)."""
        x = nn.Dense(2 * self.features, kernel_init=dcgan_init, dtype=self.dtype)(embeddings)
        mean, log_sigma = jnp.split(x.astype(jnp.float32), 2, axis=-1)
        return mean, log_sigma


class StackGANStageOne(nn.Module):
    """Latents (B, Z + N) and embeddings (B, E) -> float32 images in [-1, 1], (B, S, S, channels).

    A dense layer makes 4x4 x widths[0] of z and c; then up-sampling blocks: nearest neighbour,
    a 3x3 convolution, batch norm, ReLU. The last makes the image, with tanh in their place.

    Attributes:
      widths: channels of the feature maps; S is 4 times 2 to the power of their number.
      channels: of the image.
      latent_dim: Z, of z. The latents' other N are the noise of the conditioning augmentation.
      condition_dim: N.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    widths: tuple[int, ...]
    channels: int = 3
    latent_dim: int = 100
    condition_dim: int = 128
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    def setup(self):
        self.augmentation = ConditioningAugmentation(self.condition_dim, self.dtype)

    def condition(self, embeddings: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Embeddings (B, E) -> mean and log sigma of their Gaussians, (B, N) each."""
        return self.augmentation(embeddings)

    @nn.compact
    def __call__(self, latents: jax.Array, embeddings: jax.Array, train: bool = False) -> jax.Array:
        """Latents (B, Z + N), embeddings (B, E) -> images (B, S, S, channels)."""
        _check_noise("latents", latents, self.latent_dim + self.condition_dim)
        z, noise = jnp.split(latents, [self.latent_dim], axis=-1)
        mean, log_sigma = self.condition(embeddings)
        x = jnp.concatenate([z, mean + jnp.exp(log_sigma) * noise], axis=-1)
        # The biases of layers that batch norm follows would be subtracted again.
        x = nn.Dense(
            _BASE * _BASE * self.widths[0], use_bias=False, kernel_init=dcgan_init, dtype=self.dtype
        )(x)
        x = x.reshape(-1, _BASE, _BASE, self.widths[0])
        x = nn.relu(BatchNorm(train, self.axis_name, self.dtype)(x))
        for width in self.widths[1:]:
            x = Upsample(width, "resize", use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(BatchNorm(train, self.axis_name, self.dtype)(x))
        x = Upsample(self.channels, "resize", dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32))


class StackGANStageTwo(nn.Module):
    """Stage I's images (B, s, s, C), noise (B, N), embeddings (B, E) -> images (B, S, S, C).

    The image passes a 3x3 convolution and halvings by 4x4; c is laid beside every pixel, and a 3x3
    convolution joins them; then residual blocks, up-sampling blocks and a 3x3 convolution to
    pixels. Batch norm and ReLU follow every convolution but the first, which has ReLU alone, and
    the last, which has tanh.

    Attributes:
      down_widths: channels on the way down; all but the first halve the side.
      residual_blocks: how many, of the last of `down_widths`.
      up_widths: channels on the way up; each doubles the side.
      channels: of the image.
      condition_dim: N.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    down_widths: tuple[int, ...]
    residual_blocks: int
    up_widths: tuple[int, ...]
    channels: int = 3
    condition_dim: int = 128
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    def setup(self):
        self.augmentation = ConditioningAugmentation(self.condition_dim, self.dtype)

    def condition(self, embeddings: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Embeddings (B, E) -> mean and log sigma of their Gaussians, (B, N) each."""
        return self.augmentation(embeddings)

    @nn.compact
    def __call__(
        self, images: jax.Array, noise: jax.Array, embeddings: jax.Array, train: bool = False
    ) -> jax.Array:
        """Images (B, s, s, C), noise (B, N), embeddings (B, E) -> images (B, S, S, C)."""

        def normalised(x):
            return BatchNorm(train, self.axis_name, self.dtype)(x)

        def conv(width, x, side=3, stride=1):
            return normalised(
                Conv(width, (side, side), stride, use_bias=False, dtype=self.dtype)(x)
            )

        _check_noise("noise", noise, self.condition_dim)
        x = nn.relu(Conv(self.down_widths[0], (3, 3), dtype=self.dtype)(images))
        for width in self.down_widths[1:]:
            x = nn.relu(conv(width, x, 4, 2))
        mean, log_sigma = self.condition(embeddings)
        condition = (mean + jnp.exp(log_sigma) * noise).astype(self.dtype)
        width = self.down_widths[-1]
        x = nn.relu(conv(width, _beside_every_pixel(x, condition)))
        for _ in range(self.residual_blocks):
            x = nn.relu(x + conv(width, nn.relu(conv(width, x))))
        for width in self.up_widths:
            x = Upsample(width, "resize", use_bias=False, dtype=self.dtype)(x)
            x = nn.relu(normalised(x))
        x = Conv(self.channels, (3, 3), dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32))


class StackGANDiscriminator(nn.Module):
    """Images (B, S, S, C) and embeddings (B, E) -> logits (B,) that they are real and belong.

    Down-sampling blocks, 4x4 of stride 2, batch norm on all but the first and LeakyReLU 0.2; 1x1
    convolutions that narrow what is too wide; the embedding, brought to `text_dim` by a dense layer
    and laid beside every pixel; a 1x1 convolution over both, and a dense layer to the logit.

    Attributes:
      widths: channels of the feature maps; each halves the side.
      narrow_widths: of the 1x1 convolutions that follow.
      text_dim: of the embedding beside the pixels.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    widths: tuple[int, ...]
    narrow_widths: tuple[int, ...] = ()
    text_dim: int = 128
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, embeddings: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, S, S, C), embeddings (B, E) or (K, B, E) -> float32 logits (B,) or (K, B).

        Of K sets of embeddings each makes pairs with the same images, which are looked at once;
        each set has batch statistics of its own.
        """
        x = images
        for i, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, use_bias=i == 0, dtype=self.dtype)(x)
            if i > 0:
                x = BatchNorm(train, self.axis_name, self.dtype)(x)
            x = LeakyReLU(0.2)(x)
        for width in self.narrow_widths:
            x = Conv(width, (1, 1), use_bias=False, dtype=self.dtype)(x)
            x = LeakyReLU(0.2)(BatchNorm(train, self.axis_name, self.dtype)(x))
        judge = _PairLogits(self.text_dim, self.axis_name, dtype=self.dtype, name="pair")
        if embeddings.ndim == 2:
            return judge(x, embeddings, train)
        return jnp.stack([judge(x, each, train) for each in embeddings])


class _PairLogits(nn.Module):
    """Features (B, h, w, F) and embeddings (B, E) -> float32 logits (B,)."""

    text_dim: int
    axis_name: str | None
    dtype: Dtype

    @nn.compact
    def __call__(self, features: jax.Array, embeddings: jax.Array, train: bool) -> jax.Array:
        text = nn.Dense(self.text_dim, kernel_init=dcgan_init, dtype=self.dtype)(embeddings)
        x = _beside_every_pixel(features, LeakyReLU(0.2)(text))
        x = Conv(features.shape[-1], (1, 1), use_bias=False, dtype=self.dtype)(x)
        x = LeakyReLU(0.2)(BatchNorm(train, self.axis_name, self.dtype)(x))
        return to_logits(x, dtype=self.dtype)


def stackgan_stage_one(
    image_size: int = 64,
    *,
    channels: int = 3,
    gen_width: int = 128,
    disc_width: int = 64,
    latent_dim: int = 100,
    condition_dim: int = 128,
    text_dim: int = 128,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[StackGANStageOne, StackGANDiscriminator]:
    """The Stage I pair, by default the published one: 64 pixels.

    The paper gives the blocks and the sizes of z, c and the text (100, 128, 128); the widths are
    those of its authors' code: 1024 to 128 channels in the generator, 64 to 512 in the
    discriminator.

    Differs from the authors' code: the residual blocks beside these layers, which are not in the
    paper either; its first batch norm has a scale for each unit, here for each channel.

    Args:
      image_size: 8, 16, 32, 64, ...
      channels: of the image.
      gen_width: channels of the generator's last feature map; they double towards the first.
      disc_width: channels of the discriminator's first feature map; they double towards the last.
      latent_dim, condition_dim: of z and of c, which the generator is given.
      text_dim: of the text in the discriminator.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: an image size that is no power of 2, or below 8.

    Examples:
      >>> generator, discriminator = stackgan_stage_one()
      >>> generator.widths, discriminator.widths
      ((1024, 512, 256, 128), (64, 128, 256, 512))

    Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
    Generative Adversarial Networks", sections 3.3 and 3.5.
    """
    doublings = _doublings("image_size", image_size, _BASE)
    options = {"axis_name": axis_name, "dtype": dtype}
    generator = StackGANStageOne(
        tuple(gen_width * 2**i for i in reversed(range(doublings))),
        channels,
        latent_dim,
        condition_dim,
        **options,
    )
    widths = tuple(disc_width * 2**i for i in range(doublings))
    return generator, StackGANDiscriminator(widths, (), text_dim, **options)


def stackgan_stage_two(
    image_size: int = 256,
    first_size: int = 64,
    *,
    channels: int = 3,
    gen_width: int = 128,
    disc_width: int = 64,
    residual_blocks: int = 4,
    condition_dim: int = 128,
    text_dim: int = 128,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[StackGANStageTwo, StackGANDiscriminator]:
    """The Stage II pair, by default the published one: from 64 pixels to 256.

    As in `stackgan_stage_one`, the widths are those of the authors' code. The residual blocks
    work at 16x16. The discriminator is that of Stage I with more down-sampling blocks, and with
    1x1 convolutions from their width back to 512 channels, 8 times its first.

    Args:
      image_size: 32, 64, 128, 256, ...
      first_size: of Stage I's images: 16, 32, 64, ..., below `image_size`.
      channels: of the image.
      gen_width: channels at Stage I's size; they double with each halving of the side down to 16.
      disc_width: channels of the discriminator's first feature map.
      residual_blocks: how many; the paper has 4, and 2 for images of 128 pixels.
      condition_dim, text_dim: as in `stackgan_stage_one`.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: sizes that are no powers of 2, or out of their range.

    Examples:
      >>> generator, discriminator = stackgan_stage_two()
      >>> generator.down_widths, generator.up_widths
      ((128, 256, 512), (256, 128, 64, 32))
      >>> discriminator.widths, discriminator.narrow_widths
      ((64, 128, 256, 512, 1024, 2048), (1024, 512))

    Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
    Generative Adversarial Networks", sections 3.4 and 3.5.
    """
    ups = _doublings("image_size", image_size, _MIDDLE)
    downs = 0 if first_size == _MIDDLE else _doublings("first_size", first_size, _MIDDLE)
    if first_size >= image_size:
        raise UserError(f"first_size: got {first_size}, expected less than {image_size}")
    widest = gen_width * 2**downs
    if widest % 2**ups:
        raise UserError(
            f"gen_width: got {gen_width}, expected {widest} at 16 pixels to be halved {ups} times"
        )
    options = {"axis_name": axis_name, "dtype": dtype}
    generator = StackGANStageTwo(
        tuple(gen_width * 2**i for i in range(downs + 1)),
        residual_blocks,
        tuple(widest // 2**i for i in range(1, ups + 1)),
        channels,
        condition_dim,
        **options,
    )
    widths = tuple(disc_width * 2**i for i in range(_doublings("image_size", image_size, _BASE)))
    narrow = tuple(width for width in reversed(widths[:-1]) if width >= 8 * disc_width)
    return generator, StackGANDiscriminator(widths, narrow, text_dim, **options)


def _doublings(name: str, size: int, base: int) -> int:
    """How often `base` is doubled to give `size`, at least once."""
    doublings = int(math.log2(size / base)) if isinstance(size, int) and size > base else 0
    if not doublings or size != base * 2**doublings:
        raise UserError(f"{name}: got {size}, expected {2 * base}, {4 * base}, {8 * base}, ...")
    return doublings


def _check_noise(name: str, noise: jax.Array, features: int) -> None:
    if noise.ndim != 2 or noise.shape[1] != features:
        raise UserError(f"{name}: got shape {noise.shape}, expected (B, {features})")


def _beside_every_pixel(x: jax.Array, condition: jax.Array) -> jax.Array:
    """(B, h, w, F) and (B, N) -> (B, h, w, F + N)."""
    spread = jnp.broadcast_to(condition[:, None, None, :], (*x.shape[:3], condition.shape[1]))
    return jnp.concatenate([x, spread.astype(x.dtype)], axis=-1)
