"""The checkpoint at which a metric of the evaluation was best, beside the newest ones.

It goes only when the next one stands: Orbax deletes an older checkpoint once the new one is
complete. Where the next one is of the same step, the older one waits in WORKDIR/best/replaced.
"""

import math
import shutil
from pathlib import Path
from typing import Any

import jax

from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.undamaged import newest_description, set_aside, wait_for_all
from jaxgan.errors import UserError
from jaxgan.state import TrainState

__all__ = ["BestCheckpoint"]

_FIGURE = "best"


class BestCheckpoint:
    """Keeps it in WORKDIR/best, a folder to load from as from the run's own.

    Args:
      workdir: the run's folder.
      name: the metric, as the evaluation names it.
      mode: "min" or "max", which of its values are best.

    Examples:
      >>> with BestCheckpoint("runs/", "fid_lenet_2k", "min") as best:  # doctest: +SKIP
      ...     best.consider({"fid_lenet_2k": 3.5}, state, position, description)
    """

    def __init__(self, workdir: str | Path, name: str, mode: str):
        self._name = name
        self._sign = {"min": 1, "max": -1}[mode]
        folder = Path(workdir) / "best"
        self._replaced = folder / "replaced"
        _take_back(self._replaced, folder / "checkpoints")
        self._manager = checkpoint.open_checkpoints(folder, keep=1)
        self._best = math.inf
        # Of the run before it was cut off; another metric's best says nothing.
        figure = newest_description(self._manager).get(_FIGURE, {})
        if figure.get("name") == name:
            self._best = self._sign * figure["value"]

    def consider(
        self,
        values: dict[str, float],
        state: TrainState,
        position: dict[str, Any],
        description: dict[str, Any],
    ) -> float | None:
        """Saves a state whose metric is better than all before.

        Args:
          values: of the evaluation of this state.
          state, position, description: as for `checkpoint.save`.

        Returns:
          The value if it is the best so far, else None. One that is not a number never is.

        Raises:
          UserError: the evaluation has no such metric.
        """
        if self._name not in values:
            raise UserError(f"keep_best: got {self._name!r}, expected one of {', '.join(values)}")
        value = values[self._name]
        if not self._sign * value < self._best:
            return None
        self._best = self._sign * value
        # A run that goes on from an earlier checkpoint comes by the same steps again.
        replaces = int(state.step) in self._manager.all_steps()
        if replaces:
            set_aside(self._manager, int(state.step), self._replaced.name)
        figure = {_FIGURE: {"name": self._name, "value": value}}
        checkpoint.save(self._manager, state, position, {**description, **figure})
        if replaces:
            self._manager.wait_until_finished()
            if jax.process_index() == 0:
                shutil.rmtree(self._replaced)
        return value

    def __enter__(self) -> "BestCheckpoint":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()


def _take_back(replaced: Path, checkpoints: Path) -> None:
    """Undoes what a run was killed in: a checkpoint that was to be replaced, and was not yet."""
    if jax.process_index() == 0 and replaced.is_dir():
        for folder in replaced.iterdir():
            if not (checkpoints / folder.name).exists():
                shutil.move(folder, checkpoints / folder.name)
        shutil.rmtree(replaced)
    wait_for_all("took back what was to be replaced")
