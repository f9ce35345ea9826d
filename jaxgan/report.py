"""One self-contained HTML page about a run, drawn from the files in its folder."""

import base64
import html
import importlib.resources
import json
import math
import os
import re
import shlex
import struct
from collections.abc import Sequence
from pathlib import Path

from jaxgan.errors import UserError
from jaxgan.visualize import write_atomically

RELOAD_SECONDS = 15
MOST_GRIDS = 24
# Bytes of pictures in the page before base64, which makes them a third larger.
IMAGE_BUDGET = 3_200_000
# A larger animation is left beside the page: the slider plays the same grids.
ANIMATION_BUDGET = 1_200_000
# Rows of one kind (one set of keys) that are drawn; more would not be told apart on a screen.
MOST_ROWS = 1000

# The charts that are known beforehand, in the order of the page. "keys" maps a metric to its
# label; "low" and "high" fix the axis; "line" is a reference value.
_KNOWN_CHARTS = (
    {
        "title": "Losses",
        "note": "What each network tries to make small. They pull against each other, so neither "
        "has to fall: steady is good, one at zero is not. With the original loss the "
        "discriminator's sum is log 4 = 1.386 when it cannot tell.",
        "keys": {
            "train/discriminator_loss": "discriminator",
            "train/discriminator_loss_real": "… on real",
            "train/discriminator_loss_fake": "… on generated",
            "train/generator_loss": "generator",
        },
    },
    {
        "title": "Probabilities",
        "note": "How likely the discriminator holds real images, D(x), and generated ones, "
        "D(G(z)), to be real; and the share D(x) / (D(x) + D(G(z))). All at 0.5: it cannot tell.",
        "keys": {
            "train/d_real": "D(x)",
            "train/d_fake": "D(G(z))",
            "train/d_ratio": "share of D(x)",
        },
        "low": 0,
        "high": 1,
        "line": 0.5,
    },
    {
        "title": "Discriminator accuracy",
        "note": "Share of images it judges rightly: real ones as real, generated ones as "
        "generated. 0.5 is guessing. Dots are measured on held-out images: far below the line "
        "for real ones, it has learnt its training images by heart.",
        "keys": {
            "train/accuracy_real": "real",
            "train/accuracy_fake": "generated",
            "eval/accuracy_real": "held-out real",
            "eval/accuracy_fake": "held-out generated",
        },
        "low": 0,
        "high": 1,
        "line": 0.5,
    },
    {
        "title": "Jensen–Shannon divergence, lower bound",
        "note": "At least this far apart, in nats, are the real and the generated distribution, "
        "as the discriminator can show. 0: it sees no difference; at most log 2 = 0.693: it "
        "tells them apart surely. Below 0 the discriminator is worse than guessing.",
        "keys": {"train/jsd_lower_bound": "lower bound"},
        "line": math.log(2),
    },
    {
        "title": "Speed",
        "note": "Real images that went through training in a second.",
        "keys": {"train/images_per_second": "images per second"},
        "low": 0,
    },
)
# Notes on families of metrics, for charts that are made up from the keys.
_FAMILY_NOTES = {
    "fid": "Fréchet distance between features of real and generated images: lower is nearer, "
    "0 is no difference that the features can see.",
    "other losses": "Further terms that a network tries to make small.",
}
# Keys of summary.json that the header shows; the rest goes to the table.
_HEADER_KEYS = frozenset(
    "title num_steps step status started seconds images_per_second generator_parameters "
    "discriminator_parameters devices jax_version command".split()
)


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Read a file of metric rows, one JSON object a line.

    A line that is no JSON object with a "step" is left out: a killed process leaves its last line
    half-written, and a resumed one goes on in that same line.

    Args:
        path: The file `metrics.jsonl` of a run.

    Returns:
        The rows in the file's order: dicts from "step" and the metrics' names to numbers.

    Raises:
        UserError: There is no such file, or it cannot be read.

    Example:
        >>> rows = read_metrics("runs/one/metrics.jsonl")  # doctest: +SKIP
    """
    return _parse_rows(_read_bytes(Path(path)))[0]


def write_report(workdir: str | os.PathLike) -> Path:
    """Write `index.html` into a run's folder: pictures, curves, settings, in one file.

    It reads `metrics.jsonl`, `config.json`, `summary.json`, `samples/*.png` and `progress.gif`,
    each if it is there, and nothing else; it may be called at any time from any thread.

    Args:
        workdir: The run's folder.

    Returns:
        The path of the page.

    Raises:
        UserError: No such folder, or `config.json` or `summary.json` is not a JSON object.

    Example:
        >>> write_report("runs/one")  # doctest: +SKIP
    """
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise UserError(f"workdir: no such folder: {str(workdir)!r}")
    metrics = workdir / "metrics.jsonl"
    rows, skipped = _parse_rows(_read_bytes(metrics)) if metrics.is_file() else ([], 0)
    config = _read_object(workdir / "config.json")
    summary = _read_object(workdir / "summary.json")
    grids = _numbered(workdir / "samples", "samples")
    drawn = _thin(rows)
    charts = _charts(drawn)

    step = summary.get("step")
    if not _is_number(step):
        step = max([row["step"] for row in rows] + [number for number, _ in grids], default=None)
    title = _text(summary.get("title") or workdir.resolve().name)
    status = _text(summary.get("status", "unknown"))
    parts = {
        "refresh": _refresh(status),
        "title": html.escape(title),
        "status": html.escape(status),
        "status_class": _status_class(status),
        "progress": _progress(step, summary.get("num_steps")),
        "facts": _facts(summary),
        "pictures": _pictures(workdir, grids),
        "curves": _curves(charts, len(rows), len(drawn), skipped),
        "use": _use(workdir, summary.get("command")),
        "tables": _tables(config, summary),
        "data": _embed({"rows": drawn, "charts": charts}),
    }
    template = importlib.resources.files("jaxgan").joinpath("report_template.html")
    page = _fill(template.read_text(encoding="utf-8"), parts)
    # A folder's name need not be valid Unicode.
    return write_atomically(workdir / "index.html", page.encode("utf-8", "xmlcharrefreplace"))


# ---- reading -------------------------------------------------------------------------------


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _parse_rows(data: bytes) -> tuple[list[dict], int]:
    """The rows, and how many lines before the last were left out."""
    lines = data.decode("utf-8", "replace").split("\n")
    rows, skipped = [], 0
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and _is_number(row.get("step")):
            rows.append(row)
        elif line.strip():
            skipped += 1
    # What follows the last line break is still being written.
    last_is_broken = bool(lines[-1].strip()) and not (rows and _loads_to(lines[-1], rows[-1]))
    return rows, skipped - last_is_broken


def _read_object(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        value = json.loads(_read_bytes(path))
    except ValueError as error:
        raise UserError(f"{str(path)!r} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{str(path)!r}: expected a JSON object, got {type(value).__name__}")
    return value


def _numbered(folder: Path, prefix: str) -> list[tuple[int, Path]]:
    """(step, path) of prefix_NNNNNN.png, by step: as text, 1000000 would come before 999999."""
    matches = ((re.fullmatch(prefix + r"_(\d+)\.png", path.name), path) for path in _files(folder))
    return sorted((int(match[1]), path) for match, path in matches if match)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


# ---- pictures ------------------------------------------------------------------------------


def _pictures(workdir: Path, grids: list[tuple[int, Path]]) -> str:
    samples = workdir / "samples"
    real = _image(samples / "real.png", "Real images")
    strips = _numbered(samples, "interpolation")
    strip = strips and _image(strips[-1][1], f"Interpolation at step {strips[-1][0]}")
    animation, animation_bytes = _animation(workdir / "progress.gif")

    used = animation_bytes + sum(_size(path) for path in (samples / "real.png",) if real)
    used += _size(strips[-1][1]) if strip else 0
    chosen = _choose(grids, IMAGE_BUDGET - used)
    frames = [
        (step, tag) for step, path in chosen if (tag := _image(path, f"Samples at step {step}"))
    ]
    return "".join(
        (
            _gallery(frames, len(grids), real),
            _strip_section(strip, strips[-1][0] if strips else 0),
            animation,
        )
    )
