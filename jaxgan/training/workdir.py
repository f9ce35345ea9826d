"""The run's folder: who may write there, and what its config was."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgan.checkpoints.checkpoint import saved_config
from jaxgan.errors import UserError
from jaxgan.files import read_object
from jaxgan.training.config import LATER, PLACES

try:
    import fcntl
except ImportError:  # not on this platform: nobody is kept out
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "check_workdir",
    "lock_workdir",
    "open_workdir",
]

_CONFIG = "config.json"


def open_workdir(
    workdir: str | Path, config: dict[str, Any], *, change_config: bool = False
) -> Path:
    """Makes the run's folder, or opens an old one if it is the same run.

    The config itself is written by `save_config`, when the run has started.

    Args:
      workdir: where.
      config: the run's hyper-parameters, flat, ready for JSON. It is compared with config.json, or,
        where that is damaged, with what the newest checkpoint says.
      change_config: go on with an old run under another config.

    Returns:
      The folder.

    Raises:
      UserError: it is a file or cannot be written, or an old run there has another config and
        `change_config` is not set. Nothing has been changed then.

    Examples:
      >>> folder = open_workdir("/tmp/jaxgan-example", {"seed": 0})
    """
    check_workdir(workdir, config, change_config=change_config)
    folder = Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_to_write_to(workdir, error.strerror) from None
    return folder


def _not_to_write_to(workdir, reason):
    return UserError(f"workdir: got {workdir}, expected a folder to write to ({reason})")


def check_workdir(
    workdir: str | Path, config: dict[str, Any], *, change_config: bool = False
) -> None:
    """Refuses what `open_workdir` would refuse, and changes nothing.

    Args, Raises: as `open_workdir`.

    Examples:
      >>> check_workdir("/tmp/jaxgan-example", {"seed": 0})
    """
    if not str(workdir):
        raise UserError("workdir: got an empty path, expected the run's folder")
    folder = Path(workdir)
    # As JSON gives it back, so that tuples equal lists.
    config = json.loads(json.dumps(config))
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise _not_to_write_to(workdir, f"{there} is a file")
        old = read_object(folder / _CONFIG)
        if not old:
            # Lost, or cut short: the checkpoints know it as well.
            old = saved_config(folder) or {}
    except OSError as error:
        raise _not_to_write_to(workdir, error.strerror) from None
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"workdir: got {workdir}, expected a folder that can be written to")
    if old:
        old = {**{name: value for name, value in LATER.items() if name in config}, **old}
    names = _changed(old, config) if old else []
    if names and not change_config:
        fields = ", ".join(f"{k} was {old.get(k)!r} and is {config.get(k)!r}" for k in names)
        title = _title(folder)
        raise UserError(
            f"workdir: {workdir} holds a run{title} with another config ({fields}); choose another "
            "folder, or --change_config to go on from its newest checkpoint with the new one"
        )


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The fields by which a run would be another one than it was."""
    names = (old.keys() | new.keys()) - {*PLACES}
    return sorted(name for name in names if old.get(name) != new.get(name))


def _title(folder: Path) -> str:
    """What a run is of, as " of dcgan on mnist", by its summary; "" where it has none."""
    title = read_object(folder / "summary.json").get("title")
    return f" of {title}" if title else ""


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Keeps a second run out of a run's folder, until this one ends or is killed.

    The lock is on the folder itself and leaves no file behind. File systems that know no such
    locks keep nobody out.

    Args:
      workdir: the folder, which exists.

    Raises:
      UserError: another run holds it.

    Examples:
      >>> with lock_workdir(open_workdir("/tmp/jaxgan-example", {"seed": 0})):
      ...     pass
    """
    folder = os.open(workdir, os.O_RDONLY)
    try:
        if fcntl:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"workdir: got {workdir}, where another run is writing, expected a folder of "
                    "its own for each run"
                ) from None
            except OSError:
                pass
        yield
    finally:
        os.close(folder)
