"""Batches of two domains: each shuffled by itself, cropped, flipped, resumed."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgan.data import (
    domain_index_iterator,
    domain_iterator,
    folder,
    load_arrays,
    load_domains,
    take_domains,
)
from jaxgan.errors import UserError


class Numbers:
    """Example i is a 6x6 image whose pixel (row, column) is first + 36 i + 6 row + column."""

    def __init__(self, length, first=0):
        self.length, self.first = length, first

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        pixels = self.first + 36 * index + np.arange(36)
        return {"image": pixels.astype(np.uint8).reshape(6, 6, 1)}


A, B = Numbers(3), Numbers(4, first=108)
FIELDS = {"batch_size": 6, "image_size": 6, "channels": 1, "seed": 0, "value_range": (0.0, 255.0),
          "process_index": 0, "process_count": 1}  # fmt: skip


def batches(**fields):
    return domain_iterator(A, B, **(FIELDS | fields))


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def examples(batch, domain, first, width=6):
    """Which example each image of a batch is, by a pixel that is not moved."""
    return (batch[domain][:, 0, 0, 0].astype(int) - first) // 36


def test_each_domain_has_its_own_epochs():
    got = take(batches(), 4)
    a = np.concatenate([examples(batch, "a", 0) for batch in got]).reshape(-1, 3)
    b = np.concatenate([examples(batch, "b", 108) for batch in got]).reshape(-1, 4)
    assert all(sorted(epoch) == [0, 1, 2] for epoch in a.tolist())
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in b.tolist())
    assert len({tuple(epoch) for epoch in b.tolist()}) > 1
    assert got[0]["a"].dtype == got[0]["b"].dtype == np.float32


def test_domains_of_one_size_do_not_come_in_pairs():
    indices = domain_index_iterator(1000, 1000, batch_size=500, seed=0)
    drawn = take(indices, 4)  # two epochs
    first, second = (np.concatenate([index[name] for index in drawn]) for name in ("a", "b"))
    assert np.mean(first == second) < 0.01
    # Nor is the second domain the first one an epoch later.
    assert np.mean(first[1000:] == second[:1000]) < 0.02


def test_the_stream_is_that_of_the_seed():
    one, again, other = (take(batches(seed=seed, flip=True), 3) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert any(np.any(x["a"] != y["a"]) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize("fields", [{}, {"image_size": 4, "load_size": 6, "flip": True}])
def test_the_position_is_saved(fields):
    iterator = batches(**fields)
    take(iterator, 3)
    state = json.loads(json.dumps(iterator.get_state()))
    following = take(iterator, 2)
    fresh = batches(**fields)
    fresh.set_state(state)
    jax.tree.map(np.testing.assert_array_equal, take(fresh, 2), following)


@pytest.mark.parametrize("process_count", [2, 3])
def test_processes_share_out_the_global_batch(process_count):
    look = {"image_size": 4, "load_size": 6, "flip": True}
    whole = take(batches(**look), 3)
    for index in range(process_count):
        part = take(batches(**look, process_index=index, process_count=process_count), 3)
        for all_of_it, own in zip(whole, part, strict=True):
            for name in ("a", "b"):
                parts = np.split(all_of_it[name], process_count)
                np.testing.assert_array_equal(parts[index], own[name])


def test_crops_and_flips_come_everywhere_and_are_the_pixels():
    seen = set()
    for batch in take(batches(image_size=4, load_size=6, flip=True), 60):
        for domain, source in (("a", A), ("b", B)):
            for image in batch[domain][..., 0]:
                places = []
                for i in range(len(source)):
                    pixels = source[i]["image"][..., 0]
                    for top in range(3):
                        for left in range(3):
                            square = pixels[top : top + 4, left : left + 4]
                            places += [
                                (domain, top, left, flip)
                                for flip in (False, True)
                                if np.array_equal(image, square[:, ::-1] if flip else square)
                            ]
                assert len(places) == 1
                seen.add(places[0])
    assert len(seen) == 2 * 3 * 3 * 2


def test_without_flip_nothing_is_flipped():
    for batch in take(batches(), 10):
        assert np.all(np.diff(batch["a"], axis=2) == 1)


def test_batches_on_the_device_are_those_of_the_host():
    look = {"image_size": 6, "channels": 3}
    arrays = {"a": load_arrays(A, **look), "b": load_arrays(B, **look)}
    indices = domain_index_iterator(3, 4, batch_size=6, seed=0)
    host = batches(channels=3, value_range=(-1.0, 1.0))
    take_jit = jax.jit(take_domains)
    for _ in range(3):
        batch, expected = take_jit(arrays, next(indices)), next(host)
        assert set(batch) == {"a", "b"}
        for name in ("a", "b"):
            np.testing.assert_allclose(batch[name], expected[name], atol=2e-7)
    assert indices.get_state() == host.get_state()


def test_two_folders_end_to_end(tmp_path):
    for name, mode, count in (("photos", "RGB", 3), ("drawings", "L", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new(mode, (40, 30 + i), 50 * i).save(tmp_path / name / f"{i}.png")
    a, b = load_domains(f"folder:{tmp_path / 'photos'},{tmp_path / 'drawings'}", "train")
    assert (len(a), len(b)) == (3, 2)
    iterator = domain_iterator(
        a, b, batch_size=4, image_size=16, load_size=18, channels=3, seed=0, flip=True
    )
    batch = next(iterator)
    assert batch["a"].shape == batch["b"].shape == (4, 16, 16, 3)
    assert load_domains(f"folder:{tmp_path / 'photos'},{tmp_path / 'drawings'}", "test") is None


def test_folders_with_splits(tmp_path):
    for domain in ("a", "b"):
        for split in ("train", "test"):
            (tmp_path / domain / split).mkdir(parents=True)
            Image.new("L", (4, 4)).save(tmp_path / domain / split / "0.png")
    for split in ("train", "test"):
        assert [
            len(x) for x in load_domains(f"folder:{tmp_path / 'a'},{tmp_path / 'b'}", split)
        ] == [1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: domain_iterator(A, [], **FIELDS), "dataset: domain b is empty, expected at"),
        (lambda: domain_iterator([], B, **FIELDS), "dataset: domain a is empty, expected at"),
        (lambda: domain_index_iterator(0, 1, batch_size=1, seed=0), "dataset: domain a is empty"),
        (lambda: batches(load_size=5), "load_size: got 5, expected at least image_size=6"),
        (lambda: batches(batch_size=0), "batch_size: got 0"),
        (lambda: batches(seed=-1), "seed: got -1"),
        (lambda: batches(channels=2), "channels: got 2"),
        (lambda: load_domains("folder:x", "train"), "dataset: got 'folder:x', expected two fold"),
        (lambda: load_domains("folder:x,y,z", "train"), "dataset: got 'folder:x,y,z', expected"),
        (lambda: load_domains("folder:/no,/no", "train"), "dataset: '/no' is not there"),
        (lambda: load_domains(None, "train"), "dataset: got None, expected 'digits'"),
        (lambda: load_domains("digits", "valid"), "split: got 'valid'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(UserError, match=f"^{message}") as error:
        call()
    assert "\n" not in str(error.value)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"^dataset: no image in .*empty', expected files of"):
        folder(tmp_path / "empty")
