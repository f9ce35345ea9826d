"""Files under a folder or in a zip archive, read in the same way."""

import os
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from jaxgan.errors import UserError

__all__ = ["Tree", "open_tree"]

LARGEST = 2**28
"""Bytes of a member that are read: what is larger unpacked is no picture, but may be a bomb."""


class Tree(Protocol):
    """Files by their relative names, with forward slashes.

    Attributes:
      names: those of all files, sorted, without files and folders whose name starts with a dot.
    """

    names: list[str]

    def where(self, name: str) -> str:
        """What an error calls a file."""

    def read(self, name: str) -> bytes:
        """Its content; raises what the system or the archive has against it."""

    def has_folder(self, name: str) -> bool:
        """Whether there is such a folder, be it empty."""

    def under(self, name: str) -> "Tree":
        """The files in a folder of this one."""


def open_tree(path: str | os.PathLike, expected: str = "a folder of images") -> Tree:
    """Opens a folder or a zip archive; archives are read in place, and never unpacked.

    Where all of an archive lies in one folder, as most programs pack them, it is that folder.

    Args:
      path: of either; an archive's name ends in .zip.
      expected: what an error says was expected.

    Returns:
      The tree.

    Raises:
      UserError: neither is there; an archive is damaged, encrypted, or has absolute or climbing
        paths.

    Examples:
      >>> _ = Path("readme.txt").write_text("hello")
      >>> open_tree(".").read("readme.txt")
      b'hello'
    """
    root = Path(path)
    if path == "":  # Which `Path` takes for the working directory.
        raise UserError(f"dataset: got an empty path, expected {expected}, or a zip archive")
    if root.is_dir():
        return _Folder(root)
    if root.suffix.lower() == ".zip" and root.is_file():
        return _open_archive(root)
    what = "a file" if root.exists() else "not there"
    raise UserError(f"dataset: {str(root)!r} is {what}, expected {expected}, or a zip archive")


class _Folder:
    def __init__(self, root: Path):
        self._root = root
        self.names = sorted(
            name
            for path in root.rglob("*")
            if not _is_hidden(name := path.relative_to(root).as_posix()) and path.is_file()
        )

    def where(self, name):
        return str(self._root / name)

    def read(self, name):
        return (self._root / name).read_bytes()

    def has_folder(self, name):
        return (self._root / name).is_dir()

    def under(self, name):
        return _Folder(self._root / name)

    def __str__(self):
        return str(self._root)


class _Archive:
    def __init__(self, path: Path, prefix: str, names: list[str]):
        self._path, self._prefix, self.names = path, prefix, names
        # Its reading is safe among threads, and only opening it takes time.
        self._file = zipfile.ZipFile(path)

    def where(self, name):
        return f"{self._path}/{self._prefix}{name}"

    def read(self, name):
        info = self._file.getinfo(self._prefix + name)
        if info.file_size > LARGEST:
            raise ValueError(f"{info.file_size} bytes, more than the {LARGEST} of any picture")
        return self._file.read(info)

    def has_folder(self, name):
        return any(own.startswith(f"{name}/") for own in self.names)

    def under(self, name):
        length = len(name) + 1
        names = [own[length:] for own in self.names if own.startswith(f"{name}/")]
        return _Archive(self._path, f"{self._prefix}{name}/", names)

    def __str__(self):
        return f"{self._path}/{self._prefix}".rstrip("/")

    def __reduce__(self):
        return _Archive, (self._path, self._prefix, self.names)


def _open_archive(path: Path) -> _Archive:
    try:
        with zipfile.ZipFile(path) as file:
            members = [info for info in file.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"dataset: cannot read {str(path)!r} ({error}), expected a zip archive"
        ) from None
    for info in members:
        # As it stands in the file: `zipfile` cuts names at a NUL.
        name = info.orig_filename.replace("\\", "/")
        if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
            raise UserError(
                f"dataset: {str(path)!r} has {info.orig_filename!r}, expected paths within the "
                "archive, neither absolute nor climbing"
            )
        if info.flag_bits & 1:
            raise UserError(
                f"dataset: {info.filename!r} of {str(path)!r} is encrypted, expected files that "
                "can be read"
            )
    names = sorted({info.filename for info in members})
    # __MACOSX holds what macOS knows of the files besides.
    names = [n for n in names if not _is_hidden(n) and not n.startswith("__MACOSX/")]
    tree, tops = _Archive(path, "", names), {name.partition("/")[::2] for name in names}
    first = {top for top, rest in tops if rest}
    return tree.under(*first) if len(first) == 1 and all(rest for _, rest in tops) else tree


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
