"""One mesh for one machine or many: who has which examples, and who has which part of the state.

The mesh has two axes. Over `data` each device has its own examples; over `model` several share the
large layers of one copy of the networks. The state is whole along `data`, or, by `shard_state`, cut
along it as well: then a device has its share of parameters, averages and both optimiser states,
and parameters are put together where a network is applied, which `share_parameters` says.

A train step jitted over arrays placed by these functions runs on every device of every process;
XLA adds what is to be exchanged. The numbers are those of one device, to rounding.

Source: Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter
Models", section 5; Xu et al. 2021, "GSPMD: General and Scalable Parallelization for ML Computation
Graphs".
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.lax import with_sharding_constraint
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgan import cpu
from jaxgan.errors import UserError
from jaxgan.state import Player, TrainState
from jaxgan.step import Objective, ObjectiveLike

__all__ = [
    "check_batch_size",
    "gather_parameters",
    "make_mesh",
    "place",
    "replicate",
    "replicated",
    "shard_batch",
    "shard_state",
    "share_parameters",
]

SMALLEST = 2**10
"""Arrays of fewer elements are whole on every device: gathering costs more than it saves."""
LARGE = 2**16
"""Layers of so many elements are cut over `model`."""


def make_mesh(devices: Sequence[jax.Device] | None = None, *, model: int = 1) -> Mesh:
    """A mesh of the axes `data` and `model`.

    Args:
      devices: which ones; by default all, those of other processes among them.
      model: how many devices share the large layers; the rest of the number is `data`.

    Returns:
      The `Mesh`.

    Raises:
      UserError: `model` does not divide the devices of a process.

    Examples:
      >>> make_mesh().axis_names
      ('data', 'model')
    """
    own = jax.local_device_count() if devices is None else len(devices)
    if model < 1 or own % model:
        raise UserError(
            f"model_devices: got {model}, expected a divisor of {own}, the number of devices"
        )
    array = np.asarray(jax.devices() if devices is None else devices)
    return Mesh(array.reshape(-1, model), ("data", "model"))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what is whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies a pytree of arrays to every device of the mesh, also those of other processes."""
    return place(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def place(tree: Any, shardings: Any) -> Any:
    """Puts a pytree of arrays, the same in every process, where a pytree of shardings says."""

    def put(x, sharding):
        if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(x, sharding)
        # Typed keys cannot go to another process's devices, the numbers behind them can.
        data = jax.device_put(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))

    return jax.tree.map(put, tree, shardings)


def shard_state(state: TrainState, mesh: Mesh, *, over_data: bool = False) -> TrainState:
    """Where each array of a state goes.

    Of the players' parameters, averages and optimiser states, layers of at least `LARGE` elements
    are cut over `model` by their outputs, the last axis; with `over_data` all arrays of at least
    `SMALLEST` elements are cut over `data` by the longest axis that it divides. All else is whole
    on every device.

    Args:
      state: arrays, or their shapes.
      mesh: from `make_mesh`.
      over_data: whether a device has only its share of the state.

    Returns:
      A `TrainState` of `NamedSharding`, for `place` and for `jax.jit`'s `out_shardings`.

    Examples:
      >>> shard_state(state, make_mesh(), over_data=True)  # doctest: +SKIP
    """

    def of_player(player: Player) -> Player:
        shared = {
            name: jax.tree.map(lambda x: _sharding(x, mesh, over_data), getattr(player, name))
            for name in ("params", "opt_state", "ema_params")
        }
        return jax.tree.map(lambda _: replicated(mesh), player).replace(**shared)

    return jax.tree.map(lambda _: replicated(mesh), state).replace(
        generator=of_player(state.generator), discriminator=of_player(state.discriminator)
    )


