"""The embedded captions task: what is drawn is what the caption says, by the pixels."""

import pickle

import numpy as np
import pytest
from caption_parser import parse

from jaxgan.data import eval_batches, mnist, scenes
from jaxgan.data.captions import COLOURS, GROUNDS, Scene, Thing, kept_out
from jaxgan.errors import UserError

# As one would mix them, and not as the module does.
COLOUR = {
    "red": (1, 0, 0), "green": (0, 0.8, 0.2), "blue": (0.3, 0.5, 1), "yellow": (1, 0.9, 0.1),
    "pink": (1, 0.4, 0.8), "white": (1, 1, 1),
}  # fmt: skip
GROUND = {
    "black": (0, 0, 0), "grey": (0.4, 0.4, 0.4), "brown": (0.35, 0.2, 0.1),
    "dark blue": (0.05, 0.1, 0.35), "dark green": (0.05, 0.25, 0.1),
}  # fmt: skip
MIDDLE = {0: (16, 16), 1: (16, 48), 2: (48, 16), 3: (48, 48), 4: (32, 32)}


def nearest(colour, palette):
    distances = [np.linalg.norm(np.array(value) - colour / 255) for value in palette.values()]
    return int(np.argmin(distances))


def truth(example):
    count = int((example["digit"] >= 0).sum())
    fields = ("digit", "colour", "size", "place")
    things = tuple(Thing(*(int(example[name][i]) for name in fields)) for i in range(count))
    return Scene(things, int(example["ground"]))


def some(split, count=300, **options):
    source = scenes(split, **options)
    return [source[i] for i in range(count)]


@pytest.mark.parametrize("split", ["train", "test", "unseen"])
def test_captions_say_what_the_attributes_are(split):
    source = scenes(split, two=0.5, wordings=5)
    for i in range(200):
        example = source[i]
        assert example["image"].shape == (64, 64, 3)
        assert example["image"].dtype == np.uint8
        captions = source.captions(i)
        assert captions[0] == example["caption"]
        assert len(set(captions)) == 5
        assert {parse(caption) for caption in captions} == {truth(example)}
        for name in ("digit", "colour", "size", "place"):
            assert example[name].shape == (2,)
            assert example[name].dtype == np.int32


@pytest.mark.parametrize("split", ["train", "test", "unseen"])
def test_what_is_kept_out_is_in_unseen_alone(split):
    for example in some(split, two=0.5):
        for thing in truth(example).things:
            assert kept_out(thing.digit, thing.colour, thing.place) == (split == "unseen")


def test_all_has_what_is_kept_out_and_what_is_not():
    things = [thing for example in some("all", two=0.5) for thing in truth(example).things]
    kept = [kept_out(thing.digit, thing.colour, thing.place) for thing in things]
    assert 0 < sum(kept) < 0.2 * len(kept)


def test_all_attributes_are_drawn_alike_often():
    source = scenes("train", two=0.25)
    drawn = [truth(source[i]) for i in range(4000)]
    things = [thing for scene in drawn for thing in scene.things]
    alone = [scene.things[0] for scene in drawn if len(scene.things) == 1]
    assert 1 - len(alone) / len(drawn) == pytest.approx(0.25, abs=0.03)
    for values, count in (
        ([thing.digit for thing in things], 10),
        ([thing.colour for thing in things], 6),
        ([thing.size for thing in things], 2),
        ([thing.place for thing in alone], 5),
        ([scene.ground for scene in drawn], 5),
    ):
        shares = np.bincount(values, minlength=count) / len(values)
        # Five standard deviations.
        assert np.abs(shares - 1 / count).max() < 5 * np.sqrt((1 - 1 / count) / count / len(values))


def test_the_ground_has_its_colour():
    for example in some("test"):
        image = example["image"].reshape(-1, 3).astype(float)
        # Where no digit is, nearly everywhere: the median.
        assert nearest(np.median(image, 0), GROUND) == example["ground"]


