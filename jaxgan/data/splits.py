"""What a run is trained on and what it is evaluated on: choose on validation, report on test."""

from grain.sources import RandomAccessDataSource

from jaxgan.errors import UserError

__all__ = ["TRAIN_ON", "cut", "whole"]

TRAIN_ON = {"test": "train", "validation": "train_part"}
"""By the split that a run is evaluated on, the one that it is trained on. "validation" and
"train_part" make up "train": settings are chosen by runs on "train_part" that are evaluated on
"validation", so that no choice has seen "test", on which runs on all of "train" report."""

_PARTS = ("validation", "train_part")
_EVERY = 12


def whole(split: str) -> str:
    """The split that a source of "train" and "test" alone has to read.

    Examples:
        >>> whole("validation"), whole("test")
        ('train', 'test')
    """
    return "train" if split in _PARTS else split


def cut(source: RandomAccessDataSource | None, split: str) -> RandomAccessDataSource | None:
    """Cuts a split out of what `whole` named.

    "validation" is every twelfth example of "train", from the twelfth on, since folders are in the
    order of their classes; "train_part" is the others.

    Args:
        source: of `whole(split)`; None where there is none.
        split: "train", "test", "validation" or "train_part".

    Returns:
        The source of the split, or None.

    Raises:
        UserError: a part of fewer than 12 examples.

    Examples:
        >>> from jaxgan.data import mnist
        >>> len(cut(mnist("train"), "train_part")), len(cut(mnist("train"), "validation"))
        (55000, 5000)
    """
    if source is None or split not in _PARTS:
        return source
    if len(source) < _EVERY:
        raise UserError(
            f"evaluate_on: {source!r} has {len(source)} examples, expected {_EVERY} or more to "
            "put some aside for validation"
        )
    part = _PartWithCaptions if hasattr(source, "captions") else _Part
    return part(source, split)


class _Part:
    def __init__(self, source, split):
        self._source, self._split = source, split
        self.num_classes = source.num_classes
        self.bad_images = getattr(source, "bad_images", ())

    def __len__(self):
        held_out = len(self._source) // _EVERY
        return held_out if self._split == "validation" else len(self._source) - held_out

    def __getitem__(self, index):
        return self._source[self._number(index)]

    def __repr__(self):
        return f"{self._split} of {self._source!r}"

    def _number(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        if self._split == "validation":
            return _EVERY * index + _EVERY - 1
        return index + index // (_EVERY - 1)


class _PartWithCaptions(_Part):
    def captions(self, index):
        return self._source.captions(self._number(index))
