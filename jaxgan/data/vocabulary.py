"""Captions as rows of numbers: which words there are, and how a caption is split into them."""

import dataclasses
import functools
import re
from collections.abc import Iterable

import numpy as np

from jaxgan.errors import UserError

__all__ = ["Vocabulary", "split_words"]

_PADDING, _UNKNOWN, _FIRST = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words of a set of captions, each with its number.

    0 is padding, 1 any word that is not among them, and the words count from 2 on.

    Attributes:
      words: without repetition, in small letters.
      length: of an encoded caption.

    Examples:
      >>> vocabulary = Vocabulary.of(["a red seven", "a blue two"])
      >>> vocabulary.words
      ('a', 'blue', 'red', 'seven', 'two')
      >>> vocabulary.encode("A red, red cat")
      array([2, 4, 4], dtype=int32)
      >>> vocabulary.unknown_words("A red, red cat")
      ('cat',)
    """

    words: tuple[str, ...]
    length: int

    @classmethod
    def of(cls, captions: Iterable[str], length: int | None = None) -> "Vocabulary":
        """Collects the words of captions, in the order of the alphabet.

        Args:
          captions: any number of them.
          length: of an encoded caption; None is that of the longest.

        Returns:
          The `Vocabulary`.

        Raises:
          UserError: a caption without a word, no captions at all, or a length below 1.
        """
        split = [split_words(caption) for caption in captions]
        if not split:
            raise UserError("captions: got none, expected at least one")
        length = max(map(len, split)) if length is None else length
        if length < 1:
            raise UserError(f"length: got {length}, expected 1 or more")
        return cls(tuple(sorted({word for words in split for word in words})), length)

    @property
    def size(self) -> int:
        """How many numbers an encoded caption may hold: the words, the unknown word, padding."""
        return len(self.words) + _FIRST

    def encode(self, caption: str) -> np.ndarray:
        """A caption as the numbers of its words; what is longer than `length` is cut off.

        Args:
          caption: words, in small letters or large.

        Returns:
          int32 (length,), padded with 0.

        Raises:
          UserError: a caption without a word.
        """
        numbers = [self._number.get(word, _UNKNOWN) for word in split_words(caption)]
        row = np.full(self.length, _PADDING, np.int32)
        row[: len(numbers)] = numbers[: self.length]
        return row

    def unknown_words(self, caption: str) -> tuple[str, ...]:
        """The words of a caption that are not in the vocabulary, each once, as they come."""
        return tuple(
            dict.fromkeys(word for word in split_words(caption) if word not in self._number)
        )

    @functools.cached_property
    def _number(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, _FIRST)}


def split_words(caption: str) -> list[str]:
    """The words of a caption in small letters, without what stands between them.

    Args:
      caption: any text.

    Returns:
      Its runs of letters and digits, with apostrophes inside.

    Raises:
      UserError: there is none.

    Examples:
      >>> split_words("A bird's eye, in RED.")
      ['a', "bird's", 'eye', 'in', 'red']
    """
    words = re.findall(r"\w+(?:'\w+)*", caption.lower())
    if not words:
        raise UserError(f"caption: got {caption!r}, expected at least one word")
    return words
