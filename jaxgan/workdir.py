"""The run's folder: who may write there, and what its config was."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgan.errors import UserError

try:
    import fcntl
except ImportError:  # not on this platform: nobody is kept out
    fcntl = None

__all__ = ["lock_workdir", "open_workdir", "save_config", "write_atomically", "write_json"]

_CONFIG = "config.json"


def open_workdir(
    workdir: str | Path, config: dict[str, Any], *, change_config: bool = False
) -> Path:
    """Makes the run's folder, or opens an old one if it is the same run.

    The config itself is written by `save_config`, when the run has started.

    Args:
      workdir: where.
      config: the run's hyper-parameters, flat, ready for JSON.
      change_config: go on with an old run under another config.

    Returns:
      The folder.

    Raises:
      UserError: it is a file or cannot be written, or an old run there has another config and
        `change_config` is not set. Nothing has been changed then.

    Example:
      >>> folder = open_workdir("/tmp/jaxgan-example", {"seed": 0})
    """
    if not str(workdir):
        raise UserError("workdir: got an empty path, expected the run's folder")
    folder = Path(workdir)
    file = folder / _CONFIG
    # As JSON gives it back, so that tuples equal lists.
    config = json.loads(json.dumps(config))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = json.loads(file.read_text()) if file.exists() else None
        if not isinstance(old, dict | None):
            raise ValueError
    except ValueError:
        raise UserError(f"workdir: {file} is no JSON object, expected an old run's") from None
    except OSError as error:
        raise UserError(
            f"workdir: got {workdir}, expected a folder to write to ({error.strerror})"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"workdir: got {workdir}, expected a folder that can be written to")
    if old is not None and old != config and not change_config:
        names = sorted(k for k in old.keys() | config.keys() if old.get(k) != config.get(k))
        fields = ", ".join(f"{k} was {old.get(k)!r} and is {config.get(k)!r}" for k in names)
        title = _title(folder)
        raise UserError(
            f"workdir: {workdir} holds a run{title} with another config ({fields}); choose another "
            "folder, or --change_config to go on from its newest checkpoint with the new one"
        )
    return folder


def _title(folder: Path) -> str:
    """What a run is of, as " of dcgan on mnist", by its summary; "" where it has none."""
    try:
        return f" of {json.loads((folder / 'summary.json').read_text())['title']}"
    except (OSError, ValueError, LookupError, TypeError):
        return ""


@contextlib.contextmanager
def lock_workdir(workdir: Path) -> Iterator[None]:
    """Keeps a second run out of a run's folder, until this one ends or is killed.

    The lock is on the folder itself and leaves no file behind. File systems that know no such
    locks keep nobody out.

    Args:
      workdir: the folder, which exists.

    Raises:
      UserError: another run holds it.

    Example:
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


def save_config(workdir: Path, config: dict[str, Any]) -> None:
    """Keeps the config that `open_workdir` compares with."""
    write_json(workdir / _CONFIG, config)


def write_json(path: str | os.PathLike, content: dict[str, Any]) -> Path:
    """Writes a JSON object as `write_atomically` does."""
    return write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_atomically(path: str | os.PathLike, data: bytes) -> Path:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        path: The file; missing parent folders are made.
        data: Its whole content.

    Returns:
        The path.

    Example:
        >>> write_atomically("runs/one/note.txt", b"hello")  # doctest: +SKIP
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named by process and thread, so that two writers of one file never share a temporary.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
