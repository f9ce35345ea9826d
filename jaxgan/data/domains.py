"""Batches of two domains: each shuffled by itself, or both in pairs."""

import functools

import grain
import jax
import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan.data.order import check_batch_fields, index_batches, is_int, own_part
from jaxgan.data.pipeline import READ_AHEAD, check_image_fields, fit_image, scale
from jaxgan.data.resident import INDICES_AHEAD, take_batch
from jaxgan.errors import UserError

# Domain b is shuffled by another seed, as no run has it: by the same, two domains of one size would
# come in pairs.
_OTHER = 2**64


def domain_iterator(
    source_a: RandomAccessDataSource,
    source_b: RandomAccessDataSource,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    seed: int,
    load_size: int | None = None,
    flip: bool = False,
    value_range: tuple[float, float] = (-1.0, 1.0),
    paired: bool = False,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.DatasetIterator:
    """Returns the endless stream of training batches of one process, drawn from two domains.

    Each domain has epochs of its own, of its own length, in the order of `index_batches`; pairs
    have one order, and are cut and turned alike. Crops and flips are drawn from `seed` and the
    number of the batch; the position is saved as that of `train_iterator`.

    Args:
        source_a, source_b: random access sources of {"image": uint8 (H, W, C)}.
        batch_size: images of each domain in the global batch, over all processes.
        image_size: height and width of the prepared images.
        channels: 1 (grey) or 3 (RGB), of both domains.
        seed: a non-negative integer.
        load_size: images are prepared at this size and a square of `image_size` is cut out at
            random, the paper's 286 for 256; None prepares them at `image_size`.
        flip: turn a random half of the images left to right.
        value_range: (low, high), the values of 0 and of 255.
        paired: example i of b belongs to example i of a, and comes with it.
        process_index: this process; None asks JAX.
        process_count: the number of processes; None asks JAX.

    Returns:
        A `grain.DatasetIterator` of {"a": float32 (b, image_size, image_size, channels), "b": the
        same}, b = batch_size // process_count.

    Raises:
        UserError: a domain is empty, pairs of two lengths, `load_size` is below `image_size`; else
            as `train_iterator`.

    Examples:
        >>> from jaxgan.data import digit_domains
        >>> batches = domain_iterator(
        ...     *digit_domains("train"), batch_size=16, image_size=28, channels=3, seed=0
        ... )
        >>> next(batches)["b"].shape
        (16, 28, 28, 3)

    Source: Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", section 4; sizes and flips as in the authors' code.
    """
    check_image_fields(image_size, channels, value_range)
    load_size = image_size if load_size is None else load_size
    if not is_int(load_size) or load_size < image_size:
        raise UserError(f"load_size: got {load_size!r}, expected at least image_size={image_size}")
    process = check_batch_fields(batch_size, process_index, process_count)
    order = {"batch_size": batch_size, "process_index": process[0], "process_count": process[1]}
    indices = _both_indices(len(source_a), len(source_b), order, seed, paired)
    own = own_part(batch_size, *process)

    def read(number, index):
        batch = {}
        for domain, (name, source) in enumerate((("a", source_a), ("b", source_b))):
            # Drawn for the global batch, so that it does not depend on the number of processes.
            rng = np.random.default_rng((int(seed), number, 2 if paired else 2 + domain))
            corners = rng.integers(0, load_size - image_size + 1, (batch_size, 2))
            flips = rng.random(batch_size) < 0.5 if flip else np.zeros(batch_size, bool)
            images = [
                _cut(fit_image(source[int(i)]["image"], load_size, channels), image_size, *draw)
                for i, *draw in zip(index[name], corners[own], flips[own], strict=True)
            ]
            batch[name] = scale(np.stack(images), value_range)
        return batch

    return iter(indices.map_with_index(read).to_iter_dataset(READ_AHEAD))


def _cut(image, size, corner, flip):
    top, left = corner
    image = image[top : top + size, left : left + size]
    return image[:, ::-1] if flip else image


def domain_index_iterator(
    size_a: int,
    size_b: int,
    *,
    batch_size: int,
    seed: int,
    paired: bool = False,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.DatasetIterator:
    """Returns the stream that `domain_iterator` would give, as numbers of examples.

    Args:
        size_a, size_b: the number of examples of either domain.
        batch_size, seed, paired, process_index, process_count: as for `domain_iterator`.

    Returns:
        A `grain.DatasetIterator` of {"a": int32 (batch_size // process_count,), "b": the same},
        whose state is that of `domain_iterator`.

    Raises:
        UserError: a domain is empty, pairs of two lengths; else as `index_batches`.

    Examples:
        >>> batches = domain_index_iterator(30_000, 30_000, batch_size=16, seed=0)
        >>> next(batches)["b"].shape
        (16,)
    """
    order = {
        "batch_size": batch_size,
        "process_index": process_index,
        "process_count": process_count,
    }
    return iter(_both_indices(size_a, size_b, order, seed, paired).to_iter_dataset(INDICES_AHEAD))


def _both_indices(size_a, size_b, order, seed, paired):
    for name, size in (("a", size_a), ("b", size_b)):
        if size < 1:
            raise UserError(f"dataset: domain {name} is empty, expected at least one image")
    if paired and size_a != size_b:
        raise UserError(f"dataset: got {size_a} and {size_b} images, expected pairs")
    first = index_batches(size_a, seed=seed, **order)
    if paired:
        return first.map(lambda index: {"a": index, "b": index})
    second = index_batches(size_b, seed=seed + _OTHER, **order)
    return first.map_with_index(lambda number, index: {"a": index, "b": second[number]})


def take_domains(
    arrays: dict[str, dict[str, jax.Array]],
    index: dict[str, jax.Array],
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> dict[str, jax.Array]:
    """Draws a batch of both domains from arrays on the device, inside a compiled function.

    Args:
        arrays: {"a", "b"}, what `load_arrays` gave for either, on the device.
        index: {"a", "b"}, int32 (B,), the numbers of the examples.
        value_range: (low, high), the values of 0 and of 255.

    Returns:
        {"a": float32 (B, H, W, C) in `value_range`, "b": the same}.

    Examples:
        >>> import jax.numpy as jnp
        >>> arrays = {"image": jnp.arange(3, dtype=jnp.uint8).reshape(3, 1, 1, 1)}
        >>> index = {"a": jnp.array([2, 0]), "b": jnp.array([1, 1])}
        >>> take_domains({"a": arrays, "b": arrays}, index, (0.0, 255.0))["a"].ravel()
        Array([2., 0.], dtype=float32)
    """
    take = functools.partial(take_batch, value_range=value_range)
    return {name: take(arrays[name], index[name])["image"] for name in ("a", "b")}
