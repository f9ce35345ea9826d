"""The grammar: what is kept out, and that a parser of its own reads every caption."""

import itertools
import re

import numpy as np
import pytest
from caption_parser import parse

from jaxgan.data.captions import (
    COLOURS,
    DIGITS,
    GROUNDS,
    NUM_WORDINGS,
    PLACES,
    SIZES,
    Scene,
    Thing,
    kept_out,
    meaning,
    word,
)

EVERY_THING = [
    Thing(*fields)
    for fields in itertools.product(
        range(len(DIGITS)), range(len(COLOURS)), range(len(SIZES)), range(len(PLACES))
    )
]


def some_scenes():
    """Each thing alone, and beside each of some others; the grounds in turn."""
    pairs = ((a, b) for a in EVERY_THING[::7] for b in EVERY_THING[::11] if a.place < b.place < 4)
    grounds = itertools.cycle(range(len(GROUNDS)))
    singles = ((thing,) for thing in EVERY_THING)
    return [Scene(things, next(grounds)) for things in itertools.chain(singles, pairs)]


def test_every_caption_says_all_of_the_scene():
    scenes = some_scenes()
    assert len(scenes) > 1500
    for i, scene in enumerate(scenes):
        for number in {0, i % NUM_WORDINGS, (37 * i + 5) % NUM_WORDINGS}:
            assert parse(word(scene, number)) == scene


def test_every_wording_of_a_scene_says_the_same_and_no_two_are_alike():
    things = Thing(7, 0, 0, 0), Thing(2, 3, 1, 3)
    words = [word(Scene(things, 3), number) for number in range(NUM_WORDINGS)]
    assert {parse(caption) for caption in words} == {Scene(things, 3)}
    assert len(set(words)) == NUM_WORDINGS
    assert words[0] == (
        "a small red seven at the top left and a large yellow two at the bottom right "
        "on a dark blue ground"
    )


def test_a_meaning_is_a_scenes_own():
    scenes = set(some_scenes())
    meanings = {meaning(scene) for scene in scenes}
    assert len(meanings) == len(scenes)
    largest = Scene((Thing(9, 5, 1, 4), Thing(9, 5, 1, 4)), 4)
    assert 0 <= min(meanings) <= max(meanings) <= meaning(largest) < 2**23


def test_a_tenth_is_kept_out_and_every_two_attributes_still_meet():
    kept = np.zeros((len(DIGITS), len(COLOURS), len(PLACES)), bool)
    for digit, colour, place in np.ndindex(kept.shape):
        kept[digit, colour, place] = kept_out(digit, colour, place)
    assert kept.sum() == 30
    # One digit for each colour and place.
    np.testing.assert_array_equal(kept.sum(0), 1)
    for axis in range(3):
        assert not kept.all(axis).any()


@pytest.mark.parametrize("number", [0, 1, 2, 287])
def test_captions_are_plain_english(number):
    caption = word(Scene((Thing(8, 0, 1, 4),), 1), number)
    assert caption == caption.lower()
    assert "  " not in caption
    assert not re.search(r"\ba [aeiou]", caption)
