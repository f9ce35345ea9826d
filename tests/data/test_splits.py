"""What is put aside to choose by: never trained on by the run that is evaluated on it."""

import pickle

import numpy as np
import pytest
from PIL import Image

from jaxgan import UserError, data
from jaxgan.data import captions as grammar
from jaxgan.data.splits import cut


def pixels(source):
    return {source[i]["image"].tobytes() for i in range(len(source))}


def test_the_parts_of_mnist_are_all_of_its_training_digits():
    train, part, validation = (data.mnist(s) for s in ("train", "train_part", "validation"))
    assert (len(part), len(validation)) == (55_000, 5_000)
    for parts, index, number in ((part, 54_999, 54_999), (validation, 0, 55_000)):
        np.testing.assert_array_equal(parts[index]["image"], train[number]["image"])
        assert parts[index]["label"] == train[number]["label"]
    assert repr(pickle.loads(pickle.dumps(validation))) == "mnist('validation')"


@pytest.mark.parametrize("load", [data.stacked_mnist, lambda split: data.digit_domains(split)[0]])
def test_what_is_made_of_digits_is_made_of_those_of_the_split(load):
    put_aside = pixels(data.mnist("validation"))
    for split in ("train_part", "validation"):
        source = load(split)
        for i in range(0, len(source), len(source) // 10):
            digit = source[i]["image"][..., :1].tobytes()
            assert (digit in put_aside) == (split == "validation")


def test_domains_keep_no_digit_of_validation_for_training():
    a, b = data.digit_domains("train_part")
    assert (len(a), len(b)) == (27_500, 27_500)
    a, b = data.digit_domains("validation")
    np.testing.assert_array_equal(b[7]["image"], data.recolour(a[7]["image"][..., :1]))


def test_half_of_what_scenes_keep_out_is_for_choosing():
    seen = {}
    for split in ("train_part", "unseen_validation", "unseen"):
        source = data.scenes(split, 400)
        examples = [source[i] for i in range(400)]
        seen[split] = {
            tuple(map(int, thing))
            for example in examples
            for thing in zip(*(example[k] for k in ("digit", "colour", "place")), strict=True)
            if thing[0] >= 0
        }
    assert len(seen["unseen"]) == len(seen["unseen_validation"]) == 15
    assert not seen["unseen"] & seen["unseen_validation"]
    assert not seen["train_part"] & (seen["unseen"] | seen["unseen_validation"])
    for chosen in (seen["unseen"], seen["unseen_validation"]):
        assert {place for *_, place in chosen} == set(range(len(grammar.PLACES)))
        assert {colour for _, colour, _ in chosen} == set(range(len(grammar.COLOURS)))


@pytest.fixture
def folder(tmp_path):
    """Two classes, one after the other."""
    for number in range(26):
        path = tmp_path / "images" / "ab"[number // 13] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), number).save(path)
    return tmp_path / "images"


def values(source):
    return [int(source[i]["image"][0, 0, 0]) for i in range(len(source))]


def test_a_folder_gives_every_twelfth_of_its_training_images(folder):
    part, validation = (data.load(f"folder:{folder}", s) for s in ("train_part", "validation"))
    assert values(validation) == [11, 23]
    assert values(part) == [i for i in range(26) if i not in (11, 23)]
    assert validation.num_classes == 2
    assert [int(validation[i]["label"]) for i in range(2)] == [0, 1]
    with pytest.raises(IndexError):
        validation[2]
    again = pickle.loads(pickle.dumps(validation))
    assert repr(again) == f"validation of {data.load(f'folder:{folder}', 'train')!r}"
    both = data.load_domains(f"folder:{folder},{folder}", "validation")
    assert [values(source) for source in both] == [[11, 23]] * 2


def test_captions_stay_with_their_images(folder):
    lines = [f"{'ab'[i // 13]}/{i:02}.png\tnumber {i}" for i in range(26)]
    (folder / "captions.tsv").write_text("\n".join(lines))
    validation = data.load_captioned(f"folder:{folder}", "validation")
    assert [validation.captions(i) for i in range(2)] == [("number 11",), ("number 23",)]
    assert not hasattr(data.load(f"folder:{folder}", "validation"), "captions")


def test_too_few_images_to_put_some_aside():
    source = [{"image": np.zeros((1, 1, 1), np.uint8)}] * 11
    with pytest.raises(UserError, match=r"^evaluate_on: .* has 11 examples, expected 12 or more"):
        cut(source, "validation")
    assert cut(source, "train") is source
    assert cut(None, "validation") is None
