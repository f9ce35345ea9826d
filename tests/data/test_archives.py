"""Zip archives are read as the folders that they were packed from, and never unpacked."""

import io
import pickle
import re
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from jaxgan import UserError, data
from jaxgan.data import tree


@pytest.fixture(scope="module")
def emoji(tmp_path_factory):
    """Thirty emoji as a folder of three classes, with captions, a note and files of the system."""
    root = tmp_path_factory.mktemp("own") / "emoji"
    source, lines = data.emoji("test"), []
    for number in range(30):
        name = f"{number % 3}/{number}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source[number]["image"]).save(root / name)
        lines.append(f"{name}\temoji number {number}")
    (root / "captions.tsv").write_text("\n".join(lines))
    (root / ".DS_Store").write_text("")
    return root


def pack(folder, file, base_dir=None):
    return shutil.make_archive(str(file), "zip", folder, base_dir)


def equal(one, other):
    assert len(one) == len(other) == 30
    assert one.num_classes == other.num_classes
    for index in range(len(one)):
        assert one[index].keys() == other[index].keys()
        for name, value in one[index].items():
            np.testing.assert_array_equal(value, other[index][name])


def test_an_archive_is_read_as_its_folder_is(emoji, tmp_path):
    folder, archive = data.folder(emoji), data.folder(pack(emoji, tmp_path / "emoji"))
    assert folder.num_classes == 3
    equal(folder, archive)
    equal(folder, pickle.loads(pickle.dumps(archive)))
    equal(folder, data.load(f"folder:{tmp_path}/emoji.zip", "train"))
    assert archive.other_files == folder.other_files == ["captions.tsv"]
    assert [path.name for path in tmp_path.iterdir()] == ["emoji.zip"]


def test_the_folder_that_all_was_packed_in_is_no_class(emoji, tmp_path):
    file = pack(emoji.parent, tmp_path / "emoji", "emoji")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("__MACOSX/emoji/._1.png", "")
    equal(data.folder(emoji), data.folder(file))


def test_many_threads_read_it_at_once(emoji, tmp_path):
    folder, archive = data.folder(emoji), data.folder(pack(emoji, tmp_path / "emoji"))
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: archive[index]["image"], list(range(30)) * 4))
    for index, image in enumerate(read):
        np.testing.assert_array_equal(image, folder[index % 30]["image"])


def test_splits_pairs_and_captions_are_those_of_folders(emoji, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(emoji, tmp_path / "both" / split)
    both = pack(tmp_path / "both", tmp_path / "both")
    equal(data.folder(emoji), data.folder(both, "test"))
    with_captions = data.captioned_folder(both, "test")
    equal(data.captioned_folder(emoji), with_captions)
    assert with_captions.captions(1) == data.captioned_folder(emoji).captions(1)
    a, b = data.load_pairs(f"folder:{both},{tmp_path}/both", "train")
    equal(a, b)


def write(file, **members):
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["/etc/a.png", "../a.png", "x/../../a.png", "C:\\a.png", "..\\a.png"]
)
def test_paths_that_leave_the_archive_are_refused(name, tmp_path):
    file = write(tmp_path / "bad.zip", **{"1.png": png(), name: png()})
    line = rf"^dataset: '.*bad\.zip' has {re.escape(repr(name))}, expected paths within the archive"
    with pytest.raises(UserError, match=line):
        data.folder(file)


def test_what_is_no_archive_of_images_is_refused(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"^dataset: cannot read '.*no.zip' \(File is not a zip"):
        data.folder(tmp_path / "no.zip")
    write(tmp_path / "texts.zip", **{"a.txt": "a", "b.txt": "b"})
    with pytest.raises(UserError, match=r"^dataset: no image in '.*texts.zip', expected files of"):
        data.folder(tmp_path / "texts.zip")


def test_damaged_members_are_bad_images(tmp_path, monkeypatch):
    file = write(tmp_path / "some.zip", **{"1.png": png(), "2.png": "no image", "3.png": png()})
    content = file.read_bytes()
    place = content.index(b"3.png") + 5 + 20
    file.write_bytes(content[:place] + b"!!!!" + content[place + 4 :])  # another checksum
    source = data.without_bad_images(data.folder(file))
    assert len(source) == 1
    named, cut = source.bad_images
    assert re.match(r"cannot read '.*some.zip/2.png' \(no format that Pillow knows\)", named)
    assert re.match(r"cannot read '.*some.zip/3.png' \(Bad CRC-32 for file '3.png'\)", cut)
    monkeypatch.setattr(tree, "LARGEST", 10)
    with pytest.raises(UserError, match=r"1.png' \(\d+ bytes, more than the 10 of any picture\)"):
        data.folder(file)[0]


def test_encrypted_members_are_named(tmp_path):
    file = write(tmp_path / "secret.zip", **{"1.png": png()})
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"^dataset: '1.png' of '.*secret.zip' is encrypted"):
        data.folder(file)


def test_captions_without_images_are_named(emoji, tmp_path):
    shutil.copytree(emoji, tmp_path / "emoji")
    (tmp_path / "emoji" / "1" / "4.png").unlink()
    file = pack(tmp_path / "emoji", tmp_path / "emoji")
    line = r"^captions: line 5 of '.*emoji.zip/captions.tsv' is of '1/4.png', expected an image"
    with pytest.raises(UserError, match=line):
        data.captioned_folder(file)
