"""A source without those of its images that cannot be read."""

import concurrent.futures

from grain.sources import RandomAccessDataSource

from jaxgan.data.folder import BadImage
from jaxgan.data.pipeline import check_source
from jaxgan.errors import UserError

__all__ = ["check_policy", "without_bad_images"]

_EXAMPLES_PER_TASK = 64


def without_bad_images(source: RandomAccessDataSource) -> RandomAccessDataSource:
    """Reads every image of a source once and leaves out those that are bad.

    Bad is an image that is cut short or broken, of more pixels than Pillow's limit, or none at all.
    A file that the system does not give (no right to read it, a disk that fails) says nothing of
    its image, and ends the reading.

    Which are bad is known before any order is drawn, and so order, labels and captions are those of
    a folder that never held them: alike in every process, and after a resume. (A bad image that is
    met in training could only be replaced by another, which then comes twice and has neither its
    label nor its captions.) It costs one more reading of the data at the start; a header alone does
    not tell that a file is cut short.

    Args:
        source: random access source of {"image": ...}, see `folder`, `captioned_folder` and
            `tfds_images`.

    Returns:
        A source of the other examples, in their order, with `num_classes`, `captions` where
        `source` has them, and `bad_images`, a tuple of a line for each that is left out; `source`
        itself where none is bad.

    Raises:
        UserError: `source` is empty, or no image is left; a file cannot be read.

    Examples:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from jaxgan.data import folder
        >>> Path("faces").mkdir()
        >>> Image.new("RGB", (40, 30)).save("faces/1.png")
        >>> _ = Path("faces/2.png").write_text("no image")
        >>> source = without_bad_images(folder("faces"))
        >>> len(source), source.bad_images[0]
        (1, "cannot read 'faces/2.png' (no format that Pillow knows)")
    """
    check_source(source)

    def read(start: int) -> dict[int, str]:
        bad: dict[int, str] = {}
        for index in range(start, min(start + _EXAMPLES_PER_TASK, len(source))):
            try:
                source[index]
            except BadImage as error:
                bad[index] = error.reason
        return bad

    bad: dict[int, str] = {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(read, i) for i in range(0, len(source), _EXAMPLES_PER_TASK)]
        try:
            for task in tasks:
                bad |= task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not bad:
        return source
    good = [index for index in range(len(source)) if index not in bad]
    if not good:
        raise UserError(f"dataset: no image of {source!r} is whole: {bad[0]}")
    made = _GoodCaptions if hasattr(source, "captions") else _Good
    return made(source, good, tuple(bad.values()))


class _Good:
    def __init__(self, source, indices, bad_images):
        self._source = source
        self._indices = indices
        self.bad_images = bad_images
        self.num_classes = source.num_classes

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, index):
        return self._source[self._indices[index]]

    def __repr__(self):
        return f"{self._source!r} without {len(self.bad_images)} bad images"


class _GoodCaptions(_Good):
    def captions(self, index):
        return self._source.captions(self._indices[index])


def check_policy(on_bad_image: str) -> None:
    """Refuses another policy than there is."""
    if on_bad_image not in ("stop", "skip"):
        raise UserError(f"on_bad_image: got {on_bad_image!r}, expected 'stop' or 'skip'")
