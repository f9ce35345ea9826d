"""Minibatch discrimination: a layer that tells an example how close the others are."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["MinibatchDiscrimination"]

Dtype = Any


class MinibatchDiscrimination(nn.Module):
    """Appends to the features (B, A) of each example its closeness to the others in the batch.

        M_i = f_i T,  o(f_i)_k = sum_j exp(-|| M_ik - M_jk ||_1),  T: (A, kernels, dimension)

    The sum runs over the whole batch, the example itself among it, which gives 1. Examples that
    are much alike have large o: a generator that draws but a few images is found out. Stands
    before the last layer of a discriminator, which sees real and generated images in passes of
    their own. Its logits depend on the whole batch, and so `jaxgan.losses.penalties` refuse them.

    Attributes:
      kernels: features appended.
      dimension: of the rows that are compared.
      axis_name: the mapped axis, whose whole batch counts.
      dtype: of the computation; distances have float32 at least.
      kernel_init: initialiser.

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.2.
    """

    kernels: int = 100
    dimension: int = 5
    axis_name: str | None = None
    dtype: Dtype = jnp.float32
    kernel_init: Callable = nn.initializers.normal(0.05)

    couples_examples = True

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """(B, A) -> (B, A + kernels)."""
        if features.ndim != 2:
            raise UserError(f"features: got shape {features.shape}, expected (B, A)")
        shape = (features.shape[1], self.kernels * self.dimension)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        features = features.astype(self.dtype)
        rows = (features @ kernel.astype(self.dtype)).reshape(-1, self.kernels, self.dimension)
        rows = rows.astype(jnp.promote_types(self.dtype, jnp.float32))
        every = rows
        if self.axis_name is not None and not self.is_initializing():
            every = jax.lax.all_gather(rows, self.axis_name, tiled=True)
        distances = jnp.sum(jnp.abs(rows[:, None] - every[None]), axis=3)
        closeness = jnp.sum(jnp.exp(-distances), axis=1)
        return jnp.concatenate([features, closeness.astype(self.dtype)], axis=1)
