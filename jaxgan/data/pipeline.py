"""From a source to batches: preparation of images, the endless train stream, the test pass."""

import functools
import math
from collections.abc import Iterable

import grain
import numpy as np
from grain.sources import RandomAccessDataSource
from PIL import Image

from jaxgan.data.order import check_batch_fields, index_batches, is_int
from jaxgan.errors import UserError

# Whole batches are read ahead, one per thread. Pillow lets go of the interpreter lock while it
# decodes and resizes, so the threads pay on image files; more of them only take memory.
READ_AHEAD = grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)


def prepare_image(
    image: np.ndarray,
    image_size: int,
    channels: int,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> np.ndarray:
    """Makes one image ready for the networks: square, of the wanted size and channels, scaled.

    The middle square is cut out (an odd pixel too many goes at the bottom or right), resized with
    Pillow's bicubic filter, which averages over the pixels it removes, so nothing aliases, and
    rings less around hard edges than Lanczos, and turned to grey (ITU-R 601-2 luma) or from grey
    to three equal channels. What already fits is only scaled.

    Args:
        image: uint8 (H, W, C), C 1 or 3.
        image_size: height and width of the result.
        channels: 1 (grey) or 3 (RGB).
        value_range: (low, high), the values of 0 and of 255.

    Returns:
        float32 (image_size, image_size, channels), in `value_range`.

    Raises:
        UserError: `image` is no uint8 (H, W, 1 or 3); `image_size`, `channels` or `value_range`
            is out of its range.

    Examples:
        >>> prepare_image(np.full((40, 30, 3), 255, np.uint8), image_size=32, channels=1).max()
        np.float32(1.0)
    """
    check_image_fields(image_size, channels, value_range)
    return scale(fit_image(image, image_size, channels), value_range)


def train_iterator(
    source: RandomAccessDataSource,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    seed: int,
    value_range: tuple[float, float] = (-1.0, 1.0),
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.DatasetIterator:
    """Returns the endless stream of training batches of one process.

    The order is that of `index_batches`: every epoch a new permutation drawn from `seed`, the same
    global batches for every `process_count`. Four batches are prepared ahead in threads of the
    iterator.

    `iterator.get_state()` is a small dict that goes through JSON: the number of batches taken, not
    of those read ahead. `iterator.set_state(state)` continues with the very next batch, at once
    however far it is, also on another number of processes.

    Args:
        source: random access source of {"image": uint8 (H, W, C), "label": int32 scalar, optional}.
        batch_size: examples of the global batch, over all processes.
        image_size: height and width of the prepared images.
        channels: 1 (grey) or 3 (RGB).
        seed: a non-negative integer.
        value_range: (low, high), the values of 0 and of 255.
        process_index: this process; None asks JAX.
        process_count: the number of processes; None asks JAX.

    Returns:
        A `grain.DatasetIterator` of {"image": float32 (b, image_size, image_size, channels),
        "label": int32 (b,), when the source has labels}, b = batch_size // process_count.

    Raises:
        UserError: a field is out of its range, `batch_size` is no multiple of `process_count`, or
            `source` is empty. What reading an example raises comes out of `next`.

    Examples:
        >>> from jaxgan.data import mnist
        >>> batches = train_iterator(
        ...     mnist("train"), batch_size=100, image_size=28, channels=1, seed=0
        ... )
        >>> next(batches)["image"].shape
        (100, 28, 28, 1)
    """
    check_source(source)
    check_image_fields(image_size, channels, value_range)
    indices = index_batches(
        len(source),
        batch_size=batch_size,
        seed=seed,
        process_index=process_index,
        process_count=process_count,
    )
    # An error in a reader thread leaves it as it was raised.
    read = functools.partial(_read_batch, source, image_size, channels, value_range)
    return iter(indices.map(read).to_iter_dataset(READ_AHEAD))


def eval_batches(
    source: RandomAccessDataSource,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    value_range: tuple[float, float] = (-1.0, 1.0),
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.IterDataset:
    """Returns the batches of one pass over a source; every `iter` is a new pass, of the same order.

    The order is mixed, and the last batch is filled up with examples from the start, of "mask" 0:
    so every batch is a fair sample of the whole, as batch norm wants it, though the source be
    sorted by class. All processes have the same number of batches. Within global batch k the
    examples go to the processes in turn, as in `train_iterator`.

    Args:
        source: random access source of {"image": uint8 (H, W, C), "label": int32 scalar, optional}.
        batch_size: examples of the global batch, over all processes.
        image_size: height and width of the prepared images.
        channels: 1 (grey) or 3 (RGB).
        value_range: (low, high), the values of 0 and of 255.
        process_index: this process; None asks JAX.
        process_count: the number of processes; None asks JAX.

    Returns:
        A `grain.IterDataset` of {"image": float32 (b, image_size, image_size, channels), "label":
        int32 (b,), when the source has labels, "mask": float32 (b,), 1 for an example and 0 for
        padding}, b = batch_size // process_count.

    Raises:
        UserError: as `train_iterator`.

    Examples:
        >>> from jaxgan.data import mnist
        >>> batches = eval_batches(mnist("test"), batch_size=64, image_size=28, channels=1)
        >>> sum(batch["mask"].sum() for batch in batches)
        np.float32(10000.0)
    """
    check_source(source)
    process_index, process_count = check_batch_fields(batch_size, process_index, process_count)
    check_image_fields(image_size, channels, value_range)
    read = functools.partial(_read_batch, source, image_size, channels, value_range)
    order = np.random.default_rng(0).permutation(len(source))

    def read_masked(batch_index):
        first = batch_index * batch_size
        positions = np.arange(first + process_index, first + batch_size, process_count)
        batch = read(order[positions % len(source)])
        return batch | {"mask": (positions < len(source)).astype(np.float32)}

    batch_indices = grain.MapDataset.range(math.ceil(len(source) / batch_size))
    return batch_indices.map(read_masked).to_iter_dataset(READ_AHEAD)


def read_images(
    source: RandomAccessDataSource, indices: Iterable[int], *, image_size: int, channels: int
) -> np.ndarray:
    """Reads images of a source, each prepared as `prepare_image` does.

    Args:
        source: random access source of {"image": uint8 (H, W, C)}.
        indices: which ones, N numbers.
        image_size: height and width of the result.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        float32 (N, image_size, image_size, channels) in [0, 1].

    Raises:
        UserError: as `prepare_image`.

    Examples:
        >>> from jaxgan.data import mnist
        >>> read_images(mnist("test"), [3, 1], image_size=28, channels=1).shape
        (2, 28, 28, 1)
    """
    check_image_fields(image_size, channels)
    return _read_batch(source, image_size, channels, (0.0, 1.0), indices)["image"]


def spread_images(
    source: RandomAccessDataSource, count: int, *, image_size: int, channels: int
) -> np.ndarray:
    """Reads images from all over a source, at equal distances, since folders are sorted by class.

    Args:
        source: random access source of {"image": uint8 (H, W, C)}.
        count: how many; fewer where there are not so many.
        image_size, channels: as for `read_images`.

    Returns:
        float32 (N, image_size, image_size, channels) in [0, 1].

    Raises:
        UserError: as `read_images`.

    Examples:
        >>> from jaxgan.data import mnist
        >>> spread_images(mnist("test"), 64, image_size=28, channels=1).shape
        (64, 28, 28, 1)
    """
    indices = np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    return read_images(source, indices, image_size=image_size, channels=channels)


def _read_batch(source, image_size, channels, value_range, indices):
    examples = [source[int(index)] for index in indices]
    images = np.stack([fit_image(example["image"], image_size, channels) for example in examples])
    batch = {"image": scale(images, value_range)}
    if "label" in examples[0]:
        labels = np.array([example["label"] for example in examples], np.int32)
        num_classes = getattr(source, "num_classes", None)
        # -1 stands for a label that is not known.
        wrong = (labels < -1) | (labels >= num_classes) if num_classes else np.zeros(0, bool)
        if wrong.any():
            index = int(np.argmax(wrong))
            raise UserError(
                f"label: got {labels[index]} of example {indices[index]}, expected 0 to "
                f"{num_classes - 1}"
            )
        batch["label"] = labels
    return batch


def fit_image(image, image_size, channels):
    """Any uint8 image as uint8 (image_size, image_size, channels)."""
    if image.shape == (image_size, image_size, channels) and image.dtype == np.uint8:
        return image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise UserError(f"image: got {image.dtype} {image.shape}, expected uint8 (H, W, 1 or 3)")
    height, width, _ = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(image[top : top + side, left : left + side])
    picture = Image.fromarray(square[..., 0] if square.shape[-1] == 1 else square)
    # Grey comes before the resizing and the copies of it after: a third of the work.
    if channels == 1:
        picture = picture.convert("L")
    if side != image_size:
        picture = picture.resize((image_size, image_size), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], channels, axis=-1)
    return pixels


def scale(image, value_range):
    """uint8 of any shape as float32, 0 and 255 at the ends of `value_range`."""
    # A table of the 256 values has exact ends, and looking up is quicker than reckoning.
    return np.linspace(*value_range, 256, dtype=np.float32)[image]


def check_image_fields(image_size, channels, value_range=(-1.0, 1.0)):
    """Refuses what no image can have."""
    if not is_int(image_size) or image_size < 1:
        raise UserError(f"image_size: got {image_size!r}, expected a positive integer")
    if not is_int(channels) or channels not in (1, 3):
        raise UserError(f"channels: got {channels!r}, expected 1 (grey) or 3 (RGB)")
    try:
        low, high = value_range
        valid = math.isfinite(low) and math.isfinite(high) and low < high
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise UserError(f"value_range: got {value_range!r}, expected finite low < high")


def check_source(source):
    """Refuses a source without examples."""
    if len(source) == 0:
        raise UserError(f"dataset: {source!r} is empty, expected at least one example")