def test_every_digit_has_its_colour_its_size_and_its_place():
    for example in some("train", two=0.4):
        image = example["image"].astype(float)
        difference = np.abs(image - np.median(image.reshape(-1, 3), 0)).max(-1)
        for thing in truth(example).things:
            top, left = (16 * (c // 16 - 1) for c in MIDDLE[thing.place])
            near = difference[top : top + 32, left : left + 32]
            ink = near > 0.5 * near.max()
            colour = np.median(image[top : top + 32, left : left + 32][near > 0.9 * near.max()], 0)
            assert nearest(colour, COLOUR) == thing.colour
            if len(truth(example).things) == 2:
                continue
            everywhere = np.argwhere(difference > 20)
            low, high = everywhere.min(0), everywhere.max(0) + 1
            assert ink.any()
            np.testing.assert_allclose((low + high) / 2, MIDDLE[thing.place], atol=3)
            assert abs(max(high - low) - (20, 30)[thing.size]) <= 4


def test_two_digits_stand_in_two_corners_in_their_order():
    for example in some("train", two=1.0):
        assert 0 <= example["place"][0] < example["place"][1] <= 3


def test_digits_are_mnists_of_the_split():
    """The ink of a small digit, cut out, is an image of MNIST: of the training set or of test."""

    def cut(ink):
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return part.shape, part.tobytes()

    source = mnist("test")
    test = {cut(source[i]["image"][..., 0] > 127) for i in range(len(source))}

    def share(split):
        found = []
        for example in some(split, 60, two=0.0):
            if example["size"][0] == 0 and example["colour"][0] == COLOURS.index("white"):
                image = example["image"].astype(float)
                ground = np.median(image.reshape(-1, 3), 0)
                opacity = ((image - ground) / (image.max((0, 1)) - ground)).mean(-1)
                found.append(cut(opacity > 127.5 / 255) in test)
        assert found
        return np.mean(found)

    assert share("test") == 1
    assert share("train") == 0


def test_a_scene_depends_on_seed_and_number_alone():
    source, shorter = scenes("train"), scenes("train", 20, wordings=1)
    for i in (0, 19):
        np.testing.assert_array_equal(source[i]["image"], shorter[i]["image"])
        assert source[i]["caption"] == shorter[i]["caption"] == shorter.captions(i)[0]
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[7]["image"], source[7]["image"])
    assert repr(again) == "scenes('train', 60000)"
    other = [scenes("train", seed=1)[i]["caption"] for i in range(20)]
    assert other != [source[i]["caption"] for i in range(20)]
    assert other != [scenes("test", seed=1)[i]["caption"] for i in range(20)]
    assert source.num_classes is None


def test_scenes_share_a_meaning_when_they_share_their_captions():
    source = scenes("train", 600, two=0.2)
    examples = [source[i] for i in range(600)]
    by_meaning = {}
    for i, example in enumerate(examples):
        by_meaning.setdefault(source.meaning(i), set()).add(truth(example))
    assert all(len(found) == 1 for found in by_meaning.values())
    assert len(by_meaning) == len({truth(example) for example in examples}) < len(examples)


def test_batches_of_scenes():
    batch = next(iter(eval_batches(scenes("test", 5), batch_size=5, image_size=32, channels=3)))
    assert batch["image"].shape == (5, 32, 32, 3)
    assert set(GROUND) == set(GROUNDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "valid"}, "split: got 'valid', expected 'train', 'test', 'unseen', 'all'"),
        ({"size": 0}, "size: got 0, expected an integer from 1"),
        ({"seed": -1}, "seed: got -1, expected an integer from 0"),
        ({"seed": 0.5}, "seed: got 0.5, expected an integer from 0"),
        ({"wordings": 289}, "wordings: got 289, expected an integer from 1 to 288"),
        ({"two": 1.5}, "two: got 1.5, expected a share from 0 to 1"),
    ],
)
def test_errors(options, message):
    with pytest.raises(UserError, match=message):
        scenes(**{"split": "train", **options})


def test_there_is_an_end():
    with pytest.raises(IndexError):
        scenes("train", 3)[3]
