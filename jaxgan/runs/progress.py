"""The line that tells how a run goes."""

import sys
import time

from jaxgan.runs.charts import PROGRESS

__all__ = ["Progress"]


class Progress:
    """Prints step, images a second, losses and time left; one live line on a terminal.

    Args:
      first_step: where this process starts to count.
      num_steps: where the run ends.
      images_per_step: examples that one step sees, over all devices.
      quiet: print nothing (all processes but the first).
    """

    def __init__(self, first_step: int, num_steps: int, images_per_step: int, quiet: bool):
        self._step = first_step
        self._num_steps = num_steps
        self._images_per_step = images_per_step
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._start = self._since = time.perf_counter()
        self._paused = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since this process started to train."""
        return time.perf_counter() - self._start

    def restart(self) -> None:
        """Leaves out of the rate what has passed so far."""
        self._since, self._paused = time.perf_counter(), 0.0

    def go_back(self, step: int) -> None:
        """Counts on from an earlier step."""
        self._step = step
        self.restart()

    def pause(self, seconds: float) -> None:
        """Leaves out of the rate what evaluation and the like took."""
        self._paused += seconds

    def rate(self, step: int) -> float:
        """Images a second since the last call."""
        now = time.perf_counter()
        seconds = max(now - self._since - self._paused, 1e-9)
        images = (step - self._step) * self._images_per_step
        self._step, self._since, self._paused = step, now, 0.0
        return images / seconds

    def show(self, step: int, rate: float, metrics: dict[str, float]) -> None:
        """Prints the line."""
        left = (self._num_steps - step) * self._images_per_step / max(rate, 1e-9)
        width = len(str(self._num_steps))
        parts = [
            f"step {step:{width}d}/{self._num_steps}",
            f"{rate:7.0f} images/s",
            *(f"{label} {metrics[key]:.3f}" for key, label in PROGRESS.items() if key in metrics),
            f"{int(left) // 60:d}:{int(left) % 60:02d} left",
        ]
        self.say("  ".join(parts), live=True)

    def say(self, line: str, *, live: bool = False) -> None:
        """Prints a line; a live one is written over by the next."""
        if self._quiet:
            return
        if self._live:
            line = f"\r\033[K{line}" + ("" if live else "\n")
        else:
            line += "\n"
        sys.stderr.write(line)
        sys.stderr.flush()
