"""Checkpoints by Orbax: state, data position and a description, written in the background.

Each checkpoint in `WORKDIR/checkpoints/STEP` has three items: `state` (the whole TrainState),
`data` (the position of the Grain iterator, one file a process) and `description` (JSON: config
and networks). A checkpoint appears under its name only when it is complete and on the disk, so a
run that is killed while writing goes on from the one before.

What is promised: a checkpoint in which a file is missing, empty, cut short or differs in any bit
from what was written is never taken for right; `undamaged` uses the one before it. The
description holds digests of all arrays, of the position and of itself, and is committed together
with them; `SHA256SUMS`, of all files, follows within moments. Where a run is killed in between, the
digests in the description decide alone. What is not promised: checkpoints of before there were
digests load as they always did, and no digest helps against somebody who means to deceive.
"""

import concurrent.futures
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp

from jaxgan.checkpoints import digests
from jaxgan.errors import UserError
from jaxgan.files import sync, writing
from jaxgan.state import PyTree, TrainState

__all__ = [
    "Damaged",
    "check_files",
    "damaged",
    "open_checkpoints",
    "read_description",
    "restore",
    "restore_extra",
    "restore_player",
    "save",
    "saved_config",
]

_DIGESTS = "digests"


class Damaged(UserError):
    """A checkpoint does not hold what was saved."""


def open_checkpoints(workdir: str | Path, *, keep: int | None = None) -> ocp.CheckpointManager:
    """Opens a run's checkpoints.

    Args:
      workdir: the run's folder.
      keep: with a number, for writing: keep the newest so many. None opens for reading.

    Returns:
      Orbax's manager; close it, or use it in a `with`.

    Raises:
      UserError: opened for reading, and there are none; the folder cannot be written. Of the
        manager's own methods, too: what went wrong in the background is raised by the next one.
    """
    folder = Path(workdir).absolute() / "checkpoints"
    if keep is None and not folder.is_dir():
        inside = sorted(folder.parent.glob("*/checkpoints"))
        such = f", such as {inside[-1].parent}" if inside else ""
        raise UserError(
            f"workdir: {workdir} has no checkpoints, expected the folder of a run{such}"
        )
    with contextlib.nullcontext() if keep is None else writing(workdir):
        return _Manager(folder, keep)


class _Manager(ocp.CheckpointManager):
    """Orbax's, which writes file digests as well, and tells of a full disk in one line."""

    def __init__(self, folder: Path, keep: int | None):
        # Its thread starts with the first task only.
        self._sealer = concurrent.futures.ThreadPoolExecutor(1, "seal")
        self._sealing: concurrent.futures.Future | None = None
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=keep is not None,
            cleanup_tmp_directories=keep is not None,
            async_options=ocp.AsyncOptions(
                post_finalization_callback=self._sync_files,
                # Else a folder that cannot be made is waited for, for ten minutes.
                create_directories_asynchronously=False,
            ),
        )
        # Named beforehand, so that a process that has saved nothing can read the metadata too.
        handlers = {
            "state": ocp.PyTreeCheckpointHandler(),
            "data": grain.checkpoint.CheckpointHandler(),
            "description": ocp.JsonCheckpointHandler(),
        }
        super().__init__(folder, options=options, item_handlers=handlers)

    def seal(self, step: int) -> None:
        """Writes the digests of a checkpoint's files, once it is complete."""
        if jax.process_index() == 0:
            self._sealing = self._sealer.submit(self._seal, step)

    def _seal(self, step: int) -> None:
        try:
            super().wait_until_finished()
        except Exception:  # whoever waits for the checkpoint is told
            return
        folder = Path(self.directory) / str(step)
        # What Orbax writes after `_sync_files`: a mark that all is written, and the name.
        for path in (*folder.glob("*.txt"), folder.parent):
            sync(path)
        digests.write_file_digests(folder)

    def _sync_files(self) -> None:
        """Brings a checkpoint to the disk before it gets its name and older ones are deleted.

        TensorStore does so with its own files; Orbax does not with the others, nor with folders.
        """
        for folder in Path(self.directory).glob(f"*{ocp.path.atomicity_types.TMP_DIR_SUFFIX}*"):
            for path in (*folder.rglob("*"), folder):
                sync(path)

    def wait_until_finished(self) -> None:
        with writing(Path(self.directory).parent):
            super().wait_until_finished()
            sealing, self._sealing = self._sealing, None
            if sealing:
                sealing.result()

    def close(self) -> None:
        try:
            with writing(Path(self.directory).parent):
                super().close()
        finally:
            self._sealer.shutdown()


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
    sums: dict[str, jax.Array] | None = None,
) -> None:
    """Starts to write a checkpoint; the arrays are copied before this returns.

    Args:
      manager: from `open_checkpoints`.
      state: the state, whose step names the checkpoint.
      position: `get_state()` of the data iterator, taken when its next batch was the next step's.
      description: JSON, as `read_description` gives it back.
      sums: `digests.digest_arrays(state)`, where that was started before something else was, behind
        which it would have to wait.

    Raises:
      UserError: this checkpoint or the one before cannot be written.
    """
    step = int(state.step)
    sums = digests.digest_arrays(state) if sums is None else sums
    marks = {
        "arrays": digests.format_digests(state, sums),
        "position": digests.digest_json(position),
    }
    content = {**description, _DIGESTS: marks}
    marks["description"] = digests.digest_json(content)
    with writing(Path(manager.directory).parent):
        manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(state),
                data=grain.checkpoint.CheckpointSave(_Position(position)),
                description=ocp.args.JsonSave(content),
            ),
            force=True,
        )
    manager.seal(step)


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
      Damaged: the checkpoint is not what was saved; `data` is where it was.
      UserError: the checkpoint is of another architecture.
    """
    args = ocp.args.Composite(state=_restore_args(state))
    marks = _read_content(manager, step)[1]
    with _reading(manager, step):
        _check_structure(manager, step, state, marks)
        restored = manager.restore(step, args=args).state
        # Each process wrote the position, which is the same in all: any file will do, so that their
        # number may be another one now. Grain's own handler wants the file of this very process.
        file = sorted((manager.directory / str(step) / "data").glob("process_*.json"))[0]
        position = json.loads(file.read_text())
    _check_arrays(manager, step, restored, marks)
    if marks and digests.digest_json(position) != marks["position"]:
        raise damaged(manager, step, "the position of the data is not as it was saved")
    data.set_state(position)
    return restored


def check_files(manager: ocp.CheckpointManager, step: int) -> None:
    """Compares a checkpoint's files with their digests, if it has any.

    Raises:
      Damaged: a file is not what was written.
    """
    with _reading(manager, step):
        problem = digests.check_files(Path(manager.directory) / str(step))
    if problem:
        raise damaged(manager, step, problem)


def read_description(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """Reads the description that was saved with a checkpoint.

    Raises:
      Damaged: it is not what was saved.
    """
    return _read_content(manager, step)[0]


def saved_config(workdir: Path) -> dict[str, Any] | None:
    """The config that the newest checkpoint with an undamaged description was saved with, if any.

    It asks nothing of other processes, unlike all that goes through Orbax.
    """
    steps = [path for path in (workdir / "checkpoints").glob("*") if path.name.isdecimal()]
    for folder in sorted(steps, key=lambda path: int(path.name), reverse=True):
        with contextlib.suppress(Exception):  # whatever else a damaged one leads to
            content = json.loads((folder / "description" / "metadata").read_bytes())
            return _split_content(content)[0].get("config")
    return None


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

    Raises:
      Damaged: they are not what was saved.
    """
    with _reading(manager, step):
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

    Raises:
      Damaged: it is not what was saved.
    """
    with _reading(manager, step):
        saved = manager.item_metadata(step)["state"].tree["extra"]
    return None if saved is None else _restore_part(manager, step, {"extra": saved})["extra"]


def _restore_part(manager: ocp.CheckpointManager, step: int, saved: PyTree) -> PyTree:
    """Part of a state, given as its metadata."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), saved
    )
    args = _restore_args(wanted, partial_restore=True)
    marks = _read_content(manager, step)[1]
    with _reading(manager, step):
        restored = manager.restore(step, args=ocp.args.Composite(state=args)).state
    _check_arrays(manager, step, restored, marks)
    return restored