def share_parameters(objective: ObjectiveLike, mesh: Mesh, *, over_data: bool = False) -> Objective:
    """The objective for a state that is cut as `shard_state` says.

    Parameters that are cut over `data` are put together where a function of the objective begins,
    and their gradients are cut again where it is differentiated, so that between the two each
    device computes with its own examples as if the state were whole.

    Args:
      objective: of whole parameters, an `Objective` or a `Method`.
      mesh, over_data: as for `shard_state`.

    Returns:
      An `Objective` for `make_train_step`.

    Examples:
      >>> step = make_train_step(share_parameters(method, mesh), tx, tx)  # doctest: +SKIP
    """

    def whole(variables):
        params = jax.tree.map(lambda x: _gather(x, mesh, over_data), variables["params"])
        return {**variables, "params": params}

    return Objective(
        lambda gen_vars, *rest: objective.generate(whole(gen_vars), *rest),
        lambda disc_vars, *rest: objective.disc_loss(whole(disc_vars), *rest),
        lambda gen_vars, disc_vars, *rest: objective.gen_loss(
            whole(gen_vars), whole(disc_vars), *rest
        ),
    )


def gather_parameters(state: TrainState, mesh: Mesh) -> TrainState:
    """The state with both players' parameters and averages whole on every device.

    All processes have to call it.

    Args:
      state: placed as `shard_state` says.
      mesh: its mesh.

    Returns:
      The state; what is not mentioned is as it was.
    """
    players = state.generator, state.discriminator
    parts = [(player.params, player.ema_params) for player in players]
    gathered = cpu.in_turn(jax.jit(_itself, out_shardings=replicated(mesh))(parts))
    generator, discriminator = (
        player.replace(params=params, ema_params=average)
        for player, (params, average) in zip(players, gathered, strict=True)
    )
    return state.replace(generator=generator, discriminator=discriminator)


def _itself(tree: Any) -> Any:
    return tree


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


def check_batch_size(batch_size: int, mesh: Mesh, micro_batches: int = 1) -> None:
    """Refuses a batch that the devices do not divide, or not into so many parts.

    Raises:
      UserError: `batch_size` is not a positive multiple of the number of devices along `data`, or,
        divided by `micro_batches`, none.
    """
    devices = mesh.shape["data"]
    if batch_size < 1 or batch_size % devices:
        raise UserError(
            f"batch_size: got {batch_size}, expected a positive multiple of {devices}, the "
            "number of devices"
        )
    if micro_batches < 1 or batch_size % (devices * micro_batches):
        raise UserError(
            f"micro_batches: got {micro_batches}, expected a divisor of {batch_size // devices}, "
            "the examples of a batch that a device has"
        )


def _spec(shape: tuple[int, ...], mesh: Mesh, over_data: bool) -> PartitionSpec:
    """How an array is cut, by its shape alone: so optimiser states are as their parameters."""
    data, model = mesh.shape["data"], mesh.shape["model"]
    size = math.prod(shape)
    names: list[str | tuple[str, ...] | None] = [None] * len(shape)
    if model > 1 and size >= LARGE and len(shape) > 1 and shape[-1] % model == 0:
        names[-1] = "model"
    if over_data and size >= SMALLEST:
        free = [i for i, n in enumerate(shape) if not names[i] and n % data == 0]
        if free:
            names[max(free, key=lambda i: (shape[i], i))] = "data"
        elif names and names[-1] and shape[-1] % (data * model) == 0:
            names[-1] = ("model", "data")
    return PartitionSpec(*names)


def _sharding(x: Any, mesh: Mesh, over_data: bool) -> NamedSharding:
    return NamedSharding(mesh, _spec(x.shape, mesh, over_data))


def _gather(x: jax.Array, mesh: Mesh, over_data: bool) -> jax.Array:
    """Puts an array together along `data`; its cotangent is cut as the array was."""
    gathered, cut = _sharding(x, mesh, False), _sharding(x, mesh, over_data)

    @jax.custom_vjp
    def gather(x):
        return with_sharding_constraint(x, gathered)

    def forward(x):
        return gather(x), None

    def backward(_, cotangent):
        # Without the first the layers below would be cut as the cotangent is, and exchange images.
        return (with_sharding_constraint(with_sharding_constraint(cotangent, gathered), cut),)

    gather.defvjp(forward, backward)
    return gather(x)
