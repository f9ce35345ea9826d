"""PyTorch's files: both formats come back exactly, and nothing that a file names is run."""

import collections
import os
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch_writer
from torch_writer import Parameter, Tensor, write_legacy, write_zip

from jaxgan.errors import UserError
from jaxgan.metrics.torch_file import read_torch_file

WRITERS = {"zip": write_zip, "legacy": write_legacy}
every_format = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


def refused(path, match=""):
    with pytest.raises(UserError) as error:
        read_torch_file(path)
    assert re.fullmatch(rf"weights: [^\n]*{match}[^\n]*, expected [^\n]*", str(error.value))


@every_format
def test_tensors_come_back_exactly(write, tmp_path):
    rng = np.random.default_rng(0)
    tensors = collections.OrderedDict(
        {
            "one.weight": rng.standard_normal((4, 3, 2, 5)).astype(np.float32),
            "transposed": rng.standard_normal((3, 4, 2)).astype(np.float32).transpose(2, 0, 1),
            "double": rng.standard_normal(7),
            "half": rng.standard_normal((2, 2)).astype(np.float16),
            "one.num_batches_tracked": np.array(12345678901),
        }
    )
    # PyTorch leaves the versions of the modules in an attribute.
    tensors._metadata = collections.OrderedDict({"": {"version": 1}})
    write(tmp_path / "weights.pth", tensors)
    read = read_torch_file(tmp_path / "weights.pth")
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype, name
        np.testing.assert_array_equal(read[name], tensor, strict=True)


@every_format
def test_views_of_one_storage(write, tmp_path):
    storage = np.arange(12, dtype=np.float32)
    write(
        tmp_path / "weights.pth",
        {
            "all": Tensor(storage, 0, (3, 4), (4, 1)),
            "column": Tensor(storage, 1, (3,), (4,)),
            "transposed": Tensor(storage, 0, (4, 3), (1, 4)),
            "repeated": Tensor(storage, 11, (2, 2), (0, 0)),
            "nothing": Tensor(storage, 0, (0, 3), (3, 1)),
        },
    )
    read = read_torch_file(tmp_path / "weights.pth")
    table = storage.reshape(3, 4)
    np.testing.assert_array_equal(read["all"], table)
    np.testing.assert_array_equal(read["column"], table[:, 1])
    np.testing.assert_array_equal(read["transposed"], table.T)
    np.testing.assert_array_equal(read["repeated"], np.full((2, 2), 11))
    assert read["nothing"].shape == (0, 3)


@every_format
def test_a_parameter_is_its_tensor(write, tmp_path):
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    write(tmp_path / "weights.pth", {"weight": Parameter(weight)})
    np.testing.assert_array_equal(read_torch_file(tmp_path / "weights.pth")["weight"], weight)


