"""The embedded emoji: families that are never split, two drawings of each, and pairs."""

import csv
import importlib.resources
import io
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import (
    domain_index_iterator,
    domain_iterator,
    emoji,
    load,
    load_captioned,
    load_domains,
    load_pairs,
)
from jaxgan.errors import UserError

FILES = importlib.resources.files("jaxgan.data") / "emoji_files"


def rows():
    text = (FILES / "emoji.tsv").read_text()
    return list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_no_family_is_in_two_splits():
    bases = {row["file"]: row["base"] for row in rows()}
    found = {
        split: [row["file"] for row in emoji(split)._rows]
        for split in ("train", "test", "validation", "train_part")
    }
    assert {k: len(v) for k, v in found.items()} == {
        "train": 3041, "test": 426, "validation": 359, "train_part": 2682
    }  # fmt: skip
    families = {split: {bases[file] for file in files} for split, files in found.items()}
    assert not families["train"] & families["test"]
    assert not families["train_part"] & families["validation"]
    assert sorted(found["train_part"] + found["validation"]) == sorted(found["train"])
    assert len(found["train"]) + len(found["test"]) == len(bases) == 3467


def test_an_emoji_is_its_file_over_white_in_either_drawing():
    for drawing in ("google", "twitter"):
        source = emoji("test", drawing)
        row = source._rows[200]
        with zipfile.ZipFile(FILES / f"{drawing}.zip") as archive:
            pixels = np.asarray(Image.open(archive.open(row["file"])).convert("RGBA"), float)
        alpha = pixels[..., 3:] / 255
        expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
        assert 0 < alpha.mean() < 1
        np.testing.assert_allclose(source[200]["image"], expected, atol=1.01)
        categories = sorted({row["category"] for row in rows()})
        assert categories[source[200]["label"]] == row["category"]
        assert source.num_classes == len(categories) == 10
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[3]["image"], source[3]["image"])


def test_they_are_had_by_name():
    names = {"emoji": "google", "emoji_twitter": "twitter"}
    for dataset, drawing in names.items():
        np.testing.assert_array_equal(
            load(dataset, "test")[7]["image"], emoji("test", drawing)[7]["image"]
        )
    both = [source[7]["image"] for source in load_pairs("emoji", "test")]
    np.testing.assert_array_equal(both, [load(name, "test")[7]["image"] for name in names])
    assert repr(load_domains("emoji", "train")) == repr(load_pairs("emoji", "train"))
    with pytest.raises(UserError, match=r"^split: got 'all', expected one of 'test', 'validation'"):
        emoji("all")
    with pytest.raises(UserError, match=r"^drawing: got 'apple', expected 'google' or 'twitter'"):
        emoji("test", "apple")


def test_their_names_are_captions():
    source = load_captioned("emoji_twitter", "test")
    assert repr(source) == repr(emoji("test", "twitter"))
    assert source.captions(50) == ("watermelon",) == (source[50]["caption"],)
    assert source.captions(200) == ("fax machine", "fax")
    assert source.captions(400) == ("rightwards hand, light skin tone",)
    kiss = "kiss: man, man, light and medium skin tone"
    assert source.captions(100) == (kiss, "man kiss man, light and medium skin tone")
    # The emoji of one name and tone are said to be the same, and no others.
    source = emoji("train")
    captions = [source.captions(i)[0] for i in range(len(source))]
    meanings = [source.meaning(i) for i in range(len(source))]
    assert len(set(meanings)) == len(set(zip(meanings, captions, strict=True))) == 3035
    assert captions.count("man in tuxedo") == 2


def write(folder, *names):
    folder.mkdir()
    for name in names:
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(folder / name)
    return folder


def test_files_of_the_same_names_are_pairs(tmp_path):
    a = write(tmp_path / "a", "1.png", "two.png", "threee.png")
    b = write(tmp_path / "b", "1.bmp", "two.png", "threee.png")
    pairs = load_pairs(f"folder:{a},{b}", "train")
    assert [[s[i]["image"][0, 0, 0] for i in range(3)] for s in pairs] == [[5, 10, 7]] * 2
    assert load_pairs(f"folder:{a},{b}", "test") is None
    (b / "two.png").rename(b / "2.png")
    with pytest.raises(UserError, match=r"^dataset: '2' is in one folder alone, expected the same"):
        load_pairs(f"folder:{a},{b}", "train")
    for dataset, more, line in (
        ("mnist", {}, r"^dataset: got 'mnist', expected 'emoji', 'digits' or 'folder:PATH_A,PA"),
        (f"folder:{a}", {}, r"^dataset: got .*, expected two folders"),
        ("emoji", {"on_bad_image": "skip"}, r"^on_bad_image: got 'skip', expected 'stop' for pai"),
    ):
        with pytest.raises(UserError, match=line):
            load_pairs(dataset, "train", **more)


def test_pairs_stay_together():
    fields = {"batch_size": 7, "seed": 3, "paired": True}
    batch = next(domain_index_iterator(20, 20, **fields))
    np.testing.assert_array_equal(batch["a"], batch["b"])
    a, b = load_pairs("digits", "train")
    assert len(a) == len(b) == 60_000
    cut = {"image_size": 20, "load_size": 28, "channels": 3, "flip": True}
    batch = next(domain_iterator(a, a, **cut, **fields))
    np.testing.assert_array_equal(batch["a"], batch["b"])
    with pytest.raises(UserError, match=r"^dataset: got 20 and 21 images, expected pairs"):
        domain_index_iterator(20, 21, **fields)
