"""Encoders of captions and of images into one space, for matching the two."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU

__all__ = ["ImageEncoder", "TextEncoder"]

Dtype = Any


class TextEncoder(nn.Module):
    """Captions as numbers of words (B, L) -> float32 embeddings (B, E) of mean square 1.

    Residual convolutions over the words, a layer of its own for each word, the mean over them, as
    Reed et al. have it without the recurrence. What a word stands for is decided by the six
    words on either side, and a caption is the sum of its phrases: what was learnt of one thing
    holds for two, and it stays known which of them is the red one.

    Attributes:
      vocabulary_size: how many numbers a word may be, `Vocabulary.size`; 0 is padding.
      embedding_dim: E.
      width: of the residual stream.
      layers: convolutions of 5 words, each reaching two further.
      dtype: of the computation; parameters are float32.

    Source: Reed et al. 2016, "Learning Deep Representations of Fine-Grained Visual Descriptions",
    section 3.2.
    """

    vocabulary_size: int
    embedding_dim: int = 128
    width: int = 64
    layers: int = 3
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, train: bool = False) -> jax.Array:
        """int32 (B, L) -> float32 (B, E)."""
        there = tokens > 0
        there = there[:, :, None]
        x = nn.Embed(self.vocabulary_size, self.width, dtype=self.dtype, name="words")(tokens)
        for _ in range(self.layers):
            # Beyond its end a caption is zero, as before its start.
            y = nn.LayerNorm(dtype=self.dtype)(x) * there
            y = nn.gelu(nn.Conv(2 * self.width, (5,), dtype=self.dtype)(y))
            x = x + nn.Dense(self.width, dtype=self.dtype)(y)
        y = nn.LayerNorm(dtype=self.dtype)(x)
        x = nn.gelu(nn.Dense(4 * self.width, dtype=self.dtype)(y)) * there
        x = jnp.sum(x, axis=1) / jnp.maximum(jnp.sum(there, axis=1), 1)
        return _normalise(nn.Dense(self.embedding_dim, dtype=self.dtype, name="embedding")(x))


class ImageEncoder(nn.Module):
    """Images (B, S, S, C) -> float32 embeddings (B, E) of mean square 1, and features (B, F).

    The features are those of strided convolutions: 4x4 kernels of stride 2, batch norm on all but
    the first, LeakyReLU 0.2. One dense layer makes the embeddings of them: with another one below
    it an image would no longer be the sum of its parts, as a caption is.

    Attributes:
      embedding_dim: E.
      widths: channels of the feature maps; each halves the side.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    embedding_dim: int = 128
    widths: tuple[int, ...] = (48, 96, 192, 384)
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """(B, S, S, C) -> float32 (B, E), (B, F)."""
        x = images
        for i, width in enumerate(self.widths):
            x = Conv(width, (4, 4), 2, use_bias=i == 0, dtype=self.dtype)(x)
            if i > 0:
                x = BatchNorm(train, self.axis_name, self.dtype)(x)
            x = LeakyReLU(0.2)(x)
        x = x.reshape(x.shape[0], -1)
        return _normalise(nn.Dense(self.embedding_dim, dtype=self.dtype, name="embedding")(x)), x


def _normalise(x: jax.Array) -> jax.Array:
    """Mean square 1, which what follows takes more easily than length 1."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)
