"""The labels that conditional networks take."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import UserError

__all__ = ["check_labels"]


def check_labels(labels: jax.Array | None, num_classes: int | None, batch: int) -> None:
    """Refuses labels that a network of so many classes, or of none, cannot take.

    Args:
      labels: what it was called with.
      num_classes: of the network; None for an unconditional one.
      batch: number of examples.

    Raises:
      UserError: labels missing, of another shape or no integers; or given where none belong.

    Examples:
      >>> check_labels(jnp.array([3, 1]), 10, 2)
    """
    if num_classes is None:
        if labels is not None:
            raise UserError("labels: got some, expected none for a network without num_classes")
        return
    expected = f"expected integers ({batch},), each below {num_classes}"
    if labels is None:
        raise UserError(f"labels: got None, {expected}")
    shape, dtype = np.shape(labels), jnp.result_type(labels)
    if shape != (batch,) or not jnp.issubdtype(dtype, jnp.integer):
        raise UserError(f"labels: got {dtype} of shape {shape}, {expected}")
