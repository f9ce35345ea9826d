"""The embedded captions task: pictures of one or two MNIST digits, and captions of them.

Each scene is drawn from (seed, split, index) alone, in a tenth of a millisecond, so that a training
set of any size takes no memory and no time to make.
"""

import functools

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan.data import captions as grammar
from jaxgan.data.captions import COLOURS, DIGITS, GROUNDS, NUM_WORDINGS, SIZES, Scene, Thing
from jaxgan.data.mnist import mnist
from jaxgan.data.order import is_int
from jaxgan.errors import UserError

__all__ = ["SCENE_SIZE", "scenes"]

SCENE_SIZE = 64
"""Side of a scene in pixels."""

_SPLITS = {
    "train": 60_000,
    "test": 10_000,
    "unseen": 10_000,
    "all": 60_000,
    "train_part": 60_000,
    "unseen_validation": 10_000,
}
# The split of MNIST that they are written with.
_DIGITS = {
    "train": "train",
    "test": "test",
    "unseen": "test",
    "all": "train",
    "train_part": "train_part",
    "unseen_validation": "validation",
}
_OF_TRAINING = ("train", "all", "train_part")
# Pairs are the harder to learn, and so there are more of them to learn from.
_TWO_IN_TRAINING, _TWO = 0.5, 0.25
_COLOUR_VALUES = (
    (230, 45, 45),
    (50, 200, 70),
    (75, 130, 245),
    (240, 220, 50),
    (240, 105, 215),
    (245, 245, 245),
)
_GROUND_VALUES = ((8, 8, 8), (98, 98, 98), (92, 58, 30), (16, 24, 90), (10, 66, 34))
_COLOUR_JITTER = 8
_SIDES = (28, 42)  # of a digit's picture; the ink in it measures 20/28 of that, the longer way
_CORNERS = 4
# (y, x) of the middle of a digit's ink: two large ones side by side may just touch.
_CENTRES = ((16, 16), (16, 48), (48, 16), (48, 48), (32, 32))
_CENTRE_JITTER = 1
# A digit's picture may stick out of the scene; its ink does not.
_MARGIN = 16
_SIDE = SCENE_SIZE + 2 * _MARGIN
_OPACITY = np.arange(256, dtype=np.float32)[:, None] / 255
# Numbers that a scene takes: 9 for what is in it and one wording, 15 for how it looks.
_DRAWS = 24
# Without a common divisor with NUM_WORDINGS, so that no wording of a scene comes twice.
_WORDING_STEP = 47


def scenes(
    split: str,
    size: int | None = None,
    *,
    seed: int = 0,
    two: float | None = None,
    wordings: int = 4,
) -> RandomAccessDataSource:
    """Returns scenes of one or two MNIST digits with captions that say all of what is in them.

    Digit, colour (6), size (2), place (5) and ground (5) are drawn alike often; two digits stand in
    two of the four corners. Colours vary by 8 of 255, places by a pixel. The combinations of
    digit, colour and place for which `captions.kept_out` holds are never in "train", "train_part"
    or "test"; "unseen_validation" has half of them and no others, to choose settings by, "unseen"
    the other half, to report on; "all" has everything, for what is to judge them alike. "train"
    and "all" are written with MNIST's training digits, "test" and "unseen" with its test digits,
    "train_part" and "unseen_validation" with the splits "train_part" and "validation" of `mnist`.

    Args:
        split: "train", "test", "unseen", "all", "train_part" or "unseen_validation".
        size: how many scenes; None is 60,000 for "train", "train_part" and "all", 10,000 for the
            others. Scene i is the same whatever the size.
        seed: a non-negative integer.
        two: the share of scenes with two digits, from 0 to 1; None is 0.5 for "train",
            "train_part" and "all", of which the harder ones are to be learnt, and 0.25 for the
            others.
        wordings: how many captions each scene has.

    Returns:
        A Grain random access source of {"image": uint8 (64, 64, 3), "caption": str, "digit",
        "colour", "size", "place": int32 (2,), in the order of the places and -1 where there is no
        second digit, "ground": int32 scalar}, with `num_classes` None. `source.captions(i)` are the
        `wordings` captions of scene i, of which "caption" is the first; `source.meaning(i)` is a
        number that scenes share if the same captions are true of them.

    Raises:
        UserError: a field is out of its range.

    Examples:
        >>> source = scenes("train")
        >>> source[2]["image"].shape, source[2]["caption"]
        ((64, 64, 3), 'in the lower left corner a big red seven on a dark blue ground')
    """
    if split not in _SPLITS:
        raise UserError(f"split: got {split!r}, expected {', '.join(map(repr, _SPLITS))}")
    size = _SPLITS[split] if size is None else size
    if two is None:
        two = _TWO_IN_TRAINING if split in _OF_TRAINING else _TWO
    for name, value, low, high in (
        ("size", size, 1, 2**31 - 1),
        ("seed", seed, 0, 2**63),
        ("wordings", wordings, 1, NUM_WORDINGS),
    ):
        if not is_int(value) or not low <= value <= high:
            raise UserError(f"{name}: got {value!r}, expected an integer from {low} to {high}")
    if not 0 <= two <= 1:
        raise UserError(f"two: got {two}, expected a share from 0 to 1")
    return _Scenes(split, size, seed, two, wordings)


