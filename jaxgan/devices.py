"""The whole batch and this device's rows of it, inside `pmap` or `shard_map`.

What couples the examples of a batch, or draws a number for each, has to see the whole batch for
the result to be that of one device. Everywhere here an `axis_name` of None means that this device
has the whole batch, and nothing is done.
"""

from collections.abc import Callable

import jax

__all__ = ["make_rows", "own_rows", "whole_batch"]


def make_rows(
    make: Callable[[tuple[int, ...]], jax.Array], shape: tuple[int, ...], axis_name: str | None
) -> jax.Array:
    """Makes an array for the whole batch, on every device alike, and takes this device's rows.

    So random numbers do not depend on how many devices there are.

    Args:
      make: shape -> array, such as a draw with a key that is the same on every device.
      shape: (B, ...), of this device's rows.
      axis_name: the mapped axis.

    Returns:
      (B, ...), some rows of `make((devices * B, ...))`.

    Examples:
      >>> key = jax.random.key(0)
      >>> rows = jax.vmap(
      ...     lambda _: make_rows(lambda shape: jax.random.normal(key, shape), (2,), "data"),
      ...     axis_name="data",
      ... )(jax.numpy.arange(3))
      >>> bool((rows.ravel() == jax.random.normal(key, (6,))).all())
      True
    """
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    return own_rows(make((devices * shape[0], *shape[1:])), axis_name)


def own_rows(batch: jax.Array, axis_name: str | None) -> jax.Array:
    """This device's rows (B, ...) of a whole batch (devices * B, ...)."""
    if axis_name is None:
        return batch
    size = len(batch) // jax.lax.axis_size(axis_name)
    return jax.lax.dynamic_slice_in_dim(batch, jax.lax.axis_index(axis_name) * size, size)


def whole_batch(rows: jax.Array, axis_name: str | None) -> jax.Array:
    """The rows (B, ...) of all devices as one batch (devices * B, ...), on every device."""
    if axis_name is None:
        return rows
    # "invarying" tells `shard_map` that it is the same everywhere, as what a state carries must be.
    return jax.lax.all_gather(rows, axis_name, tiled=True, to="invarying")
