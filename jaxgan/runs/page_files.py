"""What the page of a run is made of, read from the run's folder."""

import base64
import dataclasses
import json
import re
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from jaxgan.errors import UserError
from jaxgan.files import read_object

__all__ = [
    "ANIMATION_BUDGET",
    "Picture",
    "Run",
    "evenly",
    "is_finite",
    "is_number",
    "read_rows",
    "read_run",
]

MOST_GRIDS = 24
# Bytes of pictures in the page before base64, which makes them a third larger.
IMAGE_BUDGET = 3_400_000
# A larger animation is left beside the page: the slider plays the same grids.
ANIMATION_BUDGET = 1_800_000
# Metrics of older runs, and their names of today.
_RENAMED = {"train/generator_slope": "train/generator_gradient_norm"}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture file.

    Attributes:
      kind: "png" or "gif".
      data: the whole file.
      width: in pixels.
      height: in pixels.
    """

    kind: str
    data: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The file as a data: address."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run's folder holds; what is not there is empty or None.

    Attributes:
      rows: metric rows, in the order of `metrics.jsonl`.
      unreadable: how many whole lines of that file are no rows.
      config: content of `config.json`.
      summary: content of `summary.json`.
      evaluation: content of `evaluation.json`.
      grid_steps: steps of all sample grids, ascending.
      grids: (step, grid) of those grids that fit on the page, ascending.
      real: the grid of real images.
      strip: (step, picture) of the newest interpolation.
      animation: `progress.gif`, of whatever size.
    """

    rows: list[dict]
    unreadable: int
    config: dict[str, Any]
    summary: dict[str, Any]
    evaluation: dict[str, Any]
    grid_steps: list[int]
    grids: list[tuple[int, Picture]]
    real: Picture | None
    strip: tuple[int, Picture] | None
    animation: Picture | None


def read_run(workdir: Path) -> Run:
    """Reads `*.json`, `metrics.jsonl`, `samples/*.png` and `progress.gif`, each if it is there.

    Args:
      workdir: the run's folder.

    Returns:
      The run. Of many or heavy grids it holds some, chosen evenly over the steps.

    Raises:
      UserError: a file cannot be read; one that is damaged is taken as not there.

    Examples:
      >>> read_run(Path("an/empty/folder")).rows
      []
    """
    metrics = workdir / "metrics.jsonl"
    rows, unreadable = read_rows(metrics) if metrics.is_file() else ([], 0)
    try:
        config, summary, evaluation = (
            read_object(workdir / f"{name}.json") for name in ("config", "summary", "evaluation")
        )
    except OSError as error:
        raise UserError(f"cannot read {error.filename!r}: {error.strerror}") from error

    paths = _numbered(workdir / "samples", "samples")
    real = _load_picture(workdir / "samples" / "real.png")
    strips = _load_pictures(_numbered(workdir / "samples", "interpolation")[-1:])
    animation = _load_picture(workdir / "progress.gif")
    sizes = [len(picture.data) for picture in (real, *(strip for _, strip in strips)) if picture]
    if animation and len(animation.data) <= ANIMATION_BUDGET:
        sizes.append(len(animation.data))
    return Run(
        rows=rows,
        unreadable=unreadable,
        config=config,
        summary=summary,
        evaluation=evaluation,
        grid_steps=[step for step, _ in paths],
        grids=_load_pictures(_choose(paths, IMAGE_BUDGET - sum(sizes))),
        real=real,
        strip=strips[0] if strips else None,
        animation=animation,
    )


def read_rows(path: Path) -> tuple[list[dict], int]:
    """Reads a file of metric rows, one JSON object with a "step" a line.

    Args:
      path: the file.

    Returns:
      (rows, how many whole lines were left out because they are no such object).

    Raises:
      UserError: there is no such file, or it cannot be read.

    Examples:
      >>> path = Path("metrics.jsonl")
      >>> _ = path.write_text('{"step": 1}\\nno row\\n{"step": 2}\\n{"st')
      >>> read_rows(path)
      ([{'step': 1}, {'step': 2}], 1)
    """
    # What follows the last line break may still be being written: broken there is not an error.
    *lines, tail = _read_bytes(path).decode("utf-8", "replace").split("\n")
    parsed = [_parse_row(line) for line in lines if line.strip()]
    rows = [row for row in [*parsed, _parse_row(tail)] if row]
    return rows, parsed.count({})


def evenly(items: Sequence, count: int) -> list:
    """Chooses items at even distances, among them the first and the last.

    Args:
      items: to choose from.
      count: how many, at least 2; all items if there are no more than that.

    Returns:
      The chosen items in their order.

    Examples:
      >>> evenly(range(101), 5)
      [0, 25, 50, 75, 100]
    """
    if count >= len(items):
        return list(items)
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value read from JSON is a number; NaN and infinity are, true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value read from JSON is a number, and neither NaN nor infinite."""
    # By comparison, since an integer may be too large to become a float at all.
    return is_number(value) and abs(value) <= sys.float_info.max


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _parse_row(line: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(row, dict) or not is_finite(row.get("step")):
        return {}
    return {_RENAMED.get(key, key): value for key, value in row.items()}


def _numbered(folder: Path, prefix: str) -> list[tuple[int, Path]]:
    """(step, path) of prefix_NNNNNN.png, by step: as text, 1000000 would come before 999999."""
    paths = folder.iterdir() if folder.is_dir() else ()
    matches = ((re.fullmatch(prefix + r"_(\d+)\.png", path.name), path) for path in paths)
    return sorted((int(match[1]), path) for match, path in matches if match)


def _load_pictures(paths: list[tuple[int, Path]]) -> list[tuple[int, Picture]]:
    """(step, picture) of those files that are pictures."""
    loaded = ((step, _load_picture(path)) for step, path in paths)
    return [(step, picture) for step, picture in loaded if picture]


def _load_picture(path: Path) -> Picture | None:
    """A PNG or GIF file with its size, which stands at the start; None if it is neither."""
    if not path.is_file():
        return None
    data = _read_bytes(path)
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return Picture("png", data, *struct.unpack(">II", data[16:24]))
    if data[:4] == b"GIF8" and len(data) >= 10:
        return Picture("gif", data, *struct.unpack("<HH", data[6:10]))
    return None


def _choose(grids: list[tuple[int, Path]], budget: int) -> list[tuple[int, Path]]:
    """At most MOST_GRIDS, evenly, with the first and the last; fewer if they are heavy."""
    for count in range(min(MOST_GRIDS, len(grids)), 2, -1):
        chosen = evenly(grids, count)
        if sum(path.stat().st_size for _, path in chosen) <= budget:
            return chosen
    return evenly(grids, min(2, len(grids)))
