"""The order of training: which examples of a source make up which batch."""

import functools
import operator

import grain
import jax
import numpy as np

from jaxgan.errors import UserError

# As good as for ever, and a number of batches that Grain's own arithmetic can hold.
_FOREVER = 2**48


def index_batches(
    size: int,
    *,
    batch_size: int,
    seed: int,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.MapDataset:
    """Returns the endless stream of batches of one process as numbers of examples.

    Every epoch is a new permutation of the examples, drawn from `seed`; a batch may span two
    epochs, so each example comes exactly once an epoch whatever the batch size, and a source
    smaller than a batch repeats within it. Global batch k holds the same examples for every
    `process_count`, in the same order: process p has the p-th part of it, so that what is drawn
    for each place of a batch meets the same example.

    Args:
        size: the number of examples.
        batch_size: examples of the global batch, over all processes.
        seed: a non-negative integer.
        process_index: this process; None asks JAX.
        process_count: the number of processes; None asks JAX.

    Returns:
        A `grain.MapDataset` of int32 (batch_size // process_count,), found by the number of the
        batch at once, however far.

    Raises:
        UserError: a field is out of its range, or `batch_size` is no multiple of `process_count`.

    Examples:
        >>> batches = index_batches(10, batch_size=5, seed=0)
        >>> sorted(np.concatenate([batches[0], batches[1]]).tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    process_index, process_count = check_batch_fields(batch_size, process_index, process_count)
    if not is_int(seed) or seed < 0:
        raise UserError(f"seed: got {seed!r}, expected a non-negative integer")

    own = own_part(batch_size, process_index, process_count)
    # Of this stream alone: several of them, as of several seeds, would push each other out.
    permutation = functools.lru_cache(maxsize=4)(functools.partial(_permutation, size, int(seed)))

    # Whole batches are drawn at once: passing each example through the stages of Grain takes 0.1
    # ms, longer than some train steps.
    def batch(number):
        positions = number * batch_size + np.arange(own.start, own.stop)
        epochs, places = np.divmod(positions, size)
        indices = np.empty(len(positions), np.int32)
        for epoch in np.unique(epochs):
            of_epoch = epochs == epoch
            indices[of_epoch] = permutation(int(epoch))[places[of_epoch]]
        return indices

    return grain.MapDataset.range(_FOREVER).map(batch)


def _permutation(size, seed, epoch):
    return np.random.default_rng((seed, epoch)).permutation(size).astype(np.int32)


def own_part(batch_size: int, process_index: int, process_count: int) -> slice:
    """Which places of a global batch are a process's own: a stretch of them, as long for each."""
    share = batch_size // process_count
    return slice(process_index * share, (process_index + 1) * share)


def check_batch_fields(batch_size, process_index, process_count):
    """Returns (process_index, process_count), those of JAX in place of None."""
    if process_count is None:
        process_count = jax.process_count()
    if process_index is None:
        process_index = jax.process_index()
    if not is_int(process_count) or process_count < 1:
        raise UserError(f"process_count: got {process_count!r}, expected a positive integer")
    if not is_int(process_index) or not 0 <= process_index < process_count:
        raise UserError(
            f"process_index: got {process_index!r}, expected an integer from 0 to "
            f"{process_count - 1}, as process_count is {process_count}"
        )
    if not is_int(batch_size) or batch_size < 1:
        raise UserError(f"batch_size: got {batch_size!r}, expected a positive integer")
    if batch_size % process_count:
        raise UserError(
            f"batch_size: got {batch_size}, expected a multiple of the {process_count} processes"
        )
    return process_index, process_count


def is_int(value):
    """Whether a value is an integer; true and false are not."""
    if isinstance(value, bool):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True
