"""Weight files of PyTorch, read without PyTorch and without running what they hold.

Such a file is a pickle, which names the tensors with their shapes and strides, and the raw bytes
of the storages that the tensors are views of. Since PyTorch 1.6 these are members of a zip file;
before, and with `_use_new_zipfile_serialization=False` still, they follow one another.
A pickle is a program that may call whatever it names; here it may name only what tensors need.
"""

import collections
import io
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxgan.errors import UserError

__all__ = ["convert_weights", "read_torch_file"]

PyTree = Any

_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
}
_TORCH_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_LEGACY_MAGIC, _LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a .pth file, of either format of PyTorch.

    Args:
      path: a state_dict saved by `torch.save`, of float16, float32, float64 or int64 tensors.

    Returns:
      The tensors by name, in the file's dtypes. Nothing that the file names is imported or called.

    Raises:
      UserError: the file cannot be read, is cut off, or holds anything but a dictionary of tensors.

    Examples:
      >>> tensors = read_torch_file("pt_inception-2015-12-05-6726825d.pth")  # doctest: +SKIP
      >>> tensors["fc.weight"].shape  # doctest: +SKIP
      (1008, 2048)

    Source: the PyTorch documentation, "Serialization semantics"; the legacy format has no
    description besides `torch/serialization.py`.
    """
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            tensors = _read_zip(file) if is_zip else _read_legacy(file)
    except OSError as error:
        raise UserError(
            f"weights: cannot read {str(path)!r} ({error.strerror}), expected a file of PyTorch"
        ) from error
    except Exception as error:  # A damaged pickle can fail in any way.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"weights: {str(path)!r} is no file of tensors ({reason}), expected a state_dict "
            "saved by torch.save"
        ) from error
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(tensor, np.ndarray) for name, tensor in tensors.items()
    ):
        raise UserError(
            f"weights: {str(path)!r} holds something else than tensors by name, expected a "
            "state_dict saved by torch.save"
        )
    return dict(tensors)


def convert_weights(tensors: Mapping[str, np.ndarray], like: PyTree) -> PyTree:
    """Turns the tensors of a PyTorch module into the variables of a Flax module of the same names.

        kernels (out, in, h, w) -> (h, w, in, out);  matrices (out, in) -> (in, out)

    Args:
      tensors: name -> array, with PyTorch's names of parameters and batch norm statistics.
      like: {"params", "batch_stats"}, whose leaves have the `shape` that is wanted.

    Returns:
      The same tree of float32 NumPy arrays.

    Raises:
      UserError: a tensor is missing, is of another shape, or has no place in `like`.

    Examples:
      >>> like = {"params": {"fc": {"kernel": np.zeros((3, 2))}}}
      >>> convert_weights({"fc.weight": np.ones((2, 3))}, like)["params"]["fc"]["kernel"].shape
      (3, 2)
    """
    # A counter of training batches; nothing else may be left over.
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}

    def convert(path, leaf):
        _collection, *modules, kind = (key.key for key in path)
        name = ".".join([*modules, _TORCH_NAMES[kind]])
        shape = leaf.shape
        if kind == "kernel":
            shape = (shape[-1], shape[-2], *shape[:-2])
        if name not in tensors:
            raise UserError(f"weights: got no tensor {name}, expected one of shape {shape}")
        if tensors[name].shape != shape:
            raise UserError(f"weights: got {name} of shape {tensors[name].shape}, expected {shape}")
        left.discard(name)
        tensor = tensors[name].astype(np.float32)
        return np.moveaxis(tensor, (0, 1), (-1, -2)) if kind == "kernel" else tensor

    variables = jax.tree_util.tree_map_with_path(convert, like)
    if left:
        raise UserError(
            f"weights: got a tensor {min(left)!r}, expected none besides those of the network"
        )
    return variables


def _read_zip(file):
    with zipfile.ZipFile(file) as archive:
        # All members lie in one folder, which has the name that the file had when it was saved.
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        # Early versions did not write it.
        if f"{folder}byteorder" in archive.namelist():
            _check_byte_order(archive.read(f"{folder}byteorder") == b"little")

        def storage(key, dtype, size):
            data = np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)
            if data.size != size:
                raise ValueError(f"storage {key} has {data.size} elements in place of {size}")
            return data

        return _Unpickler(io.BytesIO(archive.read(pickled)), storage).load()


def _read_legacy(file):
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
        raise ValueError("it does not begin as one")
    _check_byte_order(_Unpickler(file).load()["little_endian"])
    storages = {}

    def storage(key, dtype, size):
        # The tensors come first and are views of what is read only after them.
        return storages.setdefault(key, np.zeros(size, dtype))

    tensors = _Unpickler(file, storage).load()
    keys = _Unpickler(file).load()
    if set(keys) != set(storages):
        raise ValueError("its list of storages is not that of its tensors")
    for key in keys:
        data = storages[key]
        (size,) = struct.unpack("<q", file.read(8))
        if size != data.size or file.readinto(data) != data.nbytes:
            raise ValueError(f"storage {key} is cut off")
    return tensors


def _check_byte_order(little):
    if not little:
        raise ValueError("its numbers are big-endian")


class _Unpickler(pickle.Unpickler):
    """Unpickles numbers, strings, containers and tensors; `storage` gives a tensor's elements."""

    def __init__(self, file, storage=None):
        super().__init__(file)
        self._storage = storage

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'!r}")

    def persistent_load(self, pid):
        kind, dtype, key, _device, size, *view = pid
        # A dtype of the file's own, such as "O", would let its bytes be taken for pointers.
        if (
            self._storage is None
            or kind != "storage"
            or dtype not in _STORAGES.values()
            or any(view)
        ):
            raise pickle.UnpicklingError("it refers to something else than a storage")
        return self._storage(key, dtype, size)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    # NumPy's own check lets an empty buffer pass.
    end = offset + 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (math.prod(shape) and end > storage.size):
        raise ValueError("a tensor reaches beyond its storage")
    size = storage.itemsize
    return np.ndarray(
        shape, storage.dtype, storage, offset * size, [stride * size for stride in strides]
    )


def _rebuild_parameter(tensor, *_):
    return tensor
