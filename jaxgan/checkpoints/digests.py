"""Digests by which a checkpoint proves that it holds what was saved.

Arrays are digested where they are, on any devices and processes, without being gathered: two sums
over all elements of a hash of the element's bits and of its place. Sums do not depend on the order,
so a state may be read on other devices than it was written from. Whatever changes a single word
changes its sums for certain; any other damage goes unseen with a chance of about 2^-64. That is
enough against accidents. It is no signature: who wants to forge a checkpoint can.

Files are digested by SHA-256, in the format of the command `sha256sum`, so that
`cd runs/checkpoints/3000 && sha256sum -c SHA256SUMS` checks a checkpoint as well.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import cpu
from jaxgan.files import write_atomically
from jaxgan.state import PyTree

__all__ = [
    "check_files",
    "digest_arrays",
    "digest_json",
    "find_difference",
    "format_digests",
    "has_file_digests",
    "write_file_digests",
]

_FILE = "SHA256SUMS"
_OF_ITSELF = "# sha256 of the lines above: "


def digest_arrays(tree: PyTree) -> dict[str, jax.Array]:
    """Starts to digest a tree of arrays, each where it is.

    With w the 32-bit words of an array, padded if an element has fewer bits, i the place of a word
    in the whole array, and f, g and h invertible hashes of 32 bits:

        digest = (sum_i f(w_i xor h(i)), sum_i g(w_i + h(i))) mod 2^32

    Args:
      tree: arrays of any shape, dtype and sharding; random keys are taken as their numbers.

    Returns:
      By the path of each array, such as "generator/params/Dense_0/kernel", its digest, (2,) uint32.

    Examples:
      >>> digest_arrays({"a": jnp.zeros(3)})["a"].shape
      (2,)
    """
    return {path: cpu.in_turn(_digest(numbers)) for path, numbers in _by_path(tree).items()}


def format_digests(tree: PyTree, digests: dict[str, jax.Array]) -> dict[str, str]:
    """Waits for digests and brings them with the dtypes into a form for JSON.

    Args:
      tree: what `digest_arrays` was given.
      digests: what it returned.

    Returns:
      By path, such as {"a": "float32 0123456789abcdef"}.

    Examples:
      >>> tree = {"a": jnp.zeros(3)}
      >>> format_digests(tree, digest_arrays(tree))["a"].split()[0]
      'float32'
    """
    values = jax.device_get(digests)
    return {
        path: "{} {:08x}{:08x}".format(numbers.dtype, *values[path].tolist())
        for path, numbers in _by_path(tree).items()
    }


def find_difference(tree: PyTree, saved: dict[str, str]) -> str | None:
    """The first array that is not what it was when it was digested.

    Args:
      tree: arrays that were read; they may be some of those that were saved.
      saved: from `format_digests`, of all that were saved.

    Returns:
      The path of the array, or None. An array that was read as another dtype is not compared, nor
      is one of which there is no digest.

    Examples:
      >>> saved = format_digests({"a": jnp.zeros(3)}, digest_arrays({"a": jnp.zeros(3)}))
      >>> find_difference({"a": jnp.ones(3)}, saved)
      'a'
    """
    for path, digest in format_digests(tree, digest_arrays(tree)).items():
        before = saved.get(path, digest)
        if before.split()[0] == digest.split()[0] and before != digest:
            return path
    return None


def digest_json(content: Any) -> str:
    """SHA-256 of JSON, whatever its spaces and the order of its keys.

    Examples:
      >>> digest_json({"a": (1, 2), "b": 3}) == digest_json({"b": 3, "a": [1, 2]})
      True
    """
    # Once there and back, so that tuples equal lists and numbers as keys equal text.
    content = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_file_digests(folder: Path) -> None:
    """Writes the digests of all files below a folder into its SHA256SUMS, as a whole or not at all.

    Examples:
      >>> write_file_digests(Path("runs/checkpoints/3000"))  # doctest: +SKIP
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = "".join(
        f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in paths
        if path.name != _FILE
    )
    own = hashlib.sha256(lines.encode()).hexdigest()
    write_atomically(folder / _FILE, f"{lines}{_OF_ITSELF}{own}\n".encode())


def has_file_digests(folder: Path) -> bool:
    """Whether `write_file_digests` has been there.

    Examples:
      >>> has_file_digests(Path("runs/checkpoints/3000"))
      False
    """
    return (folder / _FILE).exists()


def check_files(folder: Path) -> str | None:
    """Compares the files below a folder with their digests.

    Args:
      folder: for which `write_file_digests` was called.

    Returns:
      What is wrong with the first file that is not what it was, as "state/_METADATA is missing",
      or None. A folder without digests is not looked at. Files that have come since do no harm.

    Examples:
      >>> check_files(Path("runs/checkpoints/3000"))
    """
    if not has_file_digests(folder):
        return None
    lines, mark, own = (folder / _FILE).read_bytes().rpartition(_OF_ITSELF.encode())
    if not mark or own != f"{hashlib.sha256(lines).hexdigest()}\n".encode():
        return f"{_FILE} is not as it was written"
    for line in lines.decode().splitlines():
        digest, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        try:
            if _sha256(path) != digest:
                return f"{name} is {'not as it was written' if path.stat().st_size else 'empty'}"
        except OSError as error:  # a bad sector
            return f"{name} cannot be read: {error.strerror}"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_path(tree: PyTree) -> dict[str, jax.Array]:
    def numbers(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): numbers(leaf)
        for path, leaf in leaves
    }


# By itself for each array: those of the same shape share one small program, and arrays that lie on
# different devices need not come together.
@jax.jit
def _digest(array: jax.Array) -> jax.Array:
    words = _words(array)
    # The place in the whole array, without a reshape, for which a sharded one would be gathered.
    place = jnp.zeros(words.shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(words.ndim)):
        along = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
        place += along * np.uint32(stride % 2**32)
        stride *= words.shape[axis]
    place = _mix(place + np.uint32(1), 0x21F0AAAD, 0x735A2D97)
    first = _mix(words ^ place, 0x85EBCA6B, 0xC2B2AE35)
    second = _mix(words + place, 0x7FEB352D, 0x846CA68B)
    # Of uint32 also where 64 bits are switched on, so that the sums wrap.
    return jnp.stack([jnp.sum(lane, dtype=jnp.uint32) for lane in (first, second)])


def _words(array: jax.Array) -> jax.Array:
    if array.dtype == bool:
        return array.astype(jnp.uint32)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        array = jnp.stack([array.real, array.imag], -1)
    bits = jax.dtypes.itemsize_bits(array.dtype)
    # Of 64 bits it makes an axis of two times 32.
    words = jax.lax.bitcast_convert_type(array, jnp.dtype(f"uint{min(bits, 32)}"))
    return words.astype(jnp.uint32)


def _mix(words: jax.Array, first: int, second: int) -> jax.Array:
    """An invertible hash of 32 bits: twice, the upper bits onto the lower and an odd factor."""
    words = (words ^ (words >> 16)) * np.uint32(first)
    words = (words ^ (words >> 15)) * np.uint32(second)
    return words ^ (words >> 15)
