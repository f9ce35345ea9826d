"""Instance noise."""

import jax
import jax.numpy as jnp

from jaxgan.augment.checks import check_images
from jaxgan.devices import make_rows

__all__ = ["instance_noise"]


def instance_noise(
    images: jax.Array, key: jax.Array, std: float | jax.Array, *, axis_name: str | None = None
) -> jax.Array:
    """Blurs two distributions into one another: x + e, e ~ N(0, std^2 I).

    Without it, images of data and generator lie on thin sets that a discriminator parts perfectly.

    Args:
      images: (B, H, W, C) float.
      key: a PRNG key.
      std: scalar, in the images' units; it is usually let fall to 0, as by
        `optax.linear_schedule(0.1, 0.0, 10_000)(context.step)`.
      axis_name: the mapped axis, if any.

    Returns:
      The same shape and dtype.

    Raises:
      UserError: images of another rank or not floating point.

    Examples:
      >>> instance_noise(jnp.zeros((4, 28, 28, 1)), jax.random.key(0), 0.1).shape
      (4, 28, 28, 1)

    Source: Sønderby et al. 2017, "Amortised MAP Inference for Image Super-resolution"; Arjovsky &
    Bottou 2017, "Towards Principled Methods for Training Generative Adversarial Networks".
    """
    check_images(images)
    noise = make_rows(
        lambda shape: jax.random.normal(key, shape, images.dtype), images.shape, axis_name
    )
    return images + jnp.asarray(std, images.dtype) * noise
