"""TensorBoard's files. TensorFlow, which takes seconds to import, is imported only here."""

import os
from pathlib import Path

__all__ = ["drop_events_after", "open_event_writer"]


def open_event_writer(folder: str | os.PathLike):
    """Opens a new file of events for TensorBoard.

    Args:
      folder: where; it is made if it is not there.

    Returns:
      A `clu.metric_writers.SummaryWriter`.

    Example:
      >>> open_event_writer("runs/tensorboard").write_scalars(1, {"loss": 0.5})  # doctest: +SKIP
    """
    _import_tensorflow()
    from clu import metric_writers

    return metric_writers.SummaryWriter(str(folder))


def drop_events_after(step: int, folder: Path) -> None:
    """Rewrites TensorBoard's files without what they hold of later steps.

    Args:
      step: the last one to keep.
      folder: where the files are, if there are any.

    Example:
      >>> drop_events_after(300, Path("runs/tensorboard"))  # doctest: +SKIP
    """
    tf = _import_tensorflow()
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for path in folder.glob("events.out.tfevents.*"):
        # A killed run's last record may be cut short: the loader ends before it.
        records = list(RawEventFileLoader(str(path)).Load())
        temporary = path.with_name(f".{path.name}.tmp")
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in records:
                if Event.FromString(record).step <= step:
                    writer.write(record)
        os.replace(temporary, path)


def _import_tensorflow():
    # It only writes files here; without these it talks over the progress line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    return tf
