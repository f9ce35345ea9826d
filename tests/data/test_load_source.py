import pytest
from PIL import Image

from jaxgan.data import load
from jaxgan.errors import UserError


def test_mnist():
    assert repr(load("mnist", "test")) == "mnist('test')"


def test_folder(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "1.png")
    assert len(load(f"folder:{tmp_path}", "train")) == 1
    assert load(f"folder:{tmp_path}", "test") is None


@pytest.mark.parametrize("dataset", ["", None, 3])
def test_bad_name(dataset):
    with pytest.raises(UserError, match=r"^dataset: got .*, expected 'mnist', 'folder:PATH' or"):
        load(dataset, "train")


@pytest.mark.parametrize("dataset", ["folder:", "folder:/nowhere/at/all"])
def test_missing_folder(dataset):
    with pytest.raises(UserError, match=r"^dataset: .*expected a folder of images.*$"):
        load(dataset, "train")
