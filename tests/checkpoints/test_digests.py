"""Digests of arrays: by hand, of every dtype, on any devices, and that no bit escapes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxgan.checkpoints import digests

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(16, 24)).astype(np.float32)


def of(array):
    return digests.format_digests({"x": array}, digests.digest_arrays({"x": array}))["x"]


def mix(word, first, second):
    word = ((word ^ word >> 16) * first) % 2**32
    word = ((word ^ word >> 15) * second) % 2**32
    return word ^ word >> 15


def by_hand(words):
    """The formula, in Python's own integers."""
    sums = [0, 0]
    for i, word in enumerate(words):
        place = mix(i + 1, 0x21F0AAAD, 0x735A2D97)
        sums[0] += mix(word ^ place, 0x85EBCA6B, 0xC2B2AE35)
        sums[1] += mix((word + place) % 2**32, 0x7FEB352D, 0x846CA68B)
    return "".join(f"{lane % 2**32:08x}" for lane in sums)


@pytest.mark.parametrize(
    ("dtype", "word"),
    [
        *(("float32", "<u4"), ("int32", "<u4"), ("uint32", "<u4"), ("bfloat16", "<u2")),
        *(("float16", "<u2"), ("int16", "<u2"), ("int8", "u1"), ("uint8", "u1"), ("bool", "u1")),
        *(("float8_e4m3fn", "u1"), ("complex64", "<u4")),
    ],
)
def test_digests_of_every_dtype_are_those_of_the_bits(dtype, word):
    array = np.asarray(jnp.asarray(RNG.integers(-50, 50, (3, 5, 7))).astype(dtype))
    words = np.frombuffer(array.tobytes(), word).tolist()
    assert of(array) == f"{dtype} {by_hand(words)}"
    assert of(jnp.asarray(array)) == of(array)


def test_numbers_of_64_bits_are_two_words():
    with jax.enable_x64(True):
        array = jnp.asarray(RNG.normal(size=(4, 3)))
        words = np.frombuffer(np.asarray(array).tobytes(), "<u4").tolist()
        assert of(array) == f"float64 {by_hand(words)}"


def test_keys_scalars_and_empty_arrays():
    key = jax.random.key(3)
    assert of(key) == f"uint32 {by_hand(jax.random.key_data(key).tolist())}"
    assert of(jnp.int32(7)) == f"int32 {by_hand([7])}"
    assert of(jnp.zeros((0, 3))) == f"float32 {by_hand([])}"


def test_nan_and_the_sign_of_zero_count():
    array = np.array([np.nan, 0.0], np.float32)
    payload = array.copy().view(np.uint32)
    payload[0] ^= 1
    assert of(array) == of(array.copy())
    assert of(payload.view(np.float32)) != of(array)
    assert of(np.array([np.nan, -0.0], np.float32)) != of(array)


@pytest.mark.parametrize("spec", [(), ("data",), (None, "data")])
def test_however_it_is_sharded_the_digest_is_the_same(mesh, spec):
    array = jax.device_put(MATRIX, NamedSharding(mesh, PartitionSpec(*spec)))
    assert of(array) == of(MATRIX)
    compiled = digests._digest.lower(array).compile().as_text()
    assert "all-gather" not in compiled
    assert "all-to-all" not in compiled


def test_every_bit_and_every_place_counts():
    small, found = MATRIX[:4, :5], set()
    words = small.view(np.uint32)
    for place in np.ndindex(words.shape):
        for bit in range(32):
            flipped = words.copy()
            flipped[place] ^= np.uint32(1 << bit)
            found.add(of(flipped.view(np.float32)))
    assert len(found | {of(small)}) == small.size * 32 + 1
    swapped = small.copy()
    swapped[0, :2] = swapped[0, 1::-1]
    assert len({of(small), of(swapped), of(small.T.copy()), of(np.roll(small, 1))}) == 4


def test_the_first_array_that_differs_is_named():
    tree = {"a": MATRIX, "b": [MATRIX, jnp.arange(3)]}
    saved = digests.format_digests(tree, digests.digest_arrays(tree))
    assert set(saved) == {"a", "b/0", "b/1"}
    assert digests.find_difference(tree, saved) is None
    # Some of what was saved, and what was read as another dtype, is well.
    assert digests.find_difference({"b": [MATRIX]}, saved) is None
    assert digests.find_difference({"a": MATRIX.astype(np.float16)}, saved) is None
    assert digests.find_difference({"a": MATRIX, "b": [MATRIX, jnp.arange(1, 4)]}, saved) == "b/1"


def test_a_folder_of_files(tmp_path):
    folder = tmp_path / "a"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "c").write_bytes(b"content")
    (folder / "d").write_bytes(b"")
    assert digests.check_files(folder) is None
    assert not digests.has_file_digests(folder)
    digests.write_file_digests(folder)
    assert digests.has_file_digests(folder)
    (folder / "new").touch()
    assert digests.check_files(folder) is None
    (folder / "d").write_bytes(b"x")
    assert digests.check_files(folder) == "d is not as it was written"
    (folder / "b" / "c").write_bytes(b"")
    assert digests.check_files(folder) == "b/c is empty"
    (folder / "b" / "c").unlink()
    assert digests.check_files(folder) == "b/c is missing"
    # As the command says it.
    content = (folder / "SHA256SUMS").read_text()
    known = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73  b/c\n"
    assert content.startswith(known)
    (folder / "SHA256SUMS").write_text(content.replace("ed7", "ed8"))
    assert digests.check_files(folder) == "SHA256SUMS is not as it was written"
