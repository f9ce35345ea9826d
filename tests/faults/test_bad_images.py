"""Bad image files: each is refused by one line that names it, or left out and counted."""

import io
import json
import pickle
import shutil
import struct
import sys
import warnings
import zlib

import mlp_gan
import numpy as np
import pytest
from PIL import Image
from scripts import run

from jaxgan import UserError, data, networks
from jaxgan.commands import translate
from jaxgan.data.folder import BadImage
from jaxgan.training import adversarial, generation
from jaxgan.training.config import check_config
from jaxgan.training.sources import bad_images

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def encoded(form, image=None, **options):
    file = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, form, **options)
    return file.getvalue()


def png(width, height):
    """A small file that says it is an image of so many pixels."""

    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", b""), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bit_flipped(content):
    return content[:300] + bytes([content[300] ^ 4]) + content[301:]


BAD = {
    "empty.png": b"",
    "zeros.png": bytes(1000),
    "text.jpg": b"<html>not an image</html>",
    "vector.png": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "archive.png": b"PK\x03\x04" + bytes(50),
    "flipped.png": bit_flipped(encoded("PNG")),
    "no_size.png": png(0, 5),
    "bomb.png": png(30_000, 30_000),
    "half_a_bomb.png": png(10_000, 9_000),  # of which Pillow only warns
    "nan.tif": encoded("TIFF", Image.fromarray(np.full((4, 4), np.nan, np.float32))),
    **{
        f"{name}.{form.lower()}": encoded(form)[: int(len(encoded(form)) * share)]
        for form in ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
        for name, share in (("cut_at_once", 0.01), ("half", 0.5), ("nearly_whole", 0.95))
    },
    "progressive.jpg": encoded("JPEG", progressive=True)[:1000],
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's of cut TIFF files
@pytest.mark.parametrize("name", BAD)
def test_each_is_refused_in_a_line_that_names_it(name, tmp_path, tally):
    (tmp_path / name).write_bytes(BAD[name])
    line = ""
    try:
        data.folder(tmp_path)[0]
    except BadImage as error:
        line = str(error)
    refused = line.startswith(f"dataset: cannot read '{tmp_path / name}' (") and "\n" not in line
    tally("bad inputs refused", refused, 1)
    assert refused, line


def test_a_bomb_is_refused_whatever_the_users_filter(tmp_path, recwarn):
    (tmp_path / "bomb.png").write_bytes(BAD["half_a_bomb.png"])
    warnings.simplefilter("ignore")
    with pytest.raises(BadImage, match=r"10000 x 9000 pixels, more than Pillow's limit of \d+"):
        data.folder(tmp_path)[0]


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 20, 3), value, np.uint8)).save(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(a folder of two classes with bad images among them, the same without those)."""
    root = tmp_path_factory.mktemp("images")
    for number in range(12):
        save(root / "with" / "ab"[number % 2] / f"{number:02d}.png", 20 * number)
    shutil.copytree(root / "with", root / "without")
    for name, place in (("half.jpeg", "a/03.jpeg"), ("empty.png", "a/zz.png"), ("bomb.png", "b/")):
        target = root / "with" / (place + name if place.endswith("/") else place)
        target.write_bytes(BAD[name])
    return root / "with", root / "without"


def equal(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a.keys() | b.keys())


def test_left_out_it_is_the_folder_without_them(folders):
    broken, whole = (f"folder:{path}" for path in folders)
    source, other = data.load(broken, "train", None, "skip"), data.load(whole, "train")
    assert len(source) == len(other) == 12
    assert source.num_classes == 2
    named = [line.split("'")[1] for line in source.bad_images]
    assert named == [str(folders[0] / name) for name in ("a/03.jpeg", "a/zz.png", "b/bomb.png")]
    look = {"image_size": 16, "channels": 1}
    assert equal(data.load_arrays(source, **look), data.load_arrays(other, **look))
    order = {"batch_size": 5, "seed": 3, **look}
    stream, expected = (data.train_iterator(x, **order) for x in (source, other))
    for _ in range(4):
        assert equal(next(stream), next(expected))
    position = stream.get_state()
    again = data.train_iterator(data.load(broken, "train", None, "skip"), **order)
    again.set_state(json.loads(json.dumps(position)))
    assert equal(next(again), next(expected))
    assert len(pickle.loads(pickle.dumps(source))) == 12


def test_of_none_bad_it_is_the_source_itself(folders):
    source = data.folder(folders[1])
    assert data.without_bad_images(source) is source
    assert bad_images(source, None) == ()


def test_a_stream_stops_at_it_by_its_name(folders):
    source = data.load(f"folder:{folders[0]}", "train")
    stream = data.train_iterator(source, batch_size=15, seed=0, image_size=16, channels=1)
    with pytest.raises(UserError, match=r"^dataset: cannot read '.*(03\.jpeg|zz\.png|bomb\.png)'"):
        next(stream)


def test_captions_stay_with_their_images(tmp_path):
    for number in range(4):
        save(tmp_path / f"{number}.png", 50 * number)
    (tmp_path / "1.png").write_bytes(BAD["empty.png"])
    lines = [f"{number}.png\tnumber {number}\n{number}.png\tthe {number}" for number in range(4)]
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    source = data.load_captioned(f"folder:{tmp_path}", "train", None, "skip")
    assert len(source.bad_images) == 1
    for index, number in enumerate((0, 2, 3)):
        assert source[index]["image"][0, 0, 0] == 50 * number
        assert source[index]["caption"] == f"number {number}"
        assert source.captions(index) == (f"number {number}", f"the {number}")


def test_each_domain_is_without_its_own(folders):
    pair = f"folder:{folders[0]},{folders[1]}"
    a, b = data.load_domains(pair, "train", None, "skip")
    assert (len(a.bad_images), len(a), len(b)) == (3, 12, 12)
    assert len(data.load_domains(pair, "train")[0]) == 15


def test_a_file_that_the_system_does_not_give_is_not_left_out(folders, tmp_path):
    """It would be there again in another process or after a resume, and the order another."""
    shutil.copytree(folders[1], tmp_path / "images")
    source = data.folder(tmp_path / "images")
    (tmp_path / "images" / "b" / "05.png").unlink()
    with pytest.raises(UserError, match=r"05\.png.*expected a file that can be read") as error:
        data.without_bad_images(source)
    assert not isinstance(error.value, BadImage)


def test_none_left_is_an_error(tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^dataset: no image of folder.* is whole: cannot read '"):
        data.load(f"folder:{tmp_path}", "train", None, "skip")


@pytest.mark.parametrize("load", [data.load, data.load_captioned, data.load_domains])
def test_another_policy_is_refused(load):
    with pytest.raises(UserError, match=r"^on_bad_image: got 'keep', expected 'stop' or 'skip'"):
        load("mnist", "train", None, "keep")


@pytest.mark.parametrize("device_data_mb", [512, 0])
def test_a_run_tells_and_counts_them(device_data_mb, folders, tmp_path, capsys):
    config = mlp_gan.get_config("plain")
    changes = {"dataset": f"folder:{folders[0]}", "image_size": 8, "batch_size": 8, "num_steps": 1}
    config.update({**changes, "device_data_mb": device_data_mb, "on_bad_image": "skip"})
    check_config(config)

    def game(*arguments):
        return adversarial.make_game(mlp_gan.make_players, *arguments)

    generation.train(game, config, str(tmp_path / "run"), False)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["bad_images"] == 3
    told = [line for line in capsys.readouterr().err.splitlines() if "are left out" in line]
    assert len(told) == 1
    assert told[0].startswith(f"warning: 3 of 15 images of folder:{folders[0]}, train, are left")
    assert all(name in told[0] for name in ("03.jpeg", "zz.png", "bomb.png"))
    config.on_bad_image = "stop"
    with pytest.raises(UserError, match=r"^dataset: cannot read '.*expected a whole image file"):
        generation.train(game, config, str(tmp_path / "stopped"), False)


def test_translate_names_the_file_of_its_input(folders, tmp_path, monkeypatch):
    def translator(*arguments, **options):
        made = lambda images: images  # noqa: E731
        made.config, made.step = {"image_size": 16, "channels": 3}, 1
        made.generator, _ = networks.pix2pix(16)
        return made

    monkeypatch.setattr(translate, "load_translator", translator)
    arguments = f"--workdir w --input {folders[0]} --output {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", ["translate.py", *arguments.split()])
    with pytest.raises(UserError, match=r"^input: cannot read '/.*/with/a/03\.jpeg' \(.*truncated"):
        translate.main()


def test_a_command_ends_in_one_line(tmp_path, tally):
    bomb = tmp_path / "images" / "half_a_bomb.png"
    bomb.parent.mkdir()
    bomb.write_bytes(BAD["half_a_bomb.png"])  # of which Pillow would tell besides
    result = run("dcgan", tmp_path / "run", dataset=f"folder:{bomb.parent}", num_steps=2)
    right = result.returncode == 2 and result.stderr.startswith(
        f"dcgan.py: error: dataset: cannot read '{bomb}' (10000 x 9000 pixels, more than"
    )
    right = right and result.stderr.count("\n") == 1 and not (tmp_path / "run").exists()
    tally("bad inputs refused", right, 1)
    assert right, result.stderr
