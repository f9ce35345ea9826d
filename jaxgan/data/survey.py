"""A look at the image files of a folder, before they are trained on."""

import concurrent.futures
import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image

__all__ = ["Look", "survey"]

MOST = 10_000
"""So many files are looked at, spread over all."""


class Look(NamedTuple):
    """An image file.

    Attributes:
      name: as an error calls it.
      width, height: in pixels, as it is stored.
      channels: 1 (grey) or 3.
      digest: of its bytes.
    """

    name: str
    width: int
    height: int
    channels: int
    digest: bytes


def survey(source) -> list[Look]:
    """Looks at the files of a `folder`; those that are no images are passed over.

    Args:
        source: of `folder`.

    Returns:
        A `Look` a file, in their order, of at most 10,000 of them.

    Examples:
        >>> from pathlib import Path
        >>> from jaxgan.data import folder
        >>> Path("own").mkdir()
        >>> Image.new("L", (40, 30)).save("own/1.png")
        >>> survey(folder("own"))[0][:4]
        ("'own/1.png'", 40, 30, 1)
    """

    def look(index) -> Look | None:
        open_it, name = source.file(index)
        try:
            file = open_it()
            with Image.open(file) as image:
                grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith(("I", "F"))
                digest = hashlib.blake2b(file.getbuffer(), digest_size=16).digest()
                return Look(name, *image.size, 1 if grey else 3, digest)
        # What cannot be read is named when it is trained on.
        except Exception:
            return None

    count = min(len(source), MOST)
    indices = np.linspace(0, len(source) - 1, count).astype(int)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [found for found in pool.map(look, indices) if found]
