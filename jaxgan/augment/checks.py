"""What every augmentation asks of its images."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError


def check_images(images: jax.Array) -> None:
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    if len(shape) != 4 or not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"images: got {dtype} of shape {shape}, expected floats (B, H, W, C)")
