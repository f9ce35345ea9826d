"""Several images judged at once."""

import jax

from jaxgan.augment.checks import check_images
from jaxgan.errors import UserError

__all__ = ["pack"]


def pack(images: jax.Array, count: int) -> jax.Array:
    """Lays images over one another as channels, so that the discriminator sees lack of variety.

        out[i, h, w, j C + c] = images[i count + j, h, w, c]

    Args:
      images: (B, H, W, C).
      count: m, how many the discriminator judges at once.

    Returns:
      (B / m, H, W, m C), each with one logit.

    Raises:
      UserError: images of another rank or not floating point, or B not a multiple of m.

    Examples:
      >>> import jax.numpy as jnp
      >>> pack(jnp.zeros((6, 28, 28, 1)), 2).shape
      (3, 28, 28, 2)

    Source: Lin et al. 2018, "PacGAN: The power of two samples in generative adversarial networks".
    """
    check_images(images)
    batch, height, width, channels = images.shape
    if count < 1 or batch % count:
        raise UserError(f"count: got {count} for a batch of {batch}, expected a divisor of it")
    groups = images.reshape(batch // count, count, height, width, channels)
    return groups.transpose(0, 2, 3, 1, 4).reshape(-1, height, width, count * channels)