def _restore_args(tree: PyTree, **options: Any) -> ocp.args.PyTreeRestore:
    return ocp.args.PyTreeRestore(
        tree, restore_args=ocp.checkpoint_utils.construct_restore_args(tree), **options
    )


def _read_content(
    manager: ocp.CheckpointManager, step: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The description and the digests that stand in it; None for one of before there were any."""
    args = ocp.args.Composite(description=ocp.args.JsonRestore())
    with _reading(manager, step):
        return _split_content(manager.restore(step, args=args).description)


def _split_content(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    description = dict(content)
    marks = description.pop(_DIGESTS, None)
    if marks is not None:
        others = {name: marks[name] for name in marks if name != "description"}
        if digests.digest_json({**description, _DIGESTS: others}) != marks.get("description"):
            raise ValueError("the description is not as it was saved")
    return description, marks


def _check_arrays(
    manager: ocp.CheckpointManager, step: int, tree: PyTree, marks: dict[str, Any] | None
) -> None:
    path = digests.find_difference(tree, marks["arrays"]) if marks else None
    if path is not None:
        raise damaged(manager, step, f"{path} is not as it was saved")


@contextlib.contextmanager
def _reading(manager: ocp.CheckpointManager, step: int) -> Iterator[None]:
    """Takes what goes wrong in reading for damage, unless the files are known to be right."""
    try:
        yield
    except (UserError, MemoryError, PermissionError, jax.errors.JaxRuntimeError):
        raise
    except Exception as error:
        folder = Path(manager.directory) / str(step)
        if digests.has_file_digests(folder) and digests.check_files(folder) is None:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise damaged(manager, step, f"it cannot be read: {reason[:200]}") from error


def damaged(manager: ocp.CheckpointManager, step: int, what: str) -> Damaged:
    """An error that says of a checkpoint what is wrong."""
    return Damaged(
        f"the checkpoint of step {step} in {manager.directory.parent} is damaged ({what})"
    )


def _check_structure(
    manager: ocp.CheckpointManager, step: int, state: TrainState, marks: dict[str, Any] | None
) -> None:
    def shapes(tree):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {
            jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
            for path, leaf in leaves
        }

    saved = shapes(manager.item_metadata(step)["state"].tree)
    if marks and saved.keys() != marks["arrays"].keys():
        raise damaged(manager, step, "it does not list the arrays that were saved")
    # Typed keys are saved as the numbers behind them, whose shape is no part of the architecture.
    is_key = jax.tree.map(
        lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key), state
    )
    wanted = {
        name: saved.get(name, shape) if of_key else shape
        for (name, shape), of_key in zip(
            shapes(state).items(), jax.tree.leaves(is_key), strict=True
        )
    }
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise UserError(
                f"checkpoint {manager.directory}/{step} is of another architecture: {name} has "
                f"shape {saved.get(name, 'none')} there, expected {wanted.get(name, 'none')}"
            )
