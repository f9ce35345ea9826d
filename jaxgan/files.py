"""Files that appear whole or not at all, and what the operating system says where they cannot."""

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

__all__ = ["read_object", "sync", "write_atomically", "write_json", "writing"]

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EIO)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where the file is missing, empty or cut short.

    A line on stderr tells of a file that is there and holds none, once in a process.

    Raises:
      OSError: the file is there and cannot be read.

    Examples:
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

    Examples:
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

    Examples:
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
        UserError: for an `OSError`, or an error of TensorStore that tells of one.

    Examples:
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
    # Others have its words in their text alone.
    known = (os.strerror(number) for number in _DISK_ERRORS)
    return next((text for text in known if text in str(error)), None)
