"""A generator of points, for toys whose distribution is known."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["PointGenerator"]

Dtype = Any


class PointGenerator(nn.Module):
    """Latents (B, m latent_dim) -> float32 points (B, m, dim), by dense layers, without bounds.

        z = (z_1 .. z_m) -> (G(z_1) .. G(z_m))

    With m above 1 these are the packs of PacGAN: a discriminator that flattens its input, such as
    `MLPDiscriminator`, gives one logit to m independent points and so sees their lack of variety.
    The parameters are the same for every m.

    Attributes:
      hidden: widths of the hidden layers.
      latent_dim: size of one point's latent.
      dim: coordinates of a point.
      slope: of the LeakyReLU; 0 is ReLU.
      dtype: of the computation; parameters are float32.

    Examples:
      >>> generator = PointGenerator(hidden=(64, 64), latent_dim=2, dim=2)
      >>> points, _ = generator.init_with_output(jax.random.key(0), jnp.zeros((5, 4 * 2)))
      >>> points.shape  # five packs of four points in the plane
      (5, 4, 2)

    Source: Lin et al. 2018, "PacGAN: The power of two samples in generative adversarial networks".
    """

    hidden: tuple[int, ...]
    latent_dim: int
    dim: int = 2
    slope: float = 0.2
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, latents: jax.Array, train: bool = False) -> jax.Array:
        """Latents (B, m latent_dim) -> points (B, m, dim)."""
        if latents.ndim != 2 or latents.shape[1] % self.latent_dim:
            raise UserError(
                f"latents: got shape {latents.shape}, expected (B, a multiple of {self.latent_dim})"
            )
        x = latents.reshape(len(latents), -1, self.latent_dim)
        for width in self.hidden:
            x = nn.leaky_relu(nn.Dense(width, dtype=self.dtype)(x), self.slope)
        return nn.Dense(self.dim, dtype=self.dtype)(x).astype(jnp.float32)
