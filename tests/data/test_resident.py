"""Data sets on the device: the very batches that the host would have prepared."""

import jax
import numpy as np
import pytest

from jaxgan.data import index_iterator, load_arrays, mnist, take_batch, train_iterator
from jaxgan.errors import UserError

LOOK = {"image_size": 20, "channels": 3}


@pytest.fixture(scope="module")
def source():
    """600 digits: more than one task of the reading threads, and not a whole number of them."""
    digits = mnist("test")
    return [digits[index] for index in range(600)]


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0)])
def test_batches_are_those_of_the_host(source, value_range):
    arrays = load_arrays(source, **LOOK)
    assert (arrays["image"].shape, arrays["image"].dtype) == ((600, 20, 20, 3), np.uint8)
    order = {"batch_size": 250, "seed": 3}
    indices = index_iterator(600, **order)
    batches = train_iterator(source, **order, **LOOK, value_range=value_range)
    take = jax.jit(take_batch, static_argnums=2)
    for _ in range(5):
        expected = next(batches)
        batch = take(arrays, next(indices)["index"], value_range)
        assert set(batch) == set(expected) == {"image", "label"}
        np.testing.assert_allclose(batch["image"], expected["image"], atol=2e-7)
        np.testing.assert_array_equal(batch["label"], expected["label"])
    assert indices.get_state() == batches.get_state()


def test_positions_pass_from_one_to_the_other(source):
    order = {"batch_size": 7, "seed": 0}
    indices = index_iterator(600, **order)
    for _ in range(4):
        next(indices)
    batches = train_iterator(source, **order, **LOOK)
    batches.set_state(indices.get_state())
    expected = [source[i]["label"] for i in next(indices)["index"]]
    np.testing.assert_array_equal(next(batches)["label"], expected)


def test_without_labels(source):
    images = [{"image": example["image"]} for example in source[:3]]
    arrays = load_arrays(images, **LOOK)
    assert set(arrays) == {"image"}
    assert set(take_batch(jax.device_put(arrays), np.array([1, 1]))) == {"image"}


def test_an_error_while_reading_comes_out_as_it_is(source):
    class Broken(list):
        def __getitem__(self, index):
            if index == 400:
                raise UserError("dataset: cannot read 'x.png'")
            return super().__getitem__(index)

    with pytest.raises(UserError, match=r"^dataset: cannot read 'x\.png'$"):
        load_arrays(Broken(source), **LOOK)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_arrays([], **LOOK), r"dataset: \[\] is empty"),
        (lambda: load_arrays([1], image_size=0, channels=1), "image_size: got 0"),
        (lambda: index_iterator(0, batch_size=1, seed=0), "size: got 0"),
        (lambda: index_iterator(5, batch_size=0, seed=0), "batch_size: got 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(UserError, match=f"^{message}"):
        call()
