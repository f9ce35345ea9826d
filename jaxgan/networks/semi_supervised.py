"""A discriminator that is a classifier, small enough to learn from few labels."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.networks.layers import Conv, LeakyReLU
from jaxgan.networks.mlp import MLPGenerator

__all__ = ["SGANDiscriminator", "sgan"]

Dtype = Any


class SGANDiscriminator(nn.Module):
    """Images (B, H, W, C) -> class logits (B, K), by convolutions and their largest values.

    LeakyReLU 0.2 after each convolution, the largest of each 2x2 between them, a dense layer, and
    one to the logits; dropout before either, and in training noise on the images. The dense layer
    is the features that a generator matches: few, and all that the logits are made of. No batch
    norm: labelled, other real and generated images are all judged in the same way.

    Attributes:
      num_classes: K.
      widths: channels of the convolutions.
      kernels: sides of their kernels.
      hidden: width of the dense layer.
      dropout: rate.
      noise: standard deviation, in pixel values.
      dtype, param_dtype: of the computation and of the parameters.
    """

    num_classes: int
    widths: tuple[int, ...] = (16, 32, 64)
    kernels: tuple[int, ...] = (5, 3, 3)
    hidden: int = 128
    dropout: float = 0.3
    noise: float = 0.5
    dtype: Dtype = jnp.float32
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> float32 class logits (B, K)."""
        options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        he = nn.initializers.he_normal()
        x = images
        if train and self.noise:
            x = x + self.noise * jax.random.normal(self.make_rng("dropout"), x.shape, x.dtype)
        for i, (width, kernel) in enumerate(zip(self.widths, self.kernels, strict=True)):
            x = _largest_of_2x2(x) if i > 0 else x
            x = LeakyReLU(0.2)(Conv(width, (kernel, kernel), kernel_init=he, **options)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        x = LeakyReLU(0.2)(nn.Dense(self.hidden, kernel_init=he, **options)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, name="class_logits", **options)(x).astype(jnp.float32)


def _largest_of_2x2(x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H // 2, W // 2, C); an odd last row or column is left out."""
    b, h, w, c = x.shape
    blocks = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
    # On CPU the gradient of a maximum over axes is faster than that of `nn.max_pool`.
    return jnp.max(blocks, axis=(2, 4))


def sgan(
    image_shape: tuple[int, int, int] = (28, 28, 1),
    *,
    num_classes: int,
    conditional: bool = False,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
    param_dtype: Dtype = jnp.float32,
) -> tuple[MLPGenerator, SGANDiscriminator]:
    """A pair for few labels: a generator of dense layers, a discriminator of convolutions.

    The generator has two hidden layers of 500 with batch norm, the size that Salimans et al. took
    for MNIST, here with ReLU and tanh.

    Args:
      image_shape: (H, W, C).
      num_classes: K.
      conditional: the generator is given a class.
      axis_name: mapped axis over which the generator's batch statistics are averaged.
      dtype, param_dtype: of the computation and of the parameters.

    Returns:
      (generator, discriminator).

    Example:
      >>> generator, discriminator = sgan((28, 28, 1), num_classes=10)
      >>> generator.hidden
      (500, 500)

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 6.1, for the
    generator.
    """
    options = {"dtype": dtype, "param_dtype": param_dtype}
    generator = MLPGenerator(
        (500, 500),
        tuple(image_shape),
        slope=0.0,
        batch_norm=True,
        num_classes=num_classes if conditional else None,
        axis_name=axis_name,
        **options,
    )
    return generator, SGANDiscriminator(num_classes, **options)
