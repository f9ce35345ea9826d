"""Writes PyTorch's two file formats without PyTorch, for the tests of who reads them."""

import collections
import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from typing import NamedTuple
from unittest import mock

import numpy as np

TORCH, UTILS = types.ModuleType("torch"), types.ModuleType("torch._utils")


def named(thing, name, module):
    thing.__qualname__ = thing.__name__ = name
    thing.__module__ = module.__name__
    setattr(module, name, thing)
    return thing


rebuild_parameter = named(lambda: None, "_rebuild_parameter", UTILS)
rebuild_tensor = named(lambda: None, "_rebuild_tensor_v2", UTILS)
STORAGES = {
    dtype: named(type("", (), {}), f"{name}Storage", TORCH)
    for dtype, name in {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long"}.items()
}


class Tensor(NamedTuple):
    """A view of a storage, which is an array of one axis; strides count elements."""

    storage: np.ndarray
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Parameter(NamedTuple):
    """An array that is a parameter."""

    data: np.ndarray


class Storage(NamedTuple):
    """What a tensor is a view of, an array of one axis."""

    data: np.ndarray


class Pickler(pickle.Pickler):
    """Pickles the three above as PyTorch does, and arrays as tensors.

    `storages` then has what the pickle refers to.
    """

    def __init__(self, file, storages, *id_end):
        super().__init__(file, 2)
        self.storages, self.id_end = storages, id_end

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        key = str(id(thing.data))
        self.storages[key] = thing.data
        kind = STORAGES[thing.data.dtype.str[1:]]
        return ("storage", kind, key, "cpu", thing.data.size, *self.id_end)

    def reducer_override(self, thing):
        if isinstance(thing, Parameter):
            return rebuild_parameter, (thing.data, True, collections.OrderedDict())
        if isinstance(thing, np.ndarray):
            strides = tuple(s // thing.itemsize for s in thing.strides)
            # The elements in the order of memory, as a transposed tensor's storage has them.
            thing = Tensor(thing.ravel("K"), 0, thing.shape, strides)
        if isinstance(thing, Tensor):
            storage, *view = thing
            return rebuild_tensor, (Storage(storage), *view, False, collections.OrderedDict())
        return NotImplemented


@contextlib.contextmanager
def imitated_torch():
    """While pickling, the names have to be importable."""
    with mock.patch.dict(sys.modules, {"torch": TORCH, "torch._utils": UTILS}):
        yield


def write_zip(path, thing, byteorder=b"little"):
    """As `torch.save` since 1.6."""
    pickled, storages = io.BytesIO(), {}
    with imitated_torch():
        Pickler(pickled, storages).dump(thing)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled.getvalue())
        archive.writestr("archive/byteorder", byteorder)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data.tobytes())
        archive.writestr("archive/version", b"3\n")


def write_legacy(path, thing, little_endian=True):
    """As `torch.save` before."""
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": sizes}
    storages = {}
    with open(path, "wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(header, file, 2)
        with imitated_torch():
            Pickler(file, storages, None).dump(thing)
        pickle.dump(list(storages), file, 2)
        for data in storages.values():
            file.write(struct.pack("<q", data.size) + data.tobytes())
