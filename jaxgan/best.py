"""The checkpoint at which a figure of the evaluation was best, beside the newest ones."""

import math
from pathlib import Path
from typing import Any

from jaxgan import checkpoint
from jaxgan.errors import UserError
from jaxgan.state import TrainState

__all__ = ["BestCheckpoint"]

_FIGURE = "best"


class BestCheckpoint:
    """Keeps it in WORKDIR/best, a folder to load from as from the run's own.

    Args:
      workdir: the run's folder.
      name: the figure, as the evaluation names it.
      mode: "min" or "max", which of its values are best.

    Example:
      >>> with BestCheckpoint("runs/", "fid_lenet_2k", "min") as best:  # doctest: +SKIP
      ...     best.consider({"fid_lenet_2k": 3.5}, state, position, description)
    """

    def __init__(self, workdir: str | Path, name: str, mode: str):
        self._name = name
        self._sign = {"min": 1, "max": -1}[mode]
        self._manager = checkpoint.open_checkpoints(Path(workdir) / "best", keep=1)
        self._best = math.inf
        saved = self._manager.latest_step()
        if saved is not None:
            # Of the run before it was cut off; another figure's best says nothing.
            figure = checkpoint.read_description(self._manager, saved).get(_FIGURE, {})
            if figure.get("name") == name:
                self._best = self._sign * figure["value"]

    def consider(
        self,
        figures: dict[str, float],
        state: TrainState,
        position: dict[str, Any],
        description: dict[str, Any],
    ) -> float | None:
        """Saves a state whose figure is better than all before.

        Args:
          figures: of the evaluation of this state.
          state, position, description: as for `checkpoint.save`.

        Returns:
          The figure if it is the best so far, else None. One that is not a number never is.

        Raises:
          UserError: the evaluation has no such figure.
        """
        if self._name not in figures:
            raise UserError(f"keep_best: got {self._name!r}, expected one of {', '.join(figures)}")
        value = figures[self._name]
        if not self._sign * value < self._best:
            return None
        self._best = self._sign * value
        # A run that goes on from an earlier checkpoint comes by the same steps again.
        if int(state.step) in self._manager.all_steps():
            self._manager.delete(int(state.step))
        figure = {_FIGURE: {"name": self._name, "value": value}}
        checkpoint.save(self._manager, state, position, {**description, **figure})
        return value

    def __enter__(self) -> "BestCheckpoint":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()
