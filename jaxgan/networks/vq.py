"""VQGAN's autoencoder: an image as a grid of tokens, each of which stands for a learnt vector."""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import Conv, UpConv, uniform_init

__all__ = ["Quantized", "VQAutoencoder", "VectorQuantizer"]

Dtype = Any


class Quantized(NamedTuple):
    """What `VectorQuantizer` gives.

    Attributes:
      vectors: (B, h, w, dim), those of the codebook; gradients pass them as if they were the input.
      tokens: (B, h, w) int32, which they are.
      loss: float32 scalar, by which the codebook and what it is given learn to agree.
    """

    vectors: jax.Array
    tokens: jax.Array
    loss: jax.Array


class VectorQuantizer(nn.Module):
    """Replaces each vector by the nearest one of a learnt codebook.

        token = argmin_k |z - e_k|^2;  loss = E[(sg(z) - e)^2] + commitment E[(z - sg(e))^2]

    sg lets no gradient through.

    Attributes:
      codes: vectors in the codebook, drawn uniformly from [-1 / codes, 1 / codes].
      commitment: what it costs a vector to be far from its code.
      directions: z and e are scaled to length 1 first, so that codes are found by their direction
        alone; they are drawn uniformly from all directions. Of codes that are near one another a
        few soon stand for all vectors; directions are far apart from the start.

    Source: van den Oord et al. 2017, "Neural Discrete Representation Learning", equation 3; Esser
    et al. 2021, "Taming Transformers for High-Resolution Image Synthesis", equation 4. The authors'
    code of the latter weighs the first term by 0.25 in place of the second, unless `legacy=False`.
    Directions: Yu et al. 2022, "Vector-quantized Image Modeling with Improved VQGAN", section 3.2.
    """

    codes: int
    commitment: float = 0.25
    directions: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> Quantized:
        """(B, h, w, dim) -> a `Quantized`."""
        bound, shape = 1 / self.codes, (self.codes, x.shape[-1])
        wide = x.astype(jnp.float32)
        if self.directions:
            codebook = _unit(self.param("codebook", nn.initializers.normal(1.0), shape))
            wide = _unit(wide)
        else:
            codebook = self.param(
                "codebook", lambda key: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
            )
        # |z|^2 is the same for all codes.
        products = wide.reshape(-1, x.shape[-1]) @ codebook.T
        distances = jnp.sum(jnp.square(codebook), axis=1)[None] - 2 * products
        tokens = jnp.argmin(distances, axis=1).astype(jnp.int32).reshape(x.shape[:-1])
        vectors, fixed = codebook[tokens], jax.lax.stop_gradient
        loss = jnp.mean(jnp.square(fixed(wide) - vectors))
        loss += self.commitment * jnp.mean(jnp.square(wide - fixed(vectors)))
        return Quantized((wide + fixed(vectors - wide)).astype(x.dtype), tokens, loss)

    def vectors_of(self, tokens: jax.Array) -> jax.Array:
        """Tokens (B, h, w) -> the vectors (B, h, w, dim) that they stand for, float32."""
        codebook: jax.Array = self.get_variable("params", "codebook")
        return (_unit(codebook) if self.directions else codebook)[tokens]


def _unit(vectors: jax.Array) -> jax.Array:
    """Each of length 1."""
    squares = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    return vectors * jax.lax.rsqrt(squares + 1e-12)  # which keeps a gradient by 0 finite


