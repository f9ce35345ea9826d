"""What a run tells while it goes on: on its line, in its records and on its page.

Metrics are those of steps (K,), or of steps and seeds (K, S), where several are trained at once.
Steps that `skip_nonfinite` left out are none of the means. What is counted of them, and of
rollbacks, is saved with each checkpoint, so that a resumed run goes on counting.
"""

import collections
import math
from typing import Any

import jax
import numpy as np

from jaxgan.errors import UserError
from jaxgan.nonfinite import MOST_SKIPPED, SKIPPED
from jaxgan.runs.diagnosis import WINDOW, diagnose
from jaxgan.runs.progress import Progress
from jaxgan.runs.recorder import Recorder
from jaxgan.runs.spread import by_seed, over_seeds
from jaxgan.step import Metrics

__all__ = ["Journal", "NotFinite"]

Arrays = dict[str, np.ndarray]


class NotFinite(UserError):
    """Metrics or a state that are not finite, or too many steps that were left out for that.

    Attributes:
      what: which, and at which step.
      position: of the data after them.
    """

    def __init__(self, what: str, known: str, position: dict[str, Any]):
        super().__init__(f"{what}; {known}")
        self.what = what
        self.position = position


class Journal:
    """Metrics, warnings and pictures of a run, and how often its numbers were not finite.

    Args:
      recorder: what keeps them; None where another process does.
      progress: the line.
      num_steps: where the run ends.

    Attributes:
      counts: of steps left out and of rollbacks.
      progress: as given.
    """

    def __init__(self, recorder: Recorder | None, progress: Progress, num_steps: int):
        self.counts = dict.fromkeys(
            ("skipped_steps", "skipped_in_a_row", "rollbacks", "rollbacks_in_a_row"), 0
        )
        self._recorder = recorder
        self.progress = progress
        self._num_steps = num_steps
        self._known = "from the start"
        self._rate: float | None = None
        # Of each training, by its place among those of several seeds.
        self._recent: dict[int, collections.deque[dict[str, float]]] = {}
        self._wrong: dict[int, set[str]] = {}

    def begin(self, step: int) -> None:
        """Shows that the run has begun."""
        self.page(step, "running")
        if self._recorder:
            self._recorder.draw_real()

    def log(self, step: int, calls: list[Metrics], position: dict[str, Any]) -> None:
        """Logs the mean of each metric over the steps up to `step`, those since the last time.

        Args:
          step: the last of them.
          calls: what the calls of the train step gave, of one or several steps each.
          position: of the data after them.

        Raises:
          NotFinite: a metric of a step that was taken, or too many in a row were left out.
        """
        calls = jax.device_get(calls)
        values = {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}
        left_out = values.pop(SKIPPED, None)
        finite = np.all([np.isfinite(of) for of in values.values()], axis=0)
        seeds = finite.shape[1] if finite.ndim == 2 else 0
        if seeds:
            finite = finite.all(axis=1)
        taken = np.ones_like(finite) if left_out is None else left_out == 0
        first = step - len(taken) + 1
        if not np.all(finite | ~taken):
            bad = int(np.argmin(finite | ~taken))
            self.refuse(first + bad, ", ".join(_not_finite(values, bad)), position)
        if left_out is not None:
            self._count_skipped(first, values, taken, position)
        mean: dict[str, Any] = {}
        if taken.any():
            count = int(np.sum(taken))
            if seeds:
                each = {
                    name: [math.fsum(own) / count for own in of[taken].T]
                    for name, of in values.items()
                }
                mean = over_seeds(each)
            else:
                mean = {name: math.fsum(of[taken]) / count for name, of in values.items()}
            told = ", ".join(f"{name} {mean[name]:.4g}" for name in values)
            self._known = f"last finite metrics, at step {step}: {told}"
        self._rate = self.progress.rate(step)
        self.progress.show(step, self._rate, mean)
        if self._recorder:
            skipped = {} if left_out is None else {SKIPPED: float(np.sum(left_out))}
            scalars = {**skipped, **mean, "images_per_second": self._rate}
            self._recorder.scalars(step, {f"train/{name}": scalars[name] for name in scalars})
        if mean and seeds:
            for index in range(seeds):
                where = f", training {index + 1} of {seeds}"
                self._diagnose(step, by_seed(mean, index), index, where)
        elif mean:
            self._diagnose(step, mean)

    def keep(self, step: int, values: dict[str, Any]) -> None:
        """Records the numbers that a hook gives, and draws its images."""
        if not self._recorder:
            return
        images = {name: value for name, value in values.items() if np.ndim(value) >= 4}
        numbers = {f"eval/{name}": values[name] for name in values if name not in images}
        if numbers:
            self._recorder.scalars(step, numbers)
        if images:
            self._recorder.images(step, images)
            self.page(step, "running")

    def wait(self) -> None:
        """Waits until all of it is on the disk."""
        if self._recorder:
            self._recorder.wait()

    def go_back(self, found: NotFinite, step: int) -> None:
        """Drops what was told beyond a step, to which the run goes back."""
        self.counts["rollbacks"] += 1
        self.counts["rollbacks_in_a_row"] += 1
        if self._recorder:
            self._recorder.go_back(step)
        self.progress.go_back(step)
        self._recent.clear()
        self.progress.say(
            f"warning: {found.what}; goes back to the checkpoint of step {step} and on with other "
            f"examples, rollback {self.counts['rollbacks']}"
        )

    def refuse(self, step: int, what: str, position: dict[str, Any]) -> None:
        """Raises `NotFinite`, of a step after which the data stands at `position`."""
        raise NotFinite(f"step {step}: {what}", self._known, position)

    def page(self, step: int, status: str) -> None:
        """Rewrites the page and the summary."""
        if not self._recorder:
            return
        shown = {name: self.counts[name] for name in ("skipped_steps", "rollbacks")}
        summary: dict[str, Any] = {name: count for name, count in shown.items() if count}
        summary |= {"step": step, "status": status, "seconds": round(self.progress.seconds, 1)}
        summary |= {"images_per_second": round(self._rate, 1)} if self._rate else {}
        self._recorder.page(num_steps=self._num_steps, **summary)

    def finish(self) -> None:
        """Draws the last pictures and marks the run as finished, which comes last of all."""
        if self._recorder:
            self._recorder.final_pictures()
            self._recorder.wait()
        self.page(self._num_steps, "finished")

    def _count_skipped(self, first: int, values: Arrays, taken: np.ndarray, position) -> None:
        """Counts the steps that were left out and tells of them; too many in a row are an error."""
        for index in range(len(taken)):
            in_a_row = 0 if taken[index] else self.counts["skipped_in_a_row"] + 1
            self.counts["skipped_in_a_row"] = in_a_row
            if in_a_row > MOST_SKIPPED:
                what = [f"{in_a_row} steps in a row are left out", *_not_finite(values, index)]
                self.refuse(first + index, ", ".join(what), position)
        if not taken.all():
            index, count = int(np.argmin(taken)), int(np.sum(~taken))
            names = [name for name, of in values.items() if not np.isfinite(of[index])]
            self.counts["skipped_steps"] += count
            self.progress.say(
                f"warning: {'all' if count == len(taken) else count} of the {len(taken)} steps to "
                f"step {first + len(taken) - 1} are left out, from step {first + index} on, where "
                f"{names[0] if names else 'the new state'} is not finite; "
                f"{self.counts['skipped_steps']} in all"
            )

    def _diagnose(self, step: int, mean: dict[str, float], index: int = 0, where: str = "") -> None:
        """Warns of what goes wrong in a training, once as long as it does."""
        recent = self._recent.setdefault(index, collections.deque(maxlen=WINDOW))
        recent.append(mean)
        findings = diagnose(list(recent))
        for finding in findings:
            if finding.name not in self._wrong.get(index, ()):
                self.progress.say(f"warning: step {step}{where}: {finding.text} {finding.advice}")
        self._wrong[index] = {finding.name for finding in findings}


def _not_finite(values: Arrays, index: int) -> list[str]:
    found = []
    for name, of in values.items():
        bad = np.flatnonzero(~np.isfinite(of[index]))
        if bad.size and of.ndim == 2:
            which = f"training {bad[0] + 1} of {of.shape[1]}"
            found.append(f"{name} of {which} is {of[index, bad[0]]}")
        elif bad.size:
            found.append(f"{name} is {of[index]}")
    return found
