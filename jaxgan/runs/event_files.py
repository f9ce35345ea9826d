"""TensorBoard's files."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EventWriter"]


class EventWriter:
    """Appends to a new file of events.

    It writes in the caller's thread, so that a full disk is an error there: tensorboardX's own
    SummaryWriter has a thread in which it would be lost.

    Args:
      folder: where; it is made if it is not there.
      after: the last step that is kept of what the folder's older files hold: TensorBoard shows
        nothing of theirs beyond it. None keeps all.

    Raises:
      OSError: the file cannot be written, also by the methods.

    Examples:
      >>> writer = EventWriter("/tmp/jaxgan-example/tensorboard")
      >>> writer.scalars(1, {"loss": 0.5})
      >>> writer.close()
    """

    def __init__(self, folder: str | os.PathLike, after: int | None = None):
        # Imported here: a train step needs none of it.
        from tensorboardX import event_file_writer, summary
        from tensorboardX.proto import event_pb2

        self._events, self._summary = event_pb2, summary
        Path(folder).mkdir(parents=True, exist_ok=True)
        # A file's name has the second; TensorBoard reads files in the order of their names.
        suffix = f".{time.time_ns() % 10**9:09d}.{os.getpid()}"
        self._writer = event_file_writer.EventsWriter(os.path.join(folder, "events"), suffix)
        if after is not None:
            session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            for _ in range(2):  # TensorBoard takes the first of all for the start of the run
                self._write(step=after + 1, session_log=session)
        self.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes a point of each curve."""
        for name, value in values.items():
            self._write(step=step, summary=self._summary.scalar(name, float(value)))
        self.flush()

    def images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Writes images, uint8 (H, W, C)."""
        for name, pixels in images.items():
            self._write(step=step, summary=self._summary.image(name, pixels, dataformats="HWC"))
        self.flush()

    def hyper_parameters(self, config: Mapping[str, Any]) -> None:
        """Writes what a run was started with; what is no number, bool or text, as text."""
        known = bool | int | float | str
        flat = {name: x if isinstance(x, known) else str(x) for name, x in config.items()}
        for summary in self._summary.hparams(flat, {}):
            self._write(step=0, summary=summary)
        self.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def flush(self) -> None:
        """Hands over to the system what was written."""
        self._writer.flush()

    def _write(self, **content: Any) -> None:
        self._writer.write_event(self._events.Event(wall_time=time.time(), **content))