class Attack:
    """Unpickled, it makes a folder."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@every_format
def test_what_the_file_calls_is_not_called(write, tmp_path):
    marker = tmp_path / "it ran"
    attack = {"weight": np.zeros(2, np.float32), "other": Attack(marker)}
    write(tmp_path / "weights.pth", attack)
    refused(tmp_path / "weights.pth", r"it asks for '\w+\.mkdir'")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Attack(marker)))
    assert marker.exists()


@pytest.mark.parametrize("before", range(3))
def test_nor_from_the_header_of_the_legacy_format(before, tmp_path):
    marker, path = tmp_path / "it ran", tmp_path / "weights.pth"
    write_legacy(path, {})
    with path.open("rb") as file:
        for _ in range(before):
            pickle.load(file)
        kept = path.read_bytes()[: file.tell()]
    path.write_bytes(kept + pickle.dumps(Attack(marker)))
    refused(path, "it asks for ")
    assert not marker.exists()


NAMES = (
    "os system",
    "builtins eval",
    "builtins getattr",
    "collections Counter",
    "collections OrderedDict.fromkeys",
    "numpy dtype",
    "torch load",
    "torch._utils _rebuild_tensor",
    "torch.storage _load_from_bytes",
    "nowhere FloatStorage",
    "jaxgan.metrics.torch_file read_torch_file",
)


@pytest.mark.parametrize("name", NAMES)
def test_other_names_are_refused(name, tmp_path):
    # Protocol 0: GLOBAL module name, STOP; the name alone, with nothing called.
    module, attribute = name.split()
    with zipfile.ZipFile(tmp_path / "weights.pth", "w") as archive:
        archive.writestr("archive/data.pkl", f"c{module}\n{attribute}\n.")
    refused(tmp_path / "weights.pth", re.escape(f"it asks for '{module}.{attribute}'"))


@every_format
def test_elements_are_numbers_and_not_pointers(write, tmp_path, monkeypatch):
    monkeypatch.setitem(torch_writer.STORAGES, "f8", "O")
    write(tmp_path / "weights.pth", {"weight": np.full(4, 1e300)})
    refused(tmp_path / "weights.pth", "something else than a storage")


BEYOND = {
    "too many": (0, (13,), (1,)),
    "from an offset": (4, (9,), (1,)),
    "by strides": (0, (2, 4), (9, 1)),
    "negative offset": (-1, (2,), (1,)),
    "negative stride": (5, (3,), (-1,)),
    "negative shape": (0, (-1,), (1,)),
    "fewer strides": (0, (2, 2), (1,)),
}


@pytest.mark.parametrize("view", BEYOND.values(), ids=BEYOND.keys())
@every_format
def test_a_tensor_stays_in_its_storage(write, view, tmp_path):
    storage = np.arange(12, dtype=np.float32)
    write(tmp_path / "weights.pth", {"weight": Tensor(storage, *view)})
    refused(tmp_path / "weights.pth", "no file of tensors")


@every_format
def test_an_empty_storage_has_no_elements(write, tmp_path):
    storage = np.zeros(0, np.float32)
    write(tmp_path / "weights.pth", {"weight": Tensor(storage, 0, (5,), (1,))})
    refused(tmp_path / "weights.pth", "no file of tensors")


@every_format
def test_a_file_that_is_cut_off(write, tmp_path):
    path = tmp_path / "weights.pth"
    write(path, {"weight": np.ones((3, 5), np.float32)})
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        refused(path, "no file of tensors")


def test_a_legacy_file_without_the_elements_of_a_tensor(tmp_path):
    path, storage = tmp_path / "weights.pth", np.ones(6, np.float32)
    write_legacy(path, {"weight": Tensor(storage, 0, (6,), (1,))})
    before, keys, _ = path.read_bytes().rpartition(pickle.dumps([str(id(storage))], 2))
    assert keys
    path.write_bytes(before + pickle.dumps([], 2))
    refused(path, "list of storages")


def test_a_member_of_another_length(tmp_path):
    source, path = tmp_path / "source.pth", tmp_path / "weights.pth"
    write_zip(source, {"weight": np.ones(6, np.float32)})
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(path, "w") as short:
        for name in whole.namelist():
            data = whole.read(name)
            short.writestr(name, data[:-4] if "/data/" in name else data)
    refused(path, "has 5 elements in place of 6")


def test_big_endian_numbers_are_refused(tmp_path):
    write_zip(tmp_path / "zip.pth", {}, byteorder=b"big")
    refused(tmp_path / "zip.pth", "big-endian")
    write_legacy(tmp_path / "legacy.pth", {}, little_endian=False)
    refused(tmp_path / "legacy.pth", "big-endian")


@pytest.mark.parametrize("thing", [[1, 2], {"epoch": 3}, {1: np.zeros(2)}, np.zeros(2), "weights"])
@every_format
def test_other_contents_are_refused(write, thing, tmp_path):
    write(tmp_path / "weights.pth", thing)
    refused(tmp_path / "weights.pth", "something else than tensors by name")


def test_what_is_no_file_of_pytorch(tmp_path):
    refused(tmp_path / "none.pth", "cannot read .*No such file")
    refused(tmp_path, "cannot read")
    (tmp_path / "text.pth").write_text("not found\n")
    refused(tmp_path / "text.pth", "no file of tensors")
    (tmp_path / "number.pth").write_bytes(pickle.dumps(7))
    refused(tmp_path / "number.pth", "does not begin as one")
