"""A source with each of its images mirrored besides."""

from grain.sources import RandomAccessDataSource

__all__ = ["mirrored"]


def mirrored(source: RandomAccessDataSource) -> RandomAccessDataSource:
    """Returns a source of twice as many examples: all, then all turned left to right.

    Args:
        source: random access source of {"image": uint8 (H, W, C), ...}.

    Returns:
        Example i of N is example i, and N + i the same with its image turned; whatever else it
        holds, and `num_classes`, stay as they are.

    Examples:
        >>> from jaxgan.data import emoji
        >>> source = emoji("test")
        >>> len(source), len(mirrored(source))
        (426, 852)

    Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    section 4, where data sets are amplified so.
    """
    return _Mirrored(source)


class _Mirrored:
    def __init__(self, source):
        self._source = source
        self.num_classes = source.num_classes

    def __len__(self):
        return 2 * len(self._source)

    def __getitem__(self, index):
        turned, own = divmod(index, len(self._source))
        if not 0 <= turned <= 1:
            raise IndexError(f"example {index} of {len(self)}")
        example = self._source[own]
        return {**example, "image": example["image"][:, ::-1]} if turned else example

    def __repr__(self):
        return f"mirrored({self._source!r})"
