import pickle

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import folder
from jaxgan.errors import UserError


def save(path, value=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (value, value, value)).save(path, **options)


def first_values(source):
    return [int(source[i]["image"][0, 0, 0]) for i in range(len(source))]


def test_flat_folder_has_no_labels(tmp_path):
    for name, value in [("b.png", 20), ("a.bmp", 10), ("C.PPM", 5)]:
        save(tmp_path / name, value)
    (tmp_path / "notes.txt").write_text("no image")
    source = folder(tmp_path)
    assert source.num_classes is None
    assert set(source[0]) == {"image"}
    assert source[0]["image"].shape == (3, 4, 3)
    assert source[0]["image"].dtype == np.uint8
    assert first_values(source) == [5, 10, 20]
    assert folder(str(tmp_path), "test") is None


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff", "ppm", "pgm"]
)
def test_every_format_is_read(tmp_path, suffix):
    Image.new("L", (4, 3), 200).save(tmp_path / f"x.{suffix}")
    (example,) = [folder(tmp_path)[0]]
    np.testing.assert_allclose(example["image"].astype(int), 200, atol=3)


def test_first_level_folders_are_the_classes(tmp_path):
    save(tmp_path / "rose" / "deep" / "er" / "1.png", 1)
    save(tmp_path / "rose" / "2.png", 2)
    save(tmp_path / "iris" / "3.png", 3)
    save(tmp_path / ".cache" / "4.png", 4)
    save(tmp_path / "rose" / "._2.png", 5)
    source = folder(tmp_path)
    assert source.num_classes == 2
    assert first_values(source) == [3, 2, 1]
    labels = [source[i]["label"] for i in range(3)]
    assert [int(label) for label in labels] == [0, 1, 1]
    assert labels[0].dtype == np.int32


def test_an_image_outside_the_folders_makes_it_unlabelled(tmp_path):
    save(tmp_path / "rose" / "1.png", 1)
    save(tmp_path / "2.png", 2)
    source = folder(tmp_path)
    assert source.num_classes is None
    assert first_values(source) == [2, 1]


def test_train_and_test_folders_are_the_splits(tmp_path):
    save(tmp_path / "train" / "a" / "1.png", 1)
    save(tmp_path / "train" / "b" / "2.png", 2)
    save(tmp_path / "test" / "b" / "3.png", 3)
    train, test = folder(tmp_path, "train"), folder(tmp_path, "test")
    assert (first_values(train), first_values(test)) == ([1, 2], [3])
    assert train.num_classes == test.num_classes == 2
    assert int(test[0]["label"]) == 1


def test_unlabelled_splits(tmp_path):
    save(tmp_path / "train" / "1.png", 1)
    save(tmp_path / "test" / "x" / "2.png", 2)
    assert set(folder(tmp_path, "train")[0]) == set(folder(tmp_path, "test")[0]) == {"image"}


def test_train_alone_is_a_class(tmp_path):
    save(tmp_path / "train" / "1.png", 1)
    assert folder(tmp_path).num_classes == 1
    assert folder(tmp_path, "test") is None


def test_files_are_opened_lazily(tmp_path):
    save(tmp_path / "1.png")
    source = folder(tmp_path)
    save(tmp_path / "1.png", 77)
    assert first_values(source) == [77]


def test_pickle_and_repr(tmp_path):
    save(tmp_path / "a" / "1.png", 9)
    source = folder(tmp_path)
    again = pickle.loads(pickle.dumps(source))
    assert repr(again) == repr(source) == f"folder({str(tmp_path)!r}, 1 images)"
    assert (first_values(again), int(again[0]["label"])) == ([9], 0)


def read(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return folder(tmp_path)[0]["image"]


def test_grey_stays_one_channel(tmp_path):
    assert read(tmp_path, Image.new("L", (2, 2), 7)).tolist() == [[[7], [7]]] * 2


def test_black_and_white(tmp_path):
    assert read(tmp_path, Image.new("1", (1, 1), 1)).tolist() == [[[255]]]


def test_palette_becomes_its_colours(tmp_path):
    image = Image.new("P", (1, 1), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert read(tmp_path, image).tolist() == [[[10, 20, 30]]]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (0, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("LA", (0, 0), [255]),
        ("LA", (40, 255), [40]),
    ],
)
def test_transparency_is_laid_over_white(tmp_path, mode, colour, expected):
    assert read(tmp_path, Image.new(mode, (1, 1), colour)).tolist() == [[expected]]


def test_half_transparent_black_is_half_grey(tmp_path):
    pixel = read(tmp_path, Image.new("RGBA", (1, 1), (0, 0, 0, 128)))[0, 0]
    np.testing.assert_allclose(pixel.astype(int), 127, atol=1)


def test_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (1, 1), 0)
    image.putpalette([5, 6, 7, 10, 20, 30])
    assert read(tmp_path, image, transparency=0).tolist() == [[[255, 255, 255]]]


def test_sixteen_bits_are_scaled(tmp_path):
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert read(tmp_path, Image.fromarray(deep)).ravel().tolist() == [0, 1, 128, 255]


def test_floating_point_is_scaled(tmp_path):
    deep = np.array([[0.0, 0.5, 1.0, 2.0]], np.float32)
    assert read(tmp_path, Image.fromarray(deep), "x.tif").ravel().tolist() == [0, 128, 255, 255]


def test_cmyk_becomes_rgb(tmp_path):
    image = read(tmp_path, Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "x.tif")
    assert image.tolist() == [[[255, 0, 0]]]


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (3, 1))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees clockwise.
    pixels = read(tmp_path, image, exif=exif)
    assert pixels.shape == (3, 1, 3)
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    pixels = read(tmp_path, frames[0], "x.gif", save_all=True, append_images=frames[1:])
    assert pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("content", [b"", b"not an image", "truncated"])
def test_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    if content == "truncated":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
        content = path.read_bytes()[:4000]
    path.write_bytes(content)
    source = folder(tmp_path)
    with pytest.raises(
        UserError, match=r"^dataset: cannot read .*broken\.png.*expected a whole"
    ) as e:
        source[0]
    assert "\n" not in str(e.value)


def test_file_that_went_away_is_named(tmp_path):
    save(tmp_path / "gone.png")
    source = folder(tmp_path)
    (tmp_path / "gone.png").unlink()
    with pytest.raises(UserError, match=r"gone\.png"):
        source[0]


def test_missing_path(tmp_path):
    with pytest.raises(UserError, match=r"^dataset: '.*nowhere' is not there, expected a folder"):
        folder(tmp_path / "nowhere")


def test_path_of_a_file(tmp_path):
    save(tmp_path / "1.png")
    with pytest.raises(UserError, match=r"^dataset: '.*1\.png' is a file, expected a folder"):
        folder(tmp_path / "1.png")


def test_no_image(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"^dataset: no image in .*, expected files of bmp gif"):
        folder(tmp_path)


def test_no_image_in_the_test_split(tmp_path):
    save(tmp_path / "train" / "1.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match=r"no image in .*test'"):
        folder(tmp_path, "test")


@pytest.mark.parametrize("stray", ["c/3.png", "3.png"])
def test_class_of_test_that_train_lacks(tmp_path, stray):
    save(tmp_path / "train" / "a" / "1.png")
    save(tmp_path / "test" / stray)
    with pytest.raises(
        UserError, match=r"3\.png' is in no class of train, expected a folder of a$"
    ):
        folder(tmp_path, "test")


def test_unknown_split(tmp_path):
    with pytest.raises(UserError, match=r"^split: got 'valid', expected 'train' or 'test'$"):
        folder(tmp_path, "valid")