class _Scenes:
    num_classes = None

    def __init__(self, split, size, seed, two, wordings):
        self._fields = split, size, seed, two, wordings
        self._split, self._size, self._seed, self._two, self._wordings = self._fields
        self._digits = mnist(_DIGITS[split])

    def __len__(self):
        return self._size

    def __getitem__(self, index):
        scene, wording, below = self._draw(index)
        image = self._render(scene, below)
        pair = [*scene.things, Thing(-1, -1, -1, -1)][:2]
        digit, colour, size, place = np.array(pair, np.int32).T
        return {
            "image": image,
            "caption": grammar.word(scene, wording),
            "digit": digit,
            "colour": colour,
            "size": size,
            "place": place,
            "ground": np.int32(scene.ground),
        }

    def captions(self, index):
        scene, wording, _ = self._draw(index)
        numbers = ((wording + i * _WORDING_STEP) % NUM_WORDINGS for i in range(self._wordings))
        return tuple(grammar.word(scene, number) for number in numbers)

    def meaning(self, index):
        return grammar.meaning(self._draw(index)[0])

    def __repr__(self):
        return f"scenes({self._split!r}, {self._size})"

    def __reduce__(self):
        return _Scenes, self._fields

    def _draw(self, index):
        if not 0 <= index < self._size:
            raise IndexError(f"scene {index} of {self._size}")
        number = list(_SPLITS).index(self._split)
        rng = np.random.default_rng((self._seed, number, int(index)))
        # One call for all: each costs more than the drawing itself.
        at_random = iter(rng.random(_DRAWS).tolist())

        def below(count):
            return int(next(at_random) * count)

        pair = next(at_random) < self._two
        first = below(_CORNERS if pair else _CORNERS + 1)
        places = sorted((first, (first + 1 + below(_CORNERS - 1)) % _CORNERS)) if pair else [first]
        things = []
        for place in places:
            allowed = _allowed(self._split, place)
            digit, colour = allowed[below(len(allowed))]
            things.append(Thing(digit, colour, below(len(SIZES)), place))
        scene = Scene(tuple(things), below(len(GROUNDS)))
        return scene, below(NUM_WORDINGS), below

    def _render(self, scene, below):
        def shade(value):
            jitter = [below(2 * _COLOUR_JITTER + 1) - _COLOUR_JITTER for _ in range(3)]
            return np.add(value, jitter, dtype=np.float32)

        # Pixels as rows of a table: from the ground to the colour of either digit, by its ink.
        ground = shade(_GROUND_VALUES[scene.ground])
        pixels = np.zeros((_SIDE, _SIDE), np.uint16)
        table = np.empty((len(scene.things), 256, 3), np.float32)
        for i, thing in enumerate(scene.things):
            colour = shade(_COLOUR_VALUES[thing.colour])
            table[i] = ground + _OPACITY * (colour - ground) + 0.5
            of_digit = _numbers(_DIGITS[self._split])[thing.digit]
            digit = self._digits[of_digit[below(len(of_digit))]]["image"][..., 0]
            ink, middle = _ink(digit, _SIDES[thing.size])
            corner = [
                round(centre + below(2 * _CENTRE_JITTER + 1) - _CENTRE_JITTER - mid) + _MARGIN
                for centre, mid in zip(_CENTRES[thing.place], middle, strict=True)
            ]
            part = pixels[corner[0] : corner[0] + len(ink), corner[1] : corner[1] + len(ink)]
            np.copyto(part, ink + np.uint16(256 * i), where=ink > 0)
        inside = pixels[_MARGIN : _MARGIN + SCENE_SIZE, _MARGIN : _MARGIN + SCENE_SIZE]
        return np.take(table.astype(np.uint8).reshape(-1, 3), inside, axis=0)


@functools.cache
def _allowed(split, place):
    """The (digit, colour) that a split may have at a place."""
    return [
        (digit, colour)
        for digit in range(len(DIGITS))
        for colour in range(len(COLOURS))
        if split == "all" or split in _splits_of(digit, colour, place)
    ]


def _splits_of(digit, colour, place):
    """The splits that have a combination, "all" aside."""
    if not grammar.kept_out(digit, colour, place):
        return ("train", "train_part", "test")
    validation = grammar.kept_for_validation(digit, colour, place)
    return ("unseen_validation",) if validation else ("unseen",)


@functools.cache
def _numbers(split):
    """Which examples of MNIST are a zero, a one, ..."""
    source = mnist(split)
    labels = np.array([source[i]["label"] for i in range(len(source))])
    return [np.flatnonzero(labels == digit) for digit in range(len(DIGITS))]


def _ink(digit, side):
    """A digit's ink (uint8) in a picture of a given side, and the middle of it, (y, x)."""
    rows, columns = (np.flatnonzero(digit.any(axis)) for axis in (1, 0))
    scale = side / (2 * len(digit))
    middle = (scale * (rows[0] + rows[-1] + 1), scale * (columns[0] + columns[-1] + 1))
    if side == len(digit):
        return digit, middle
    stretch = _stretch(len(digit), side)
    return (stretch @ digit.astype(np.float32) @ stretch.T + 0.5).astype(np.uint8), middle


@functools.cache
def _stretch(before, after):
    """The matrix of linear interpolation from one side to a longer one."""
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    distance = np.abs(np.clip(centres, 0, before - 1)[:, None] - np.arange(before))
    return np.maximum(0, 1 - distance).astype(np.float32)
