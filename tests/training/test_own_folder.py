"""What is chosen by the images of a folder, and what is told of them: on real files."""

import functools
import importlib
import shutil

import dcgan
import mlp_gan
import numpy as np
import pytest
import r3gan
from PIL import Image
from scripts import run

from jaxgan import UserError, data
from jaxgan.files import write_json
from jaxgan.training import adversarial, generation, own_folder
from jaxgan.training.own_folder import fit_to_folder, tell_of_folder

EMOJI = data.emoji("test")


def write(folder, count=36, size=64, mode="RGB", start=0):
    """So many emoji as PNG files, of this size."""
    folder.mkdir(exist_ok=True)
    for number in range(start, start + count):
        image = Image.fromarray(EMOJI[number]["image"]).resize((size, size)).convert(mode)
        image.save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture
def fit(tmp_path, capsys, monkeypatch):
    """(a folder, fields that are given) -> the config, what is told, and the warnings."""
    monkeypatch.setattr(own_folder, "FEW", 1)

    def make(dataset, *given, **fields):
        own_folder._look_at.cache_clear()
        config = dcgan.get_config()
        config.dataset = f"folder:{dataset}"
        for name, value in fields.items():
            config[name] = value
        fit_to_folder(config, {*given, *fields}, tmp_path / "run")
        tell_of_folder(config)
        out, err = capsys.readouterr()
        return config, out, err.splitlines()

    return make


@pytest.mark.parametrize(
    ("size", "mode", "image_size", "channels"),
    [(72, "RGB", 64, 3), (64, "RGBA", 64, 3), (63, "P", 32, 3), (31, "L", 28, 1), (64, "1", 64, 1)],
)
def test_size_and_channels_are_those_of_the_images(size, mode, image_size, channels, tmp_path, fit):
    config, told, warnings = fit(write(tmp_path / "own", 6, size, mode))
    assert (config.image_size, config.channels, warnings) == (image_size, channels, [])
    what = "RGB" if channels == 3 else "grey"
    assert told == (
        f"folder:{tmp_path}/own: 6 {what} images, {size} × {size} most often, made {what} of "
        f"{image_size} × {image_size} (--config.channels, --config.image_size)\n"
    )


def test_an_archive_is_looked_at_as_a_folder_is(tmp_path, fit):
    folder = write(tmp_path / "own")
    config, _, warnings = fit(shutil.make_archive(str(folder), "zip", folder))
    assert (config.image_size, config.channels, warnings) == (64, 3, [])
    (folder / "note.txt").write_text("a note")
    _, _, warnings = fit(shutil.make_archive(str(folder), "zip", folder))
    assert warnings == ["warning: 1 files of the archive are no images, and left out: 'note.txt'"]
    assert fit(folder)[2] == []


def test_a_flag_wins(tmp_path, fit):
    folder = write(tmp_path / "own")
    config, told, _ = fit(folder, image_size=32)
    assert (config.image_size, config.channels) == (32, 3)
    assert "made RGB of 32 × 32" in told
    config, told, _ = fit(folder, "image_size", "channels")
    assert (config.image_size, config.channels) == (28, 1)
    assert "36 RGB images, 64 × 64 most often, made grey of 28 × 28" in told


def test_a_preset_keeps_its_size(tmp_path):
    config = r3gan.get_config("ffhq256")
    config.dataset = f"folder:{write(tmp_path / 'own')}"
    fit_to_folder(config, {"dataset"}, tmp_path / "run")
    assert (config.image_size, config.channels) == (256, 3)


def test_emoji_are_64_pixels_and_rgb(tmp_path):
    for given, size in ((set(), 64), ({"image_size"}, 28)):
        config = dcgan.get_config()
        config.dataset = "emoji_twitter"
        fit_to_folder(config, given, tmp_path / "run")
        assert (config.image_size, config.channels) == (size, 3)


def test_other_data_is_left_as_it_is(tmp_path, capsys):
    config = dcgan.get_config()
    fit_to_folder(config, set(), tmp_path)
    tell_of_folder(config)
    assert config.to_dict() == dcgan.get_config().to_dict()
    assert capsys.readouterr() == ("", "")


