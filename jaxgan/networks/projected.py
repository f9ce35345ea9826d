"""Projected GAN's discriminator: small networks on fixed features of the images."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU, uniform_init
from jaxgan.networks.spectral import SpectralNorm

__all__ = ["ProjectedDiscriminator"]

Dtype = Any


class ProjectedDiscriminator(nn.Module):
    """Images (B, H, W, C) -> float32 logits (B, N), of every scale of a fixed network's features.

    The features f_1 ... f_L, from the largest map to the smallest, are mixed by random 1x1
    convolutions A and B, and from the top down:

        g_l = B_l (A_l f_l + g_{l+1}),  then resized to the next larger map; the largest is doubled

    A_l gives 1, 2, 4, 8 ... times `width` channels, B_l half as many as it is given, and A_1 and
    B_1 `width`. Each g_l has a small discriminator of its own, whose logits N counts together. It
    halves the side by 4x4 convolutions of stride 2, batch norm and LeakyReLU until the side is half
    of the smallest g_l, and no less than 4, up to 2^L / 2 times `width` channels; then a 4x4
    convolution gives a logit at each place. All its convolutions are under spectral norm.

    With `pixel_width` one more judges the image itself, without batch norm, which takes the mean
    colour of a batch away, and with a logit for each of the 4x4 places that are left: at 64 pixels
    four times as many as the features have. Of flat drawings colours are else learnt last.

    Neither the features nor A and B are trained. What the features have learnt is part of the
    function that is handed over; A and B stand in the collection "fixed", which the train step
    carries as it is, without gradients or optimiser state. Gradients reach the images through both.

    Attributes:
      features: images (B, H, W, C) -> feature maps (B, h, w, c), the largest first, each later one
        about half the side; with gradients by the images. Since no description can hold a function,
        `load_discriminator` needs the module, too.
      width: channels of the largest map after mixing.
      pixel_width: channels of the discriminator of the image after its first convolution, twice as
        many after each other one; 0 for none, as in the paper.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of what is trained; parameters are float32, features and mixing have their own.

    Raises:
      UserError: when called, images of which the smallest feature map has a side below 2.

    Examples:
      >>> def features(images):  # means of 2x2, 4x4, 8x8 and 16x16 pixels
      ...     sizes = [(2**i, 2**i) for i in (1, 2, 3, 4)]
      ...     return [nn.avg_pool(images, size, size) for size in sizes]
      >>> discriminator = ProjectedDiscriminator(features, width=8)
      >>> images = jnp.zeros((2, 64, 64, 3))
      >>> logits, variables = jax.eval_shape(
      ...     discriminator.init_with_output, jax.random.key(0), images
      ... )
      >>> logits.shape, sorted(variables)
      ((2, 4), ['batch_stats', 'fixed', 'params', 'spectral'])

    Source: Sauer et al. 2021, "Projected GANs Converge Faster", section 3, with the sizes of the
    authors' code: there B_l is a 1x1 convolution, too, in place of the paper's 3x3, and the width
    64. Differs from it: B_l comes before the resizing, which is the same for less, and corners are
    not aligned in resizing. A discriminator of pixels beside those of features: Kumari et al. 2022,
    "Ensembling Off-the-shelf Models for GAN Training".
    """

    features: Callable[[jax.Array], Sequence[jax.Array]]
    width: int = 64
    pixel_width: int = 0
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> logits (B, N)."""
        maps = self.features(images)
        if min(maps[-1].shape[1:3]) < 2:
            raise UserError(
                f"images: got shape {images.shape}, whose smallest feature map is "
                f"{maps[-1].shape[1:3]}, expected larger ones, to have it at least (2, 2)"
            )
        mixed = Mixing(self.width)(maps)
        end = max(4, min(mixed[-1].shape[1:3]) // 2)
        most = 2 ** (len(mixed) - 1) * self.width
        heads = [Head(end, most, train, self.axis_name, self.dtype)(x) for x in mixed]
        if self.pixel_width:
            doublings = int(math.log2(min(images.shape[1:3]) / 4)) - 1
            most = self.pixel_width << doublings
            heads.append(Head(4, most, train, None, self.dtype, norm=False)(images))
        return jnp.concatenate(heads, axis=1)


class Mixing(nn.Module):
    """Random mixing of the channels and scales of feature maps, as `ProjectedDiscriminator` says.

    Attributes:
      width: channels of the largest map after mixing.
    """

    width: int

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array]) -> list[jax.Array]:
        """Feature maps, the largest first -> as many, each of twice the side."""
        mixed: list[jax.Array] = []
        for level in reversed(range(len(maps))):
            x = FixedConv(2**level * self.width)(maps[level])
            if mixed:
                x = x + mixed[0]
            x = FixedConv(max(2**level // 2, 1) * self.width)(x)
            side = maps[level - 1].shape[1:3] if level else [2 * n for n in x.shape[1:3]]
            mixed.insert(0, jax.image.resize(x, (len(x), *side, x.shape[-1]), "linear"))
        return mixed


class FixedConv(nn.Module):
    """A 1x1 convolution of random weights in the collection "fixed", which nothing trains.

    Attributes:
      features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, features)."""
        bound = x.shape[-1] ** -0.5
        draw = functools.partial(jax.random.uniform, minval=-bound, maxval=bound)

        def drawn(name, *shape):
            return self.variable("fixed", name, lambda: draw(self.make_rng("params"), shape)).value

        bias = drawn("bias", self.features).reshape(1, 1, 1, -1)
        return x @ drawn("kernel", x.shape[-1], self.features) + bias


class Head(nn.Module):
    """Feature maps (B, H, W, C) -> logits (B, n): halves the side, doubles the channels.

    Attributes:
      end: the side is halved as long as it is no less then.
      width: channels at the end; before, half as many for each doubling of the side.
      train: normalise by the batch's own statistics.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
      norm: batch norm after each convolution but the last; else each has a bias, and the last one a
        border of zeros.
    """

    end: int
    width: int
    train: bool
    axis_name: str | None
    dtype: Dtype
    norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        options = {"kernel_init": uniform_init, "use_bias": not self.norm, "dtype": self.dtype}
        halvings = 0
        while min(x.shape[1:3]) >> (halvings + 1) >= self.end:
            halvings += 1
        for left in reversed(range(halvings)):
            conv = Conv(self.width >> left, (4, 4), 2, **options)
            x = SpectralNorm(conv)(x, update_stats=self.train)
            if self.norm:
                ones = nn.initializers.ones_init()
                x = BatchNorm(self.train, self.axis_name, scale_init=ones, dtype=self.dtype)(x)
            x = LeakyReLU(0.2)(x)
        conv = Conv(1, (4, 4), padding="VALID" if self.norm else "SAME", **options)
        x = SpectralNorm(conv)(x, update_stats=self.train)
        return x.reshape(len(x), -1).astype(jnp.float32)