class VQAutoencoder(nn.Module):
    """Images (B, H, W, C) -> images (B, H, W, C), by way of tokens: VQGAN's encoder and decoder.

    The encoder's residual blocks are of each of the `widths` in turn, with the side halved between
    them by a 3x3 convolution; then two more with self-attention between them, and 1x1 to the
    codebook's vectors. The decoder is its mirror image, with a block more at each size. Group norm
    and swish come before every convolution of a block.

    Attributes:
      channels: of the images.
      widths: channels at each size; the side is halved once less than there are widths.
      blocks: residual blocks of the encoder at each size.
      dim: of the codebook's vectors.
      codes: vectors in the codebook.
      directions: see `VectorQuantizer`.
      dtype: of the computation; parameters are float32.

    Raises:
      UserError: when called, images whose height or width cannot be halved so often.

    Examples:
      >>> network, images = VQAutoencoder(widths=(8, 8), dim=4, codes=16), jnp.zeros((2, 16, 16, 3))
      >>> variables = jax.eval_shape(network.init, jax.random.key(0), images)
      >>> made, (vectors, tokens, loss) = jax.eval_shape(
      ...     lambda *inputs: network.apply(*inputs, method="reconstruct"), variables, images
      ... )
      >>> made.shape, vectors.shape, tokens.shape, loss.shape
      ((2, 16, 16, 3), (2, 8, 8, 4), (2, 8, 8), ())

    Source: Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis", section
    3.1 and table 7, with attention at the smallest size alone. The defaults are for 64 pixels and
    8x8 tokens.
    """

    channels: int = 3
    widths: tuple[int, ...] = (32, 64, 64, 128)
    blocks: int = 1
    dim: int = 64
    codes: int = 256
    directions: bool = False
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    def setup(self):
        self.encoder = Encoder(self.widths, self.blocks, self.dim, self.dtype)
        self.before = _conv(self.dim, 1, self.dtype)
        self.quantizer = VectorQuantizer(self.codes, directions=self.directions)
        self.after = _conv(self.dim, 1, self.dtype)
        self.decoder = Decoder(self.channels, self.widths, self.blocks, self.dtype)

    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, channels) -> float32 images of the same shape."""
        return self.reconstruct(images)[0]

    def reconstruct(self, images: jax.Array) -> tuple[jax.Array, Quantized]:
        """Images (B, H, W, channels) -> (float32 images, what they are decoded from)."""
        quantized = self.encode(images)
        return self.decode(quantized.vectors), quantized

    def encode(self, images: jax.Array) -> Quantized:
        """Images (B, H, W, channels) -> what the quantiser makes of them."""
        side = 2 ** (len(self.widths) - 1)
        if images.shape[1] % side or images.shape[2] % side:
            raise UserError(
                f"image_size: got images {images.shape}, expected height and width to be multiples "
                f"of {side}, since the encoder halves them {len(self.widths) - 1} times"
            )
        return self.quantizer(self.before(self.encoder(images.astype(self.dtype))))

    def decode(self, vectors: jax.Array) -> jax.Array:
        """Vectors (B, h, w, dim) -> float32 images (B, H, W, channels)."""
        return self.decoder(self.after(vectors)).astype(jnp.float32)

    def decode_tokens(self, tokens: jax.Array) -> jax.Array:
        """Tokens (B, h, w) -> float32 images (B, H, W, channels)."""
        return self.decode(self.quantizer.vectors_of(tokens))


class Encoder(nn.Module):
    """Images -> feature maps, the side halved between the widths."""

    widths: tuple[int, ...]
    blocks: int
    features: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _conv(self.widths[0], 3, self.dtype)(x)
        for i, width in enumerate(self.widths):
            if i > 0:
                x = _conv(self.widths[i - 1], 3, self.dtype, stride=2)(x)
            for _ in range(self.blocks):
                x = Residual(width, self.dtype)(x)
        return _conv(self.features, 3, self.dtype)(_normed(_middle(x, self.dtype)))


class Decoder(nn.Module):
    """Feature maps -> images, the side doubled between the widths."""

    features: int
    widths: tuple[int, ...]
    blocks: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _middle(_conv(self.widths[-1], 3, self.dtype)(x), self.dtype)
        for i, width in enumerate(reversed(self.widths)):
            if i > 0:
                up = UpConv(x.shape[-1], (3, 3), dtype=self.dtype, kernel_init=uniform_init)
                x = up(x)
            for _ in range(self.blocks + 1):
                x = Residual(width, self.dtype)(x)
        return _conv(self.features, 3, self.dtype)(_normed(x))


class Residual(nn.Module):
    """Two convolutions beside a way past them, which is a 1x1 one where the width changes."""

    features: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = _conv(self.features, 3, self.dtype)(_normed(x))
        y = _conv(self.features, 3, self.dtype)(_normed(y))
        return y + (x if x.shape[-1] == self.features else _conv(self.features, 1, self.dtype)(x))


class Attention(nn.Module):
    """Each place sees all others of its image, by one head."""

    dtype: Dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        b, h, w, c = x.shape
        y = _group_norm(x)
        query, key, value = (_conv(c, 1, self.dtype)(y).reshape(b, h * w, c) for _ in range(3))
        scores = jnp.einsum("bqc,bkc->bqk", query, key) * c**-0.5
        shares = jax.nn.softmax(scores.astype(jnp.float32), axis=-1).astype(self.dtype)
        return x + _conv(c, 1, self.dtype)((shares @ value).reshape(b, h, w, c))


def _middle(x: jax.Array, dtype: Dtype) -> jax.Array:
    width = x.shape[-1]
    x = Attention(dtype)(Residual(width, dtype)(x))
    return Residual(width, dtype)(x)


def _normed(x: jax.Array) -> jax.Array:
    return nn.swish(_group_norm(x))


def _group_norm(x: jax.Array) -> jax.Array:
    groups = math.gcd(32, x.shape[-1])
    norm = nn.GroupNorm(groups, epsilon=1e-6, use_fast_variance=False, dtype=x.dtype)
    return norm(x)


def _conv(features: int, kernel: int, dtype: Dtype, stride: int = 1) -> Conv:
    return Conv(features, (kernel, kernel), stride, dtype=dtype, kernel_init=uniform_init)
