"""Encoders of captions and of images into one space, for matching the two."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU, dcgan_init

__all__ = ["ImageEncoder", "TextEncoder"]

Dtype = Any


class TextEncoder(nn.Module):
    """Captions as numbers of words (B, L) -> float32 embeddings (B, E) of mean square 1.

    A small transformer: words and their positions, layers of attention and of a perceptron, the
    mean over the words. Reed et al. 2016 take convolutions and a recurrence over the words; here
    any word meets any other in one layer ("red" and "seven", "dark" and "blue", and which of two
    digits a colour belongs to), in a few large products of matrices in place of L small ones in a
    row, and padding is a mask.

    Attributes:
      vocabulary_size: how many numbers a word may be, `Vocabulary.size`; 0 is padding.
      embedding_dim: E.
      width: of the layers.
      layers: how many.
      heads: of the attention; they share the width.
      dtype, param_dtype: of the computation and of the parameters.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.1; the normalisation first,
    as in Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture".
    """

    vocabulary_size: int
    embedding_dim: int = 128
    width: int = 128
    layers: int = 2
    heads: int = 4
    dtype: Dtype = jnp.float32
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, train: bool = False) -> jax.Array:
        """int32 (B, L) -> float32 (B, E)."""
        options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        there = tokens > 0
        mask = there[:, None, None, :]
        x = nn.Embed(self.vocabulary_size, self.width, **options, name="words")(tokens)
        positions = self.param(
            "positions", dcgan_init, (1, tokens.shape[1], self.width), self.param_dtype
        )
        x = x + positions.astype(self.dtype)
        for _ in range(self.layers):
            attention = nn.MultiHeadDotProductAttention(self.heads, **options)
            x = x + attention(nn.LayerNorm(**options)(x), mask=mask)
            y = nn.Dense(4 * self.width, **options)(nn.LayerNorm(**options)(x))
            x = x + nn.Dense(self.width, **options)(nn.gelu(y))
        x = nn.LayerNorm(**options)(x) * there[:, :, None]
        x = jnp.sum(x, axis=1) / jnp.maximum(jnp.sum(there, axis=1, keepdims=True), 1)
        return _normalise(nn.Dense(self.embedding_dim, **options, name="embedding")(x))


class ImageEncoder(nn.Module):
    """Images (B, S, S, C) -> float32 embeddings (B, E) of mean square 1, by strided convolutions.

    4x4 kernels of stride 2, batch norm on all but the first, LeakyReLU 0.2, one dense layer.

    Attributes:
      embedding_dim: E.
      widths: channels of the feature maps; each halves the side.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype, param_dtype: of the computation and of the parameters.
    """

    embedding_dim: int = 128
    widths: tuple[int, ...] = (32, 64, 128, 256)
    axis_name: str | None = None
    dtype: Dtype = jnp.float32
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """(B, S, S, C) -> float32 (B, E)."""
        options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = images
        for i, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, use_bias=i == 0, **options)(x)
            if i > 0:
                x = BatchNorm(train, self.axis_name, **options)(x)
            x = LeakyReLU(0.2)(x)
        x = x.reshape(x.shape[0], -1)
        return _normalise(nn.Dense(self.embedding_dim, **options, name="embedding")(x))


def _normalise(x: jax.Array) -> jax.Array:
    """Mean square 1, which what follows takes more easily than length 1."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)
