"""Residual GANs with a spectrally normalised discriminator, from 28 to 128 pixels."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.labels import check_labels
from jaxgan.networks.layers import (
    BatchNorm,
    ConditionalBatchNorm,
    Conv,
    ConvDown,
    LeakyReLU,
    UpConv,
)
from jaxgan.networks.spectral import SpectralNorm

__all__ = ["SNResNetDiscriminator", "SNResNetGenerator", "sn_resnet"]

Dtype = Any

glorot = nn.initializers.glorot_uniform()
residual_init = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")
"""Of the 3x3 convolutions in the blocks: sqrt(2) times Glorot's, for the ReLU before them."""


def _mean_2x2(x: jax.Array) -> jax.Array:
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


_PUBLISHED = {28: (7, 2, 64), 32: (4, 3, 256), 64: (4, 4, 64), 128: (4, 5, 64)}
"""By image size: side of the generator's first feature map, its blocks, width."""


def _widths(width: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """Of `count` feature maps, by one number for all or by a number for each."""
    widths = (width,) * count if isinstance(width, int) else tuple(width)
    if len(widths) != count:
        raise UserError(f"width: got {len(widths)} numbers, expected one or {count}")
    return widths


class SNResNetGenerator(nn.Module):
    """Latents (B, D) -> float32 images in [-1, 1], (B, S, S, channels).

    A dense layer makes base_size x base_size x channels; each block doubles the side:

        x -> norm, ReLU, up, 3x3, norm, ReLU, 3x3 -> + 1x1 of x, up

    then norm, ReLU, 3x3 to the image, tanh. With classes, the norms in the blocks are
    `layers.ConditionalBatchNorm`, and it is called `generator(latents, labels, train=...)`.

    Attributes:
      base_size: side of the first feature map.
      width: channels of all feature maps; or a tuple, of the first one and of those of each block.
      blocks: each doubles the side.
      channels: of the image.
      num_classes: of the labels; None for none.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    base_size: int
    width: int | tuple[int, ...]
    blocks: int
    channels: int
    num_classes: int | None = None
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(
        self, latents: jax.Array, labels: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """Latents (B, D), with classes also labels (B,) -> images (B, S, S, channels)."""
        check_labels(labels, self.num_classes, latents.shape[0])

        def norm(x):
            ones = nn.initializers.ones_init()
            return BatchNorm(train, self.axis_name, scale_init=ones, dtype=self.dtype)(x)

        def norm_of_class(x):
            if self.num_classes is None:
                return norm(x)
            return ConditionalBatchNorm(train, self.num_classes, self.axis_name, dtype=self.dtype)(
                x, labels
            )

        side = self.base_size
        first, *widths = _widths(self.width, self.blocks + 1)
        x = nn.Dense(side * side * first, kernel_init=glorot, dtype=self.dtype)(latents)
        x = x.reshape(-1, side, side, first)
        for width in widths:
            y = nn.relu(norm_of_class(x))
            y = UpConv(width, (3, 3), kernel_init=residual_init, dtype=self.dtype)(y)
            y = nn.relu(norm_of_class(y))
            y = Conv(width, (3, 3), kernel_init=residual_init, dtype=self.dtype)(y)
            # A 1x1 convolution gives each pixel the same before it is repeated as after.
            x = Conv(width, (1, 1), kernel_init=glorot, dtype=self.dtype)(x)
            x = y + jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        x = nn.relu(norm(x))
        x = Conv(self.channels, (3, 3), kernel_init=glorot, dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32))


class SNResNetDiscriminator(nn.Module):
    """Images (B, S, S, C) -> logits (B,), every layer of it under spectral norm.

    Residual blocks, of which the first ones halve the side; then ReLU, the sum over all pixels, one
    dense layer:

        x -> ReLU, 3x3, ReLU, 3x3, mean 2x2 -> + 1x1 of x, mean 2x2   the first without a ReLU
        x -> ReLU, 3x3, ReLU, 3x3           -> + x                    the others

    A block's first convolution has as many channels as its input, in the first block as its output.

    With classes it is called `discriminator(images, labels, train=...)`, and its logits are those
    of a projection, with phi the sum over the pixels and psi the dense layer:

        logit = psi(phi(x)) + <embed(y), phi(x)>

    Attributes:
      width: channels of all feature maps, for four blocks; or a tuple, of those of each block. Only
        blocks that halve the side can change the number.
      num_classes: of the labels; None for none.
      dtype: of the computation; parameters are float32.
      halvings: of so many blocks, the first ones.
    """

    width: int | tuple[int, ...]
    num_classes: int | None = None
    dtype: Dtype = jnp.float32
    halvings: int = 2

    @nn.compact
    def __call__(
        self, images: jax.Array, labels: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """Images (B, S, S, C), with classes also labels (B,) -> float32 logits (B,)."""
        check_labels(labels, self.num_classes, images.shape[0])
        least = 2**self.halvings
        if images.shape[1] % least or images.shape[2] % least:
            raise UserError(
                f"images: got shape {images.shape}, expected sides in multiples of {least}"
            )
        relu = LeakyReLU(0.0)

        def normed(layer, x):
            return SpectralNorm(layer)(x, update_stats=train)

        def convolved(layer, x, width, size=(3, 3), init=residual_init):
            return normed(layer(width, size, kernel_init=init, dtype=self.dtype), x)

        x = images
        widths = (self.width,) * 4 if isinstance(self.width, int) else self.width
        for i, width in enumerate(widths):
            # On pixels, a ReLU would lose what is negative.
            y = convolved(Conv, relu(x), x.shape[-1]) if i > 0 else convolved(Conv, x, width)
            if i < self.halvings:
                # A 1x1 convolution of means is the mean of 1x1 convolutions.
                x = convolved(Conv, _mean_2x2(x), width, (1, 1), glorot)
                x = x + convolved(ConvDown, relu(y), width)
            else:
                x = x + convolved(Conv, relu(y), width)
        # So many pixels sum up in float32.
        features = jnp.sum(relu(x), (1, 2), dtype=jnp.float32)
        dense = nn.Dense(1, use_bias=False, kernel_init=glorot, dtype=jnp.float32, name="logits")
        logits = normed(dense, features)[:, 0]
        if self.num_classes is not None:
            embed = nn.Embed(
                self.num_classes,
                features.shape[-1],
                embedding_init=glorot,
                dtype=jnp.float32,
                name="embed",
            )
            logits = logits + jnp.sum(normed(embed, labels) * features, axis=1)
        return logits


def sn_resnet(
    image_size: int = 32,
    channels: int = 3,
    *,
    width: int | None = None,
    num_classes: int | None = None,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[SNResNetGenerator, SNResNetDiscriminator]:
    """The residual pair of spectral normalisation, as published at 32, 64 and 128 pixels.

    At 32 pixels the generator has three blocks, from 4x4, with 256 channels; at 28 pixels two, from
    7x7. The discriminator is the same at both, with half the channels. At 64 and 128 pixels each
    size of the feature maps has a number of channels of its own, from 64 at the image to 1024 at
    4x4, in both networks.

    Published with latents of size 128, the hinge loss, Adam 2e-4 with b1 = 0 and b2 = 0.9, and five
    steps of the discriminator to one of the generator; at 64 and 128 pixels with the 1000 classes
    of ImageNet.

    Args:
      image_size: 28, 32, 64 or 128 pixels.
      channels: 1 or 3.
      width: channels in the generator, half of them in the discriminator; at 64 and 128 pixels
        those at the image, in both. By default as published, and 64 at 28 pixels, for a laptop.
      num_classes: for a pair that takes labels: conditional batch norm, and projection.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: another image size, or a width that is not an even number.

    Examples:
      >>> generator, discriminator = sn_resnet(32, num_classes=10)
      >>> generator.width, discriminator.width
      (256, 128)
      >>> sn_resnet(64)[1].width
      (64, 128, 256, 512, 1024)

    Source: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks",
    appendix B.4, the ResNets for CIFAR-10; with classes Miyato & Koyama 2018, "cGANs with
    Projection Discriminator", and the sizes of 64 and 128 pixels as in its authors' code.
    """
    if image_size not in _PUBLISHED:
        raise UserError(
            f"image_size: got {image_size}, expected 28, 32, 64 or 128 for an SN ResNet"
        )
    base_size, blocks, published = _PUBLISHED[image_size]
    width = published if width is None else width
    if width < 2 or width % 2:
        raise UserError(f"width: got {width}, expected an even number above 0")
    options: dict[str, Any] = {"num_classes": num_classes, "dtype": dtype}
    up: int | tuple[int, ...]
    down: int | tuple[int, ...]
    if image_size <= 32:
        up, down, halvings = width, width // 2, 2
    else:
        up = tuple(width * min(16, 2**i) for i in range(blocks, -1, -1))
        # One block more than the generator has; the sixth, at 128 pixels, does not halve the side.
        down, halvings = tuple(width * min(16, 2**i) for i in range(blocks + 1)), 5
    generator = SNResNetGenerator(
        base_size=base_size,
        blocks=blocks,
        width=up,
        channels=channels,
        axis_name=axis_name,
        **options,
    )
    return generator, SNResNetDiscriminator(width=down, halvings=halvings, **options)
