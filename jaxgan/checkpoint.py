"""Checkpoints by Orbax: state, data position and a description, written in the background.

Each checkpoint in `WORKDIR/checkpoints/STEP` has three items: `state` (the whole TrainState),
`data` (the position of the Grain iterator, one file a process) and `description` (JSON: config
and networks). A checkpoint appears under its name only when it is complete, so a run that is
killed while writing goes on from the one before.
"""

import json
from pathlib import Path
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp

from jaxgan.errors import UserError
from jaxgan.state import PyTree, TrainState

__all__ = [
    "open_checkpoints",
    "read_description",
    "restore",
    "restore_extra",
    "restore_player",
    "save",
]


def open_checkpoints(workdir: str | Path, *, keep: int | None = None) -> ocp.CheckpointManager:
    """Opens a run's checkpoints.

    Args:
      workdir: the run's folder.
      keep: with a number, for writing: keep the newest so many. None opens for reading.

    Returns:
      Orbax's manager; close it, or use it in a `with`.

    Raises:
      UserError: opened for reading, and there are none.
    """
    folder = Path(workdir).absolute() / "checkpoints"
    if keep is None and not folder.is_dir():
        inside = sorted(folder.parent.glob("*/checkpoints"))
        such = f", such as {inside[-1].parent}" if inside else ""
        raise UserError(
            f"workdir: {workdir} has no checkpoints, expected the folder of a run{such}"
        )
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        create=keep is not None,
        cleanup_tmp_directories=keep is not None,
    )
    # Named beforehand, so that a process that has saved nothing can read the metadata too.
    handlers = {
        "state": ocp.PyTreeCheckpointHandler(),
        "data": grain.checkpoint.CheckpointHandler(),
        "description": ocp.JsonCheckpointHandler(),
    }
    return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)


class _Position:
    """Stands in for the iterator that Grain's handler asks, when that has gone on meanwhile."""

    def __init__(self, position: dict[str, Any]):
        self._position = position

    def get_state(self) -> bytes:
        return json.dumps(self._position).encode()


def save(
    manager: ocp.CheckpointManager,
    state: TrainState,
    position: dict[str, Any],
    description: dict[str, Any],
) -> None:
    """Starts to write a checkpoint; the arrays are copied before this returns.

    Args:
      manager: from `open_checkpoints`.
      state: the state, whose step names the checkpoint.
      position: `get_state()` of the data iterator, taken when its next batch was the next step's.
      description: JSON, as `read_description` gives it back.
    """
    manager.save(
        int(state.step),
        args=ocp.args.Composite(
            state=ocp.args.PyTreeSave(state),
            data=grain.checkpoint.CheckpointSave(_Position(position)),
            description=ocp.args.JsonSave(description),
        ),
        force=True,
    )


def restore(
    manager: ocp.CheckpointManager, step: int, state: TrainState, data: grain.DatasetIterator
) -> TrainState:
    """Reads a checkpoint; it may have been written on other numbers of devices and processes.

    Args:
      manager: from `open_checkpoints`.
      step: which one.
      state: a state of the same structure, whose shardings the result takes.
      data: the iterator, which is set to the saved position.

    Returns:
      The restored state.

    Raises:
      UserError: the checkpoint is of another architecture.
    """
    _check_structure(manager, step, state)
    restored = manager.restore(step, args=ocp.args.Composite(state=_restore_args(state)))
    # Each process wrote the position, which is the same in all: any file will do, so that their
    # number may be another one now. Grain's own handler wants the file of this very process.
    file = sorted((manager.directory / str(step) / "data").glob("process_*.json"))[0]
    data.set_state(json.loads(file.read_text()))
    return restored.state


def read_description(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Reads the description that was saved with a checkpoint."""
    args = ocp.args.Composite(description=ocp.args.JsonRestore())
    return manager.restore(step, args=args).description


def restore_player(
    manager: ocp.CheckpointManager, step: int, player: str, *, ema: bool
) -> tuple[dict[str, PyTree], bool]:
    """Reads one player's variables alone, without its optimiser.

    Args:
      manager: from `open_checkpoints`.
      step: which checkpoint.
      player: "generator" or "discriminator".
      ema: the averaged parameters, where the run kept them.

    Returns:
      {"params": ..., and the other Flax collections} on the default device, and whether the
      parameters are the averaged ones.
    """
    saved = manager.item_metadata(step)["state"].tree[player]
    averaged = ema and saved["ema_params"] is not None
    params = "ema_params" if averaged else "params"
    wanted = {name: saved[name] for name in (params, "model_state")}
    restored = _restore_part(manager, step, {player: wanted})[player]
    return {"params": restored[params], **restored["model_state"]}, averaged


def restore_extra(manager: ocp.CheckpointManager, step: int) -> PyTree:
    """Reads what the method alone needed, on the default device.

    Args:
      manager: from `open_checkpoints`.
      step: which checkpoint.

    Returns:
      The state's `extra`.
    """
    saved = manager.item_metadata(step)["state"].tree["extra"]
    return None if saved is None else _restore_part(manager, step, {"extra": saved})["extra"]


def _restore_part(manager: ocp.CheckpointManager, step: int, saved: PyTree) -> PyTree:
    """Part of a state, given as its metadata."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), saved
    )
    args = _restore_args(wanted, partial_restore=True)
    return manager.restore(step, args=ocp.args.Composite(state=args)).state


def _restore_args(tree: PyTree, **options: Any) -> ocp.args.PyTreeRestore:
    return ocp.args.PyTreeRestore(
        tree, restore_args=ocp.checkpoint_utils.construct_restore_args(tree), **options
    )


def _check_structure(manager: ocp.CheckpointManager, step: int, state: TrainState) -> None:
    def shapes(tree):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {
            jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
            for path, leaf in leaves
        }

    saved = shapes(manager.item_metadata(step)["state"].tree)
    # Typed keys are saved as the numbers behind them; they say nothing of the architecture.
    wanted = shapes(state.replace(key=None))
    saved.pop("key", None)
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise UserError(
                f"checkpoint {manager.directory}/{step} is of another architecture: {name} has "
                f"shape {saved.get(name, 'none')} there, expected {wanted.get(name, 'none')}"
            )
