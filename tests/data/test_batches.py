import itertools
import json
import pickle
import time

import numpy as np
import pytest

from jaxgan.data import eval_batches, mnist, prepare_image, spread_images, train_iterator
from jaxgan.errors import UserError


class Numbers:
    """Example i is a 2x2 image of the value i, with label i + 1000."""

    num_classes = None

    def __init__(self, length, labelled=True):
        self.length = length
        self.labelled = labelled
        self.reads = 0

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.reads += 1
        example = {"image": np.full((2, 2, 1), index, np.uint8)}
        return example | {"label": np.int32(index + 1000)} if self.labelled else example


FIELDS = {
    "batch_size": 4,
    "image_size": 2,
    "channels": 1,
    "value_range": (0.0, 255.0),
    "process_index": 0,
    "process_count": 1,
}


def train(source, **fields):
    return train_iterator(source, **(FIELDS | {"seed": 0} | fields))


def take(iterator, count):
    """The example numbers of the next `count` batches, (count, b)."""
    batches = list(itertools.islice(iterator, count))
    numbers = np.array([batch["label"] - 1000 for batch in batches])
    images = np.array([batch["image"][:, 0, 0, 0] for batch in batches])
    np.testing.assert_array_equal(images, numbers)
    return numbers


def epochs(source, count, **fields):
    """The first epochs, each as the numbers of its examples, whatever the batches."""
    batch_size = (FIELDS | fields)["batch_size"]
    batches = -(-count * len(source) // batch_size)
    stream = take(train(source, **fields), batches).ravel()
    return stream[: count * len(source)].reshape(count, len(source)).tolist()


@pytest.mark.parametrize("batch_size", [4, 5, 10])
def test_every_epoch_is_a_new_permutation(batch_size):
    orders = epochs(Numbers(10), 5, batch_size=batch_size)
    for order in orders:
        assert sorted(order) == list(range(10))
    assert len({tuple(order) for order in [*orders, range(10)]}) == 6


def test_batches_have_the_stated_arrays():
    batch = next(train(Numbers(10), channels=3, image_size=5))
    assert set(batch) == {"image", "label"}
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 5, 5, 3), np.float32)
    assert (batch["label"].shape, batch["label"].dtype) == ((4,), np.int32)


def test_no_label_without_classes():
    assert set(next(train(Numbers(10, labelled=False)))) == {"image"}


def test_images_are_prepared():
    source, fields = mnist("test"), {"image_size": 32, "channels": 3}
    everything = [prepare_image(source[i]["image"], **fields) for i in range(200)]
    small = [source[i] for i in range(200)]
    batch = next(iter(eval_batches(small, batch_size=200, **fields)))
    assert sorted(image.tobytes() for image in batch["image"]) == sorted(
        image.tobytes() for image in everything
    )


def test_same_seed_same_stream():
    np.testing.assert_array_equal(take(train(Numbers(10)), 10), take(train(Numbers(10)), 10))


def test_seeds_share_no_epoch():
    orders = [tuple(order) for seed in range(4) for order in epochs(Numbers(10), 4, seed=seed)]
    assert len(set(orders)) == 16


def test_seed_may_be_large():
    assert sorted(epochs(Numbers(10), 1, seed=2**40)[0]) == list(range(10))


def test_source_smaller_than_a_batch_repeats():
    numbers = take(train(Numbers(3), batch_size=7), 3).ravel()
    for epoch in numbers.reshape(7, 3):
        assert sorted(epoch) == [0, 1, 2]


def test_source_of_one_example():
    assert take(train(Numbers(1)), 2).tolist() == [[0] * 4] * 2


@pytest.mark.parametrize("process_count", [2, 3, 4])
def test_processes_share_out_the_global_batch(process_count):
    whole = take(train(Numbers(10), batch_size=12), 5)
    for index in range(process_count):
        part = take(
            train(Numbers(10), batch_size=12, process_index=index, process_count=process_count), 5
        )
        np.testing.assert_array_equal(part, np.split(whole, process_count, axis=1)[index])


def test_state_continues_exactly():
    whole = take(train(Numbers(10)), 20)
    iterator = train(Numbers(10))
    take(iterator, 7)
    state = json.loads(json.dumps(iterator.get_state()))
    restored = train(Numbers(10))
    restored.set_state(state)
    np.testing.assert_array_equal(take(restored, 13), whole[7:])
    np.testing.assert_array_equal(take(iterator, 13), whole[7:])


def test_state_is_of_the_batches_taken_not_of_those_read_ahead():
    source = Numbers(10)
    iterator = train(source)
    whole = take(train(Numbers(10)), 6)
    next(iterator)
    deadline = time.monotonic() + 30
    while source.reads < 3 * 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert source.reads >= 3 * 4, "nothing was read ahead"
    state = pickle.loads(pickle.dumps(iterator.get_state()))
    iterator.set_state(state)
    np.testing.assert_array_equal(take(iterator, 5), whole[1:])


def test_state_fits_another_number_of_processes():
    whole = take(train(Numbers(10)), 6)
    iterator = train(Numbers(10))
    take(iterator, 3)
    half = train(Numbers(10), process_index=1, process_count=2)
    half.set_state(iterator.get_state())
    np.testing.assert_array_equal(take(half, 3), whole[3:, 2:])


