"""The embedded emoji: coloured pictures of 64 pixels in two drawings."""

import csv
import functools
import importlib.resources
import io
import zipfile
import zlib

import numpy as np
from grain.sources import RandomAccessDataSource
from PIL import Image

from jaxgan.errors import UserError

_DRAWINGS = ("google", "twitter")
_PARTS = {"test": {0}, "validation": {1}, "train_part": set(range(2, 10))}
_PARTS["train"] = _PARTS["train_part"] | _PARTS["validation"]
_TONES = {
    "1F3FB": "light",
    "1F3FC": "medium-light",
    "1F3FD": "medium",
    "1F3FE": "medium-dark",
    "1F3FF": "dark",
}  # as Unicode names them


def emoji(split: str, drawing: str = "google") -> RandomAccessDataSource:
    """Returns the emoji that come with the package, as Google or as Twitter draws them.

    A split holds whole families: an emoji and all its skin tones are in one of them. Example i is
    the same emoji in either drawing. Transparency is laid over white.

    Args:
        split: "train" (3,041 emoji) or "test" (426); or "validation" (359) and "train_part"
            (2,682), which make up "train", see `splits`.
        drawing: "google" or "twitter".

    Returns:
        A Grain random access source of {"image": uint8 (64, 64, 3), "label": int32 scalar,
        "caption": str}, with `num_classes` 10, the categories. `source.captions(i)` are all
        captions of emoji i: its name, and the short one where that is another, either with the skin
        tone. `source.meaning(i)` is a number that emoji of one name and tone share.

    Raises:
        UserError: another split or drawing.

    Examples:
        >>> source = emoji("test")
        >>> source[0]["image"].shape, len(source)
        ((64, 64, 3), 426)
        >>> source.captions(300)
        ('couple with heart, light and medium-light skin tone',)

    Source: Noto Emoji (Google, Apache License 2.0) and Twemoji (Twitter, Inc. and other
    contributors, CC-BY 4.0), from the packages `emoji-datasource-google` and `-twitter` 16.0.0.
    """
    if split not in _PARTS:
        raise UserError(f"split: got {split!r}, expected one of {', '.join(map(repr, _PARTS))}")
    if drawing not in _DRAWINGS:
        raise UserError(f"drawing: got {drawing!r}, expected 'google' or 'twitter'")
    return _Emoji(split, drawing)


class _Emoji:
    def __init__(self, split, drawing):
        self._split, self._drawing = split, drawing
        rows = _rows()
        categories = sorted({row["category"] for row in rows})
        self.num_classes = len(categories)
        self._rows = [row for row in rows if _tenth(row["base"]) in _PARTS[split]]
        self._labels = [np.int32(categories.index(row["category"])) for row in self._rows]

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        file = _archive(self._drawing).read(self._rows[index]["file"])
        picture = Image.open(io.BytesIO(file)).convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        image = np.asarray(Image.alpha_composite(white, picture).convert("RGB"))
        caption = self.captions(index)[0]
        return {"image": image, "label": self._labels[index], "caption": caption}

    def captions(self, index):
        row = self._rows[index]
        tones = [_TONES[tone] for tone in row["tone"].split("-") if tone]
        tone = f", {' and '.join(tones)} skin tone" if tones else ""
        # Short names are written as one word, some of them.
        short = row["short_names"].replace("-", " ")
        return tuple(dict.fromkeys(f"{name}{tone}" for name in (row["name"], short)))

    def meaning(self, index):
        return zlib.crc32(self.captions(index)[0].encode())

    def __repr__(self):
        return f"emoji({self._split!r}, {self._drawing!r})"

    def __reduce__(self):
        return _Emoji, (self._split, self._drawing)


def _tenth(base):
    """Which tenth of the families a base emoji is in: by its name, whatever others there are."""
    return zlib.crc32(base.encode()) % 10


@functools.cache
def _rows():
    text = (_files() / "emoji.tsv").read_text()
    return tuple(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))


@functools.cache
def _archive(drawing):
    return zipfile.ZipFile(io.BytesIO((_files() / f"{drawing}.zip").read_bytes()))


def _files():
    return importlib.resources.files("jaxgan.data") / "emoji_files"
