"""Folders of image files with captions beside them."""

import json
import os

from grain.sources import RandomAccessDataSource

from jaxgan.data.folder import decode_image, has_both_splits, image_names, open_file
from jaxgan.data.tree import open_tree
from jaxgan.data.vocabulary import split_words
from jaxgan.errors import UserError

__all__ = ["captioned_folder"]

_FILES = ("captions.tsv", "captions.jsonl")


def captioned_folder(
    path: str | os.PathLike, split: str = "train"
) -> RandomAccessDataSource | None:
    """Returns the image files under a folder, with the captions that a file there gives them.

    The file is `captions.tsv`, lines of an image's path, a tab and a caption, or `captions.jsonl`,
    lines of {"file_name": path, "caption": text}. Paths are relative to the folder, with forward
    slashes; an image has as many captions as lines. As for `folder`, a zip archive is read as a
    folder is, and when `path` holds the sub-folders `train` and `test`, these are the splits, each
    with a file of its own; otherwise all of it is "train".

    Args:
        path: the folder, or the archive, whose name ends in .zip.
        split: "train" or "test".

    Returns:
        A Grain random access source of {"image": uint8 (H, W, C), C 1 or 3, "caption": str}, with
        `num_classes` None, in the order of the sorted paths. `source.captions(i)` are all captions
        of image i, of which "caption" is the first. None for "test" where there is no such split.

    Raises:
        UserError: `path` is no folder, or holds no image or no file of captions; a line of the file
            is of another form, its caption empty or its image missing; an image has no caption;
            `split` is neither "train" nor "test". Reading an example raises it for a file that
            cannot be read.

    Examples:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Path("birds").mkdir()
        >>> Image.new("RGB", (40, 30)).save("birds/1.png")
        >>> _ = Path("birds/captions.tsv").write_text(
        ...     "1.png\\ta red bird\\n1.png\\ta small bird\\n"
        ... )
        >>> source = captioned_folder("birds")
        >>> source[0]["caption"], source.captions(0)
        ('a red bird', ('a red bird', 'a small bird'))
    """
    if split not in ("train", "test"):
        raise UserError(f"split: got {split!r}, expected 'train' or 'test'")
    root = open_tree(path, "a folder of images and captions")
    if has_both_splits(root):
        root = root.under(split)
    elif split == "test":
        return None
    names = image_names(root)
    captions = _read_captions(root, set(names))
    bare = next((name for name in names if name not in captions), None)
    if bare is not None:
        raise UserError(f"captions: got none of {root.where(bare)!r}, expected one for each image")
    return _CaptionedFolder(root, names, [tuple(captions[name]) for name in names])


class _CaptionedFolder:
    num_classes = None

    def __init__(self, root, names, captions):
        self._root = root
        self._names = names
        self._captions = captions

    def __len__(self):
        return len(self._names)

    def __getitem__(self, index):
        image = decode_image(*open_file(self._root, self._names[index]))
        return {"image": image, "caption": self._captions[index][0]}

    def captions(self, index):
        return self._captions[index]

    def __repr__(self):
        return f"captioned_folder({str(self._root)!r}, {len(self)} images)"


def _read_captions(root, names):
    """{path of an image: its captions}, every one with its image and not empty."""
    file = next((name for name in _FILES if name in root.names), None)
    if file is None:
        raise UserError(f"captions: no file in {str(root)!r}, expected {' or '.join(_FILES)}")
    captions = {}
    try:
        # With or without the mark that some programs begin a file with; a caption may hold other
        # characters at which `splitlines` would cut.
        lines = root.read(file).decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        where = root.where(file)
        raise UserError(f"captions: cannot read {where!r} ({error}), expected UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"captions: line {number} of {root.where(file)!r}"
        name, caption = _parse(line, file, where)
        if name not in names:
            raise UserError(f"{where} is of {name!r}, expected an image of the folder")
        try:
            split_words(caption)
        except UserError:
            raise UserError(f"{where} has an empty caption, expected words") from None
        captions.setdefault(name, []).append(caption.strip())
    return captions


def _parse(line, file, where):
    if file.endswith(".tsv"):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise UserError(f"{where} has no tab, expected a path, a tab and a caption")
        return name, caption
    try:
        fields = json.loads(line)
        name, caption = fields["file_name"], fields["caption"]
    except (ValueError, TypeError, KeyError):
        name = caption = None
    if not isinstance(name, str) or not isinstance(caption, str):
        raise UserError(f'{where} is {line!r}, expected {{"file_name": ..., "caption": ...}}')
    return name, caption
