"""Data sets that live on the device as bytes: batches are drawn inside the compiled step."""

import concurrent.futures

import grain
import jax
import jax.numpy as jnp
import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan.data.order import index_batches
from jaxgan.data.pipeline import check_image_fields, check_source, fit_image
from jaxgan.errors import UserError

_EXAMPLES_PER_TASK = 256
INDICES_AHEAD = grain.ReadOptions(num_threads=1, prefetch_buffer_size=64)


def load_arrays(
    source: RandomAccessDataSource, *, image_size: int, channels: int
) -> dict[str, np.ndarray]:
    """Reads a whole source into memory, each image cropped and resized as `prepare_image` does.

    Args:
        source: random access source of {"image": uint8 (H, W, C), "label": int32 scalar, optional}.
        image_size: height and width of the images.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        {"image": uint8 (N, image_size, image_size, channels), "label": int32 (N,), when the source
        has labels}, N = len(source).

    Raises:
        UserError: a field is out of its range, or `source` is empty. What reading an example
            raises comes out as it is.

    Examples:
        >>> from jaxgan.data import mnist
        >>> load_arrays(mnist("test"), image_size=28, channels=1)["image"].shape
        (10000, 28, 28, 1)
    """
    check_source(source)
    check_image_fields(image_size, channels)
    first = source[0]
    arrays: dict[str, np.ndarray] = {
        "image": np.empty((len(source), image_size, image_size, channels), np.uint8)
    }
    if "label" in first:
        arrays["label"] = np.empty(len(source), np.int32)

    def read(start):
        for index in range(start, min(start + _EXAMPLES_PER_TASK, len(source))):
            example = source[index]
            arrays["image"][index] = fit_image(example["image"], image_size, channels)
            if "label" in arrays:
                arrays["label"][index] = example["label"]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(read, i) for i in range(0, len(source), _EXAMPLES_PER_TASK)]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return arrays


def index_iterator(
    size: int,
    *,
    batch_size: int,
    seed: int,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.DatasetIterator:
    """Returns the stream that `train_iterator` would give, as numbers of examples.

    Args:
        size: the number of examples.
        batch_size, seed, process_index, process_count: as for `index_batches`.

    Returns:
        A `grain.DatasetIterator` of {"index": int32 (batch_size // process_count,)}, whose state
        is that of `train_iterator`.

    Raises:
        UserError: as `index_batches`.

    Examples:
        >>> next(index_iterator(60_000, batch_size=100, seed=0))["index"].shape
        (100,)
    """
    if size < 1:
        raise UserError(f"size: got {size}, expected at least one example")
    indices = index_batches(
        size,
        batch_size=batch_size,
        seed=seed,
        process_index=process_index,
        process_count=process_count,
    )
    return iter(indices.map(lambda index: {"index": index}).to_iter_dataset(INDICES_AHEAD))


def take_batch(
    arrays: dict[str, jax.Array],
    index: jax.Array,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> dict[str, jax.Array]:
    """Draws a batch from arrays on the device, inside a compiled function.

    Args:
        arrays: what `load_arrays` gave, on the device.
        index: int32 (B,), the numbers of the examples.
        value_range: (low, high), the values of 0 and of 255.

    Returns:
        {"image": float32 (B, H, W, C) in `value_range`, "label": int32 (B,), when there are
        labels}: to rounding, what `train_iterator` gives.

    Examples:
        >>> arrays = {"image": jnp.arange(3, dtype=jnp.uint8).reshape(3, 1, 1, 1)}
        >>> take_batch(arrays, jnp.array([2, 0]), (0.0, 255.0))["image"].ravel()
        Array([2., 0.], dtype=float32)
    """
    low, high = value_range
    batch = {name: array[index] for name, array in arrays.items()}
    image = low + batch["image"].astype(jnp.float32) * ((high - low) / 255)
    return {**batch, "image": image}