def test_a_run_goes_on_as_it_began(tmp_path, fit):
    folder = write(tmp_path / "own", 6)
    (tmp_path / "run").mkdir()
    old = {"dataset": f"folder:{folder}", "image_size": 28, "channels": 1}
    write_json(tmp_path / "run" / "config.json", old)
    config, _, _ = fit(folder)
    assert (config.image_size, config.channels) == (28, 1)
    write_json(tmp_path / "run" / "config.json", {**old, "dataset": "mnist"})
    config, _, _ = fit(folder)
    assert (config.image_size, config.channels) == (64, 3)


def test_what_is_wrong_with_images_is_told(tmp_path, fit, monkeypatch):
    monkeypatch.setattr(own_folder, "FEW", 43)
    folder = write(tmp_path / "own")
    write(folder, 2, 20, start=36)
    write(folder, 1, mode="L", start=38)
    Image.fromarray(np.repeat(EMOJI[39]["image"], 3, axis=1)).save(folder / "039.png")
    shutil.copy(folder / "000.png", folder / "040.png")
    (folder / "041.png").write_text("no image")
    config, _, warnings = fit(folder)
    assert (config.image_size, config.channels) == (64, 3)
    assert warnings == [
        "warning: 42 images are few, and may be learnt by heart; more are better, or "
        "--config.augment=color,translation,cutout",
        f"warning: 2 of 41 images are smaller than 64 pixels: '{folder}/036.png' is 20 × 20",
        f"warning: 1 of 41 images lose more than half, cut to a square: '{folder}/039.png' is "
        "192 × 64",
        f"warning: 1 of 41 images are grey among RGB: '{folder}/038.png'",
        f"warning: 1 of 41 images are copies of others: '{folder}/040.png' of '{folder}/000.png'",
    ]
    _, _, warnings = fit(folder, augment="color")
    assert warnings[0] == "warning: 42 images are few, and may be learnt by heart"


def test_many_images_are_looked_at_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("jaxgan.data.survey"), "MOST", 3)
    looks = data.survey(data.folder(write(tmp_path / "own", 5)))
    assert [look.name[-8:-1] for look in looks] == ["000.png", "002.png", "004.png"]


def test_no_folder_is_refused(tmp_path, fit):
    with pytest.raises(UserError, match=r"^dataset: '.*nowhere' is not there"):
        fit(tmp_path / "nowhere")


@pytest.mark.parametrize(("megabytes", "read"), [(512, "load_arrays"), (0, "train_iterator")])
@pytest.mark.parametrize("flip", [False, True])
def test_the_mirror_images_are_trained_on_when_asked_for(
    flip, megabytes, read, tmp_path, monkeypatch
):
    """On the device and from files; what the function is given is looked at on its way."""
    config, found = mlp_gan.get_config("plain"), []
    config.dataset = f"folder:{write(tmp_path / 'own', 12, size=8)}"
    fields = {"image_size": 8, "channels": 3, "batch_size": 8, "num_steps": 1, "flip": flip}
    for name, value in {**fields, "device_data_mb": megabytes}.items():
        config[name] = value
    function = getattr(data, read)

    def looked_at(source, **options):
        found.append(source)
        return function(source, **options)

    monkeypatch.setattr(data, read, looked_at)
    game = functools.partial(adversarial.make_game, mlp_gan.make_players)
    generation.train(game, config, str(tmp_path / "run"), False)
    assert [len(source) for source in found] == [24 if flip else 12]


def test_a_folder_is_all_that_a_command_needs(tmp_path):
    """From the command line to what is to be done next; the same command then goes on."""
    folder = write(tmp_path / "own", 12, size=30, mode="L")
    few = {"num_steps": 2, "batch_size": 4, "log_every": 1}
    for told in (True, False):
        result = run("mlp_gan", tmp_path / "run", dataset=f"folder:{folder}", **few)
        assert result.returncode == 0, result.stderr
        assert ("made grey of 28 × 28" in result.stdout) == told
        assert ("warning: 12 images are few" in result.stderr) == told
    for line in (
        f"jaxgan sample --workdir {tmp_path}/run --num 64 --out grid.png",
        f"jaxgan evaluate --workdir {tmp_path}/run",
        f"jaxgan explore --workdir {tmp_path}/run --what neighbours --out neighbours.png",
    ):
        assert f"\n  {line}\n" in result.stdout
