"""Multi-layer perceptron GANs: three pairs of tutorials.

    name         latent  generator                               discriminator
    plain        64      256-256, ReLU, tanh                     256-256
    dropout      100     256-512-1024, LeakyReLU, tanh           1024-512-256, dropout 0.3
    batch_norm   100     196-289-361-400-512-625-784, batch      441-256-32, dropout 0.2
                         norm, LeakyReLU, dropout 0.5 (three)
                         and 0.4 (four), sigmoid

Every LeakyReLU has slope 0.2. Each hidden block is dense, batch norm, activation, dropout.

`plain` is that of github.com/yunjey/pytorch-tutorial (tutorials/03-advanced), `dropout` that of
github.com/lyeoni/pytorch-mnist-GAN, each with all its parameters, but initialised as Flax does. In
`batch_norm` the seven dense layers before batch norm have no biases, 3,167 parameters that batch
norm would subtract again: its generator has 1,961,547 parameters in place of 1,964,714.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import BatchNorm, LeakyReLU, to_logits

__all__ = ["MLPDiscriminator", "MLPGenerator", "mlp"]

Dtype = Any


class MLPGenerator(nn.Module):
    """Latents (B, D) -> float32 images (B, H, W, C), by dense layers.

    Attributes:
      hidden: widths of the hidden layers.
      image_shape: (H, W, C).
      slope: of the LeakyReLU; 0 is ReLU.
      dropout: rate of each hidden layer, or () for none.
      batch_norm: normalise each hidden layer.
      sigmoid: images in [0, 1] in place of tanh's [-1, 1].
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    hidden: tuple[int, ...]
    image_shape: tuple[int, int, int]
    slope: float = 0.2
    dropout: tuple[float, ...] = ()
    batch_norm: bool = False
    sigmoid: bool = False
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @property
    def value_range(self) -> tuple[float, float]:
        """The range of the pixel values."""
        return (0.0, 1.0) if self.sigmoid else (-1.0, 1.0)

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool = False) -> jax.Array:
        """Latents (B, D) -> images (B, H, W, C)."""
        if self.dropout and len(self.dropout) != len(self.hidden):
            raise UserError(
                f"dropout: got {len(self.dropout)} rates, expected one for each of the "
                f"{len(self.hidden)} hidden layers"
            )
        x = latents
        for i, width in enumerate(self.hidden):
            # A bias before batch norm would be subtracted again.
            x = nn.Dense(width, use_bias=not self.batch_norm, dtype=self.dtype)(x)
            if self.batch_norm:
                x = BatchNorm(train, self.axis_name, self.dtype)(x)
            x = nn.leaky_relu(x, self.slope)
            if self.dropout:
                x = nn.Dropout(self.dropout[i], deterministic=not train)(x)
        x = nn.Dense(math.prod(self.image_shape), dtype=self.dtype)(x).astype(jnp.float32)
        x = nn.sigmoid(x) if self.sigmoid else jnp.tanh(x)
        return x.reshape(-1, *self.image_shape)


class MLPDiscriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B,), by dense layers with LeakyReLU 0.2.

    Attributes:
      hidden: widths of the hidden layers.
      dropout: rate after each hidden layer; 0 for none.
      dtype: of the computation; parameters are float32.
    """

    hidden: tuple[int, ...]
    dropout: float = 0.0
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Images (B, H, W, C) -> float32 logits (B,)."""
        x = images.reshape(images.shape[0], -1)
        for width in self.hidden:
            x = LeakyReLU(0.2)(nn.Dense(width, dtype=self.dtype)(x))
            if self.dropout:
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return to_logits(x, kernel_init=nn.initializers.lecun_normal(), dtype=self.dtype)


def mlp(
    variant: str = "plain",
    image_shape: tuple[int, int, int] = (28, 28, 1),
    *,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[MLPGenerator, MLPDiscriminator]:
    """One of three pairs of tutorials; the table at the top of this file has their widths.

    Args:
      variant: "plain" (latent 64, Adam 2e-4, batch 100), "dropout" (latent 100, Adam 2e-4, batch
        100) or "batch_norm" (latent 100, Adam 1e-3, batch 32, images in [0, 1]).
      image_shape: (H, W, C); the published ones are for (28, 28, 1).
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: an unknown variant.

    Examples:
      >>> generator, discriminator = mlp("plain")
      >>> generator.hidden
      (256, 256)
    """
    gen: dict[str, Any] = {"axis_name": axis_name, "dtype": dtype}
    disc: dict[str, Any] = {"dtype": dtype}
    if variant == "plain":
        gen |= {"hidden": (256, 256), "slope": 0.0}
        disc |= {"hidden": (256, 256)}
    elif variant == "dropout":
        gen |= {"hidden": (256, 512, 1024)}
        disc |= {"hidden": (1024, 512, 256), "dropout": 0.3}
    elif variant == "batch_norm":
        gen |= {
            "hidden": (196, 289, 361, 400, 512, 625, 784),
            "dropout": (0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4),
            "batch_norm": True,
            "sigmoid": True,
        }
        disc |= {"hidden": (441, 256, 32), "dropout": 0.2}
    else:
        raise UserError(f"variant: got {variant!r}, expected 'plain', 'dropout' or 'batch_norm'")
    height, width, channels = image_shape
    return MLPGenerator(image_shape=(height, width, channels), **gen), MLPDiscriminator(**disc)
