"""Reads captions of the embedded task back, by rules of its own."""

import re

from jaxgan.data.captions import COLOURS, DIGITS, GROUNDS, PLACES, Scene, Thing


def parse(caption):
    """A caption read by the words that it holds, in whatever order they come."""
    ground = re.search(
        r"(black|grey|brown|dark blue|dark green) (?:back)?ground|"
        r"(?:back)?ground is (black|grey|brown|dark blue|dark green)",
        caption,
    )
    rest = caption.replace(ground.group(), "")
    things = []
    for part in rest.split(" and "):
        words = re.findall(r"\w+", part)
        (digit,) = [w for w in words if w in DIGITS or w.isdigit()]
        (colour,) = [w for w in words if w in COLOURS]
        (size,) = [w for w in words if w in ("small", "little", "large", "big")]
        if "centre" in words or "middle" in words:
            place = "centre"
        else:
            (row,) = [w for w in words if w in ("top", "upper", "bottom", "lower")]
            (column,) = [w for w in words if w in ("left", "right")]
            place = f"{'top' if row in ('top', 'upper') else 'bottom'} {column}"
        things.append(
            Thing(
                int(digit) if digit.isdigit() else DIGITS.index(digit),
                COLOURS.index(colour),
                int(size in ("large", "big")),
                PLACES.index(place),
            )
        )
    return Scene(
        tuple(sorted(things, key=lambda thing: thing.place)),
        GROUNDS.index(ground.group(1) or ground.group(2)),
    )