def test_far_state_is_restored_without_replay():
    iterator = train(Numbers(10))
    take(iterator, 1)
    assert iterator.get_state() == {"next_index": 1}
    source = Numbers(10)
    restored = train(source)
    restored.set_state({"next_index": 50_000})
    # Batches 50,000 to 50,004 are examples 200,000 to 200,019: the epochs 20,000 and 20,001.
    numbers = take(restored, 5).ravel()
    for epoch in numbers.reshape(2, 10):
        assert sorted(epoch) == list(range(10))
    assert restored.get_state() == {"next_index": 50_005}
    assert source.reads <= 4 * (5 + 4)


@pytest.mark.parametrize(("num_classes", "label"), [(3, 3), (3, -2)])
def test_a_label_that_is_no_class_is_refused(num_classes, label):
    class Wrong(Numbers):
        def __getitem__(self, index):
            return {**super().__getitem__(index), "label": np.int32(label if index == 2 else 0)}

    source = Wrong(5)
    source.num_classes = num_classes
    with pytest.raises(UserError, match=f"^label: got {label} of example 2, expected 0 to 2"):
        take(train(source, batch_size=5), 1)


class Broken(Numbers):
    def __getitem__(self, index):
        raise UserError("dataset: cannot read 'x.png'")


def test_error_in_a_reader_thread_arrives_as_it_was():
    for batches in (train(Broken(10)), iter(eval_batches(Broken(10), **FIELDS))):
        with pytest.raises(UserError) as error:
            next(batches)
        assert error.type is UserError
        assert str(error.value) == "dataset: cannot read 'x.png'"


def masked(batches):
    batches = list(batches)
    for batch in batches:
        assert batch["image"].shape[0] == batch["label"].shape[0] == batch["mask"].shape[0]
        assert batch["mask"].dtype == np.float32
        assert set(batch["mask"].tolist()) <= {0.0, 1.0}
    return [(batch["label"] - 1000)[batch["mask"] == 1].tolist() for batch in batches], batches


def test_eval_is_one_pass_in_the_same_mixed_order_each_time():
    batches = eval_batches(Numbers(10), **FIELDS)
    numbers, arrays = masked(batches)
    assert masked(batches)[0] == numbers
    assert [len(part) for part in numbers] == [4, 4, 2]
    assert sorted(itertools.chain(*numbers)) == list(range(10))
    assert list(itertools.chain(*numbers)) != list(range(10))
    assert [len(batch["mask"]) for batch in arrays] == [4, 4, 4]
    assert arrays[-1]["mask"].tolist() == [1, 1, 0, 0]
    # Filled up with the first ones, not with copies of the last.
    np.testing.assert_array_equal(arrays[-1]["image"][2:], arrays[0]["image"][:2])


def test_eval_without_remainder_has_no_padding():
    numbers, _ = masked(eval_batches(Numbers(8), **FIELDS))
    assert [len(part) for part in numbers] == [4, 4]
    assert sorted(itertools.chain(*numbers)) == list(range(8))


def test_eval_without_labels():
    (batch,) = eval_batches(Numbers(3, labelled=False), **FIELDS)
    assert set(batch) == {"image", "mask"}
    assert batch["image"].shape == (4, 2, 2, 1)


def test_eval_shares_out_with_equal_numbers_of_batches():
    parts = [
        masked(eval_batches(Numbers(9), **(FIELDS | {"process_index": p, "process_count": 4})))
        for p in range(4)
    ]
    assert [len(arrays) for _, arrays in parts] == [3, 3, 3, 3]
    alone, _ = masked(eval_batches(Numbers(9), **FIELDS))
    for k, whole in enumerate(alone):
        # The processes take the examples of a global batch in turn.
        assert list(itertools.chain(*(numbers[k] for numbers, _ in parts))) == whole


def test_processes_default_to_those_of_jax():
    fields = {key: FIELDS[key] for key in ("batch_size", "image_size", "channels")}
    assert next(train_iterator(Numbers(10), seed=0, **fields))["image"].shape[0] == 4
    assert len(list(eval_batches(Numbers(10), **fields))) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 0}, "batch_size: got 0, expected a positive integer"),
        ({"batch_size": "4"}, "batch_size: got '4', expected a positive integer"),
        ({"process_count": 3}, "batch_size: got 4, expected a multiple of the 3 processes"),
        ({"process_count": 0}, "process_count: got 0, expected a positive integer"),
        ({"process_index": 1}, "process_index: got 1, expected an integer from 0 to 0"),
        ({"image_size": -2}, "image_size: got -2"),
        ({"channels": 4}, "channels: got 4"),
        ({"value_range": (1, 0)}, "value_range: got"),
    ],
)
@pytest.mark.parametrize("make", [train, lambda s, **f: eval_batches(s, **(FIELDS | f))])
def test_bad_input(make, fields, message):
    with pytest.raises(UserError, match=f"^{message}"):
        make(Numbers(10), **fields)


@pytest.mark.parametrize("make", [train, lambda s: eval_batches(s, **FIELDS)])
def test_empty_source(make):
    with pytest.raises(UserError, match=r"^dataset: .* is empty, expected at least one example$"):
        make(Numbers(0))


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_bad_seed(seed):
    with pytest.raises(UserError, match=r"^seed: got .*, expected a non-negative integer$"):
        train(Numbers(10), seed=seed)


@pytest.mark.parametrize(
    ("count", "expected"), [(4, [0, 3, 6, 9]), (1, [0]), (10, range(10)), (20, range(10))]
)
def test_spread_images_come_from_all_over_a_source(count, expected):
    images = spread_images(Numbers(10), count, image_size=2, channels=1)
    np.testing.assert_allclose(images[:, 0, 0, 0] * 255, expected, rtol=1e-6)
