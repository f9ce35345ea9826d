"""One mesh for one machine or many: the batch is split over `data`, the state is on every device.

A train step jitted over arrays placed by these functions runs on every device of every process;
XLA adds the sums over devices.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan.errors import UserError

__all__ = ["check_batch_size", "gather", "make_mesh", "replicate", "replicated", "shard_batch"]


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis, `data`.

    Args:
      devices: which ones; by default all, those of other processes among them.

    Returns:
      The `Mesh`.

    Examples:
      >>> make_mesh().axis_names
      ('data',)
    """
    return Mesh(np.asarray(jax.devices() if devices is None else devices), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of the state: a whole copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies a pytree of arrays to every device of the mesh, also those of other processes."""

    def put(x):
        if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(x, replicated(mesh))
        # Typed keys cannot go to another process's devices, the numbers behind them can.
        data = jax.device_put(jax.random.key_data(x), replicated(mesh))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))

    return jax.tree.map(put, tree)


def gather(tree: Any) -> Any:
    """Brings what is split over devices of this process onto one of them; all else stays.

    On CPU a program that sums over devices may wait for ever where others are on their way, since
    the threads are as few as the cores. So no program but those of the steps, which have no such
    sums, is given arrays that are split.

    Args:
      tree: pytree of arrays.

    Returns:
      The same, itself where nothing is split.

    Examples:
      >>> gather({"a": jax.numpy.ones(3)})["a"].shape
      (3,)
    """
    leaves = jax.tree.leaves(tree)
    if all(leaf.is_fully_replicated or not leaf.is_fully_addressable for leaf in leaves):
        return tree
    return jax.device_put(tree, min(leaves[0].devices(), key=lambda device: device.id))


def shard_batch(batch: Any, mesh: Mesh, *, stacked: bool = False) -> Any:
    """Puts a batch on the devices, each taking its share of the examples.

    Args:
      batch: pytree of NumPy arrays (B, ...), B being this process's part of the batch.
      mesh: from `make_mesh`.
      stacked: the arrays are (K, B, ...), the batches of K steps.

    Returns:
      The same pytree of global arrays, B times the number of processes. The transfer is
      asynchronous.
    """
    sharding = NamedSharding(
        mesh, PartitionSpec(None, "data") if stacked else PartitionSpec("data")
    )
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Refuses a batch that the devices do not divide.

    Raises:
      UserError: `batch_size` is not a positive multiple of the number of devices.
    """
    if batch_size < 1 or batch_size % mesh.size:
        raise UserError(
            f"batch_size: got {batch_size}, expected a positive multiple of {mesh.size}, the "
            "number of devices"
        )
