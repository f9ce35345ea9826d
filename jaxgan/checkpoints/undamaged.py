"""Which checkpoint of a run is used: the newest that is not damaged.

In a run of several processes the first one compares the files with their digests, each reads its
part, and what one of them cannot read, none takes.
"""

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.checkpoint import Damaged
from jaxgan.files import sync, writing
from jaxgan.state import TrainState

__all__ = [
    "newest_description",
    "read_undamaged",
    "restore_newest",
    "set_aside",
    "wait_for_all",
]


def restore_newest(
    manager: ocp.CheckpointManager, state: TrainState, data: grain.DatasetIterator
) -> tuple[int | None, TrainState]:
    """Reads the newest checkpoint that is not damaged, and sets those after it aside.

    They are moved to WORKDIR/damaged, and a line on stderr tells of each.

    Args:
      manager: from `checkpoint.open_checkpoints`, for writing.
      state, data: as for `checkpoint.restore`.

    Returns:
      (its step, the restored state), or (None, `state`) where there are no checkpoints at all.

    Raises:
      UserError: all are damaged, and have been left where they are; the newest undamaged one is of
        another architecture.
    """
    if not manager.all_steps():
        return None, state
    step, restored = read_undamaged(
        manager, lambda step: checkpoint.restore(manager, step, state, data)
    )
    _set_aside_after(manager, step)
    return step, restored


def newest_description(manager: ocp.CheckpointManager) -> dict[str, Any]:
    """Reads the newest description, and sets the checkpoints aside that are damaged.

    Args:
      manager: from `checkpoint.open_checkpoints`, for writing.

    Returns:
      The description, {} where there is no checkpoint or none that is not damaged.
    """
    step = -1
    description: dict[str, Any] = {}
    if manager.all_steps():
        try:
            step, description = read_undamaged(
                manager, lambda step: checkpoint.read_description(manager, step)
            )
        except Damaged as error:
            _tell(f"warning: {error}")
    _set_aside_after(manager, step)
    return description


def read_undamaged(
    manager: ocp.CheckpointManager, read: Callable[[int], Any], step: int | None = None
) -> tuple[int, Any]:
    """Reads the newest checkpoint that is not damaged; of those after it, a line on stderr tells.

    Args:
      manager: from `checkpoint.open_checkpoints`, with one checkpoint at least.
      read: what to read of a step.
      step: read this one and no other.

    Returns:
      (the step, what `read` gave).

    Raises:
      Damaged: the one that was asked for is, or all are.
    """
    steps = sorted(manager.all_steps(), reverse=True)
    problems = {}
    for at in steps if step is None else [step]:
        try:
            result = _read(manager, read, at)
        except Damaged as error:
            problems[at] = error
            continue
        for problem in problems.values():
            _tell(f"warning: {problem}; using that of step {at}")
        return at, result
    if step is None:
        raise Damaged(
            f"workdir: {manager.directory.parent} has no checkpoint that is not damaged, expected "
            f"one at least: {problems[steps[0]]}"
        )
    others = []
    for at in steps:
        with contextlib.suppress(Damaged):
            _read(manager, read, at)
            others.append(at)
    raise Damaged(f"step: {problems[step]}; undamaged are {sorted(others) or 'none'}")


def _read(manager: ocp.CheckpointManager, read: Callable[[int], Any], step: int) -> Any:
    """What `read` gives of a step, or, in all processes alike, `Damaged`."""
    problem = result = None

    def check() -> None:
        if jax.process_index() == 0:
            checkpoint.check_files(manager, step)

    for attempt in (check, lambda: read(step)):
        try:
            result = attempt()
        except Damaged as error:
            problem = error
        if not _all_well(problem is None):
            raise problem or checkpoint.damaged(manager, step, "another process cannot read it")
    return result


def _set_aside_after(manager: ocp.CheckpointManager, step: int) -> None:
    for later in [later for later in manager.all_steps() if later > step]:
        aside = set_aside(manager, later, "damaged")
        _tell(f"the checkpoint of step {later} is set aside as {aside}")


def set_aside(manager: ocp.CheckpointManager, step: int, name: str) -> Path:
    """Moves a checkpoint out of the way, to WORKDIR/NAME/STEP, or STEP.1 where that is taken.

    Returns:
      Where to.

    Raises:
      UserError: the folder cannot be written.
    """
    workdir = Path(manager.directory).parent
    target, number = workdir / name / str(step), 0
    while target.exists():
        number += 1
        target = target.with_name(f"{step}.{number}")
    # No process looks for a free name any more when the first one takes it.
    wait_for_all("found a name for a checkpoint")
    if jax.process_index() == 0:
        with writing(workdir):
            target.parent.mkdir(exist_ok=True)
            shutil.move(str(manager.directory / str(step)), target)  # to another disk, maybe
            sync(target.parent)
    wait_for_all("set a checkpoint aside")
    manager.reload()
    return target


def wait_for_all(name: str) -> None:
    """Waits until every process has come to the point of this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def _all_well(well: bool) -> bool:
    """Whether all is well in every process, for all of them alike."""
    if jax.process_count() == 1:
        return well
    return bool(multihost_utils.process_allgather(np.int32(well)).min())


def _tell(line: str) -> None:
    if jax.process_index() == 0:
        print(line, file=sys.stderr, flush=True)
