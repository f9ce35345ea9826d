"""The run's folder: who may write there, and what its config was."""

import contextlib
import errno
import functools
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgan.errors import UserError

try:
    import fcntl
except ImportError:  # not on this platform: nobody is kept out
    fcntl = None

__all__ = [
    "check_workdir",
    "lock_workdir",
    "open_workdir",
    "read_object",
    "save_config",
    "sync",
    "write_atomically",
    "write_json",
    "writing",
]

_CONFIG = "config.json"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EIO)


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

    Example:
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

    Example:
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
            # Lost, or cut short: the checkpoints know it as well. Imported here, since that file
            # imports this one.
            from jaxgan.checkpoint import saved_config

            old = saved_config(folder)
    except OSError as error:
        raise _not_to_write_to(workdir, error.strerror) from None
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"workdir: got {workdir}, expected a folder that can be written to")
    if old and old != config and not change_config:
        names = sorted(k for k in old.keys() | config.keys() if old.get(k) != config.get(k))
        fields = ", ".join(f"{k} was {old.get(k)!r} and is {config.get(k)!r}" for k in names)
        title = _title(folder)
        raise UserError(
            f"workdir: {workdir} holds a run{title} with another config ({fields}); choose another "
            "folder, or --change_config to go on from its newest checkpoint with the new one"
        )


def _title(folder: Path) -> str:
    """What a run is of, as " of dcgan on mnist", by its summary; "" where it has none."""
    title = read_object(folder / "summary.json").get("title")
    return f" of {title}" if title else ""


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where the file is missing, empty or cut short.

    A line on stderr tells of a file that is there and holds none, once in a process.

    Raises:
      OSError: the file is there and cannot be read.

    Example:
      >>> read_object(Path("runs/one/summary.json"))
      {}
    """
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        _tell_of_damage(file)
        return {}
    return content


@functools.cache
def _tell_of_damage(file: Path) -> None:
    print(f"warning: {file} is no JSON object, and taken as not there", file=sys.stderr, flush=True)


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

    That holds when the process is killed, when the disk is full, and when the machine loses its
    power: the content is on the disk before the file gets its name. It does not hold on file
    systems whose renames are not atomic.

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
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def sync(path: str | os.PathLike) -> None:
    """Waits until a file, or the list of names in a folder, is on the disk.

    Example:
        >>> sync("/tmp")
    """
    folder = os.path.isdir(path)
    try:
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not folder:  # which not all systems can do for a folder
            raise


@contextlib.contextmanager
def writing(folder: str | os.PathLike) -> Iterator[None]:
    """Turns what goes wrong in writing into one line: a full disk, a quota, a read-only folder.

    Args:
        folder: the run's, which the line names.

    Raises:
        UserError: for an `OSError`, or an error of TensorStore or TensorFlow that tells of one.

    Example:
        >>> with writing("runs/one"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        jaxgan.errors.UserError: workdir: cannot write runs/one: No space left on device
    """
    try:
        yield
    except (UserError, TimeoutError):  # another process that does not answer is no full disk
        raise
    except Exception as error:
        reason = _system_error(error)
        if reason is None:
            raise
        raise UserError(f"workdir: cannot write {folder}: {reason}") from error


def _system_error(error: Exception) -> str | None:
    """The operating system's words for what was wrong, if it was that."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if code:  # TensorStore's
        return os.strerror(int(code[1]))
    # TensorFlow's have their number in the text alone.
    known = (os.strerror(number) for number in _DISK_ERRORS)
    return next((text for text in known if text in str(error)), None)
