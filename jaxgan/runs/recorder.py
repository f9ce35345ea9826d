"""What a run leaves in its folder: curves, pictures, a page. All of it off the training thread.

config.json               what the run was started with
parameters.txt            every parameter of both networks
metrics.jsonl             one line a logging point, written at once
tensorboard/              the same scalars, the grids and the hyper-parameters
samples/                  real.png, samples_STEP.png, interpolation_STEP.png, ...
summary.json, index.html  rewritten as the run goes on
losses.png, progress.gif  at the end
"""

import concurrent.futures
import datetime
import functools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.files import read_object, sync, write_atomically, write_json, writing
from jaxgan.runs import page, pictures
from jaxgan.runs.event_files import EventWriter
from jaxgan.runs.spread import by_value, without_seeds

__all__ = ["Recorder", "is_finished", "save_config"]


class Recorder:
    """Writes a run's records in order, in one background thread.

    Args:
      workdir: the run's folder, which exists; it is left as it is until `begin`.
      config: flat hyper-parameters.
      summary: what the page's head shows.
      real: (B, H, W, C) images of the data in [0, 1], for comparison.
      labels: of the values of a sweep, as for `spread.by_value`.
    """

    def __init__(
        self,
        workdir: str | Path,
        config: dict[str, Any],
        summary: dict[str, Any] | None = None,
        real: np.ndarray | None = None,
        labels: Sequence[str] = (),
    ):
        self._workdir = workdir = Path(workdir)
        self._config = config
        self._summary = summary or {}
        self._real = real
        self._labels = labels
        self._samples = workdir / "samples"
        self._metrics = workdir / "metrics.jsonl"

    def begin(self, step: int, parameters: str) -> None:
        """Takes up a run.

        Args:
          step: where it stands; what an interrupted run recorded beyond it is dropped, since the
            steps come again.
          parameters: the tables of both networks' parameters.
        """
        workdir = self._workdir
        # What an interrupted run knew of itself holds on: when it started, how long it took.
        old = read_object(workdir / "summary.json") if step else {}
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._summary = {"started": now, **old, **self._summary}
        self._step = step
        self._seconds_before = old.get("seconds", 0.0)
        with writing(workdir):
            self._samples.mkdir(exist_ok=True)
            save_config(workdir, self._config)
            write_atomically(workdir / "parameters.txt", parameters.encode())
            self._drop_after(step)
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "recorder")
        self._pending: list[concurrent.futures.Future] = []

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        """Appends to metrics.jsonl before it returns, and the numbers to TensorBoard later."""
        values = by_value(values, self._labels)
        with writing(self._workdir), self._metrics.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        self._later(lambda: self._writer.scalars(step, without_seeds(values)))

    def images(self, step: int, images: dict[str, np.ndarray]) -> None:
        """Draws a grid of each set of images, (B, H, W, C) in [0, 1], as samples/NAME_STEP.png.

        A set named "interpolation..." is drawn as one row, one of (rows, columns, H, W, C) as that.
        """

        def draw():
            grids = {}
            for name, batch in images.items():
                # Device arrays are fetched here, where nobody waits. A generator that has
                # diverged is the loop's to report; its pictures are grey.
                batch = np.nan_to_num(np.asarray(batch, np.float32), nan=0.5)
                columns = len(batch) if name.startswith("interpolation") else None
                if batch.ndim == 5:
                    columns, batch = batch.shape[1], batch.reshape(-1, *batch.shape[2:])
                grids[name] = pictures.image_grid(batch, columns)
                pictures.save_image(self._samples / f"{name}_{step:06d}.png", grids[name])
            self._writer.images(step, grids)

        self._later(draw)

    def draw_real(self) -> None:
        """Draws the grid of real images, samples/real.png, if there are any."""
        if self._real is None:
            return
        grid = pictures.image_grid(self._real)
        self._later(lambda: pictures.save_image(self._samples / "real.png", grid))

    def page(self, **summary: Any) -> None:
        """Rewrites index.html, and summary.json, with what is new in it."""
        if "seconds" in summary:
            summary["seconds"] = round(summary["seconds"] + self._seconds_before, 1)
        self._summary = {**self._summary, **summary}
        content = self._summary

        def write():
            # In this order: where summary.json says "finished", nothing is written any more.
            page.write_report(self._workdir, content)
            write_json(self._workdir / "summary.json", content)

        self._later(write)

    def go_back(self, step: int) -> None:
        """Drops what was recorded beyond a step, since the steps come again."""

        def drop():
            self._writer.close()
            del self._writer  # the next one tells TensorBoard what holds no more
            self._drop_after(step)

        self.wait()
        self._step = step
        self._later(drop)
        self.wait()

    def final_pictures(self) -> None:
        """Draws losses.png and, of samples, progress.gif from what the run's folder holds."""

        def draw():
            rows = page.read_metrics(self._metrics)
            pictures.plot_curves(self._workdir / "losses.png", rows)
            frames = [path for path in self._pictures() if path.stem.startswith("samples_")]
            if not frames:
                return
            # About five seconds of animation, however long the run.
            chosen = np.unique(np.linspace(0, len(frames) - 1, 40).astype(int))
            pictures.save_animation(
                self._workdir / "progress.gif", [frames[index] for index in chosen]
            )

        self._later(draw)

    def wait(self) -> None:
        """Waits until everything so far is written, and what was logged is on the disk."""
        if self._metrics.exists():
            self._later(lambda: sync(self._metrics))
        concurrent.futures.wait(self._pending)
        self._raise_failures()

    def close(self) -> None:
        """Waits until everything is written; raises what went wrong in the background."""
        try:
            self._later(lambda: self._writer.close())
        finally:
            self._pool.shutdown()
        self._raise_failures()

    def _later(self, task: Callable[[], object]) -> None:
        self._raise_failures()
        self._pending.append(self._pool.submit(task))

    def _raise_failures(self) -> None:
        done = [future for future in self._pending if future.done()]
        self._pending = [future for future in self._pending if not future.done()]
        for future in done:
            with writing(self._workdir):
                future.result()

    @functools.cached_property
    def _writer(self):
        writer = EventWriter(self._workdir / "tensorboard", after=self._step)
        writer.hyper_parameters(self._config)
        return writer

    def _pictures(self) -> list[Path]:
        """What `images` has drawn, by step; pictures of other names are the user's own."""
        drawn = (p for p in self._samples.glob("*.png") if re.fullmatch(r"\w+_\d{6,}", p.stem))
        return sorted(drawn, key=_step_of)

    def _drop_after(self, step: int) -> None:
        if self._metrics.exists():
            rows = [row for row in page.read_metrics(self._metrics) if row["step"] <= step]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            write_atomically(self._metrics, lines.encode())
        for picture in self._pictures():
            if _step_of(picture) > step:
                picture.unlink()
        # Not in checkpoints/: there, others may be deleting meanwhile.
        for folder in (self._workdir, self._samples):
            for left_over in folder.glob(".*.tmp"):
                left_over.unlink()


def is_finished(workdir: Path) -> bool:
    """Whether a run's last records, which come after its last checkpoint, are there."""
    return read_object(workdir / "summary.json").get("status") == "finished"


def _step_of(picture: Path) -> int:
    return int(picture.stem.rsplit("_", 1)[1])


def save_config(workdir: Path, config: dict[str, Any]) -> None:
    """Keeps the config that `open_workdir` compares with."""
    write_json(workdir / "config.json", config)
