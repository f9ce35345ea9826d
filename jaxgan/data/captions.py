"""The grammar of the embedded captions task: what a scene may hold, and how it is put in words.

A scene is one or two digits, each of a colour, a size and at a place, on a ground. A caption names
all of it: "a small red seven at the top left on a dark blue ground". Every scene can be worded in
`NUM_WORDINGS` ways.
"""

import math
from typing import NamedTuple

__all__ = [
    "COLOURS",
    "DIGITS",
    "GROUNDS",
    "NUM_WORDINGS",
    "PLACES",
    "SIZES",
    "Scene",
    "Thing",
    "kept_for_validation",
    "kept_out",
    "meaning",
    "word",
]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = ("red", "green", "blue", "yellow", "pink", "white")
SIZES = ("small", "large")
PLACES = ("top left", "top right", "bottom left", "bottom right", "centre")
GROUNDS = ("black", "grey", "brown", "dark blue", "dark green")

_NUMERALS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
_SIZE_WORDS = (SIZES, ("little", "big"))
_PLACE_WORDS = (
    (*(f"at the {place}" for place in PLACES[:4]), "at the centre"),
    (
        "in the upper left corner",
        "in the upper right corner",
        "in the lower left corner",
        "in the lower right corner",
        "in the middle",
    ),
)
_FORMS = (
    "a {size} {colour} {digit} {place}",
    "a {size} {digit} in {colour} {place}",
    "{place} a {size} {colour} {digit}",
)
_FRAMES = (
    "{things} on a {ground} {noun}",
    "on a {ground} {noun}, {things}",
    "{things}, the {noun} is {ground}",
)
_NOUNS = ("ground", "background")
# Frame, form and noun; words of the size, of the place and of the digit; the digits' order.
_CHOICES = (len(_FRAMES), len(_FORMS), len(_NOUNS), 2, 2, 2, 2)

NUM_WORDINGS = math.prod(_CHOICES)
"""In how many ways a scene can be worded; with one digit, half of them are the other half again."""


class Thing(NamedTuple):
    """One digit of a scene, as numbers into the lists of this module.

    Attributes:
      digit: 0 to 9.
      colour: into `COLOURS`.
      size: into `SIZES`.
      place: into `PLACES`.
    """

    digit: int
    colour: int
    size: int
    place: int


class Scene(NamedTuple):
    """One or two digits on a ground.

    Attributes:
      things: one `Thing`, or two in the order of their places.
      ground: into `GROUNDS`.
    """

    things: tuple[Thing, ...]
    ground: int


def kept_out(digit: int, colour: int, place: int) -> bool:
    """Whether training never sees a digit of this colour at this place.

        (digit + colour + place) mod 10 = 0

    One digit in ten for each colour and place: 30 of the 300 combinations, so spread that every
    two of digit, colour and place are seen together in training.

    Args:
      digit, colour, place: as in `Thing`.

    Returns:
      True for the combinations that are kept for the splits "unseen" and "unseen_validation".

    Examples:
      >>> kept_out(8, COLOURS.index("blue"), PLACES.index("top left"))
      True
    """
    return (digit + colour + place) % 10 == 0


def kept_for_validation(digit: int, colour: int, place: int) -> bool:
    """Whether a combination that is kept out of training is one to choose settings by.

        (2 colour + 9 place) mod 12 < 6

    15 of the 30 that are kept out, three at each place, two or three of each colour and at most
    three of a digit; the other 15 are for the metrics that are reported.

    Args:
      digit, colour, place: as in `Thing`.

    Returns:
      True for the combinations of the split "unseen_validation"; False for those of "unseen" and
      for what training sees.

    Examples:
      >>> kept_for_validation(8, COLOURS.index("blue"), PLACES.index("top left"))
      True
    """
    return kept_out(digit, colour, place) and (2 * colour + 9 * place) % 12 < 6


def meaning(scene: Scene) -> int:
    """A number that two scenes share exactly when any caption of one is true of the other.

    Args:
      scene: the scene.

    Returns:
      An integer from 0 to 2^23.

    Examples:
      >>> seven = Thing(digit=7, colour=0, size=0, place=0)
      >>> meaning(Scene((seven,), ground=3)) == meaning(Scene((seven,), ground=4))
      False
    """
    number = 0
    for thing in scene.things:  # no two things share a place, so 0 stands for none
        digit = (thing.digit * len(COLOURS) + thing.colour) * len(SIZES) + thing.size
        number = number * 601 + digit * len(PLACES) + thing.place + 1
    return number * len(GROUNDS) + scene.ground


def word(scene: Scene, number: int) -> str:
    """A caption of a scene.

    Args:
      scene: the scene.
      number: which wording, from 0 to NUM_WORDINGS - 1.

    Returns:
      Words in small letters, with commas.

    Examples:
      >>> scene = Scene((Thing(digit=7, colour=0, size=0, place=0),), ground=3)
      >>> word(scene, 0)
      'a small red seven at the top left on a dark blue ground'
      >>> word(scene, 100)
      'on a dark blue background, a little red 7 at the top left'
    """
    choice = []
    for count in _CHOICES:
        number, this = divmod(number, count)
        choice.append(this)
    frame, form, noun, size, place, digit, turned = choice
    things = [
        _FORMS[form].format(
            size=_SIZE_WORDS[size][thing.size],
            colour=COLOURS[thing.colour],
            digit=(DIGITS, _NUMERALS)[digit][thing.digit],
            place=_PLACE_WORDS[place][thing.place],
        )
        for thing in scene.things
    ]
    return _FRAMES[frame].format(
        things=" and ".join(things[::-1] if turned else things),
        ground=GROUNDS[scene.ground],
        noun=_NOUNS[noun],
    )
