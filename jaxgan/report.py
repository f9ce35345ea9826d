"""One self-contained HTML page about a run, drawn from the files in its folder."""

import base64
import dataclasses
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
from jaxgan.workdir import write_atomically

RELOAD_SECONDS = 15
MOST_GRIDS = 24
# Bytes of pictures in the page before base64, which makes them a third larger.
IMAGE_BUDGET = 3_400_000
# A larger animation is left beside the page: the slider plays the same grids.
ANIMATION_BUDGET = 1_800_000
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
        "note": "In nats: the real and the generated distribution are at least this far apart, by "
        "what the discriminator shows. 0: it sees no difference; at most log 2 = 0.693 (dotted): "
        "it tells every image. Below 0 it does worse than saying 0.5 to all.",
        "keys": {"train/jsd_lower_bound": "lower bound"},
        "low": 0,
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
_HEADER_KEYS = {"title", "num_steps", "step", "status", "started", "seconds", "images_per_second"}
_HEADER_KEYS |= {"generator_parameters", "discriminator_parameters", "devices", "jax_version"}
_HEADER_KEYS |= {"command"}


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
    status = _text(summary.get("status")) or "unknown"
    parts = {
        "refresh": _refresh(status),
        "title": html.escape(title),
        "status": html.escape(status),
        "status_class": _status_class(status),
        "progress": _progress(step, summary.get("num_steps")),
        "started": _started(summary.get("started")),
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


# Reading the run's folder.


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _parse_rows(data: bytes) -> tuple[list[dict], int]:
    """The rows, and how many whole lines were left out."""
    # What follows the last line break may still be being written: broken there is not an error.
    *lines, tail = data.decode("utf-8", "replace").split("\n")
    parsed = [_parse_row(line) for line in lines if line.strip()]
    rows = [row for row in [*parsed, _parse_row(tail)] if row]
    return rows, parsed.count({})


def _parse_row(line: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) and _is_number(row.get("step")) else {}


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
    paths = folder.iterdir() if folder.is_dir() else ()
    matches = ((re.fullmatch(prefix + r"_(\d+)\.png", path.name), path) for path in paths)
    return sorted((int(match[1]), path) for match, path in matches if match)


# Pictures.


@dataclasses.dataclass(frozen=True)
class _Picture:
    kind: str
    data: bytes
    width: int
    height: int

    def tag(self, alt: str, extra: str = "") -> str:
        code = base64.b64encode(self.data).decode("ascii")
        return (
            f'<img src="data:image/{self.kind};base64,{code}" alt="{html.escape(alt)}" '
            f'width="{self.width}" height="{self.height}"{extra}>'
        )


def _load_picture(path: Path) -> _Picture | None:
    """A PNG or GIF file with its size, which stands at the start; None if it is neither."""
    if not path.is_file():
        return None
    data = _read_bytes(path)
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return _Picture("png", data, *struct.unpack(">II", data[16:24]))
    if data[:4] == b"GIF8" and len(data) >= 10:
        return _Picture("gif", data, *struct.unpack("<HH", data[6:10]))
    return None


def _choose(grids: list[tuple[int, Path]], budget: int) -> list[tuple[int, Path]]:
    """At most MOST_GRIDS, evenly, with the first and the last; fewer if they are heavy."""
    for count in range(min(MOST_GRIDS, len(grids)), 2, -1):
        chosen = _evenly(grids, count)
        if sum(path.stat().st_size for _, path in chosen) <= budget:
            return chosen
    return _evenly(grids, min(2, len(grids)))


def _evenly(items: Sequence, count: int) -> list:
    """`count` of the items at even distances, among them the first and the last."""
    if count >= len(items):
        return list(items)
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def _pictures(workdir: Path, grids: list[tuple[int, Path]]) -> str:
    real = _load_picture(workdir / "samples" / "real.png")
    strips = _numbered(workdir / "samples", "interpolation")
    strip = _load_picture(strips[-1][1]) if strips else None
    animation = _load_picture(workdir / "progress.gif")
    too_large = animation is not None and len(animation.data) > ANIMATION_BUDGET

    used = sum(len(picture.data) for picture in (real, strip) if picture)
    used += len(animation.data) if animation and not too_large else 0
    loaded = [(step, _load_picture(path)) for step, path in _choose(grids, IMAGE_BUDGET - used)]
    frames = [(step, picture) for step, picture in loaded if picture]
    return (
        _gallery(frames, len(grids), real)
        + '<div class="moving">'
        + (_strip(strip, strips[-1][0]) if strip else "")
        + (_animation(animation, too_large) if animation else "")
        + "</div>"
    )


def _gallery(frames: list[tuple[int, _Picture]], total: int, real: _Picture | None) -> str:
    figures = []
    if frames:
        newest, picture = frames[-1]
        caption = f'Generated, step <output id="grid-step">{newest:,}</output>'
        stack = f'<div class="stack">{"".join(_frame_tags(frames))}</div>'
        figures.append(_figure(picture, caption, stack + _slider(len(frames), total)))
    if real:
        figures.append(_figure(real, "Real, from the training set", real.tag("Real images")))
    if not figures:
        return '<section class="card"><h2>Samples</h2><p class="note">None yet.</p></section>'
    return (
        '<section class="card"><h2>Samples</h2>'
        f'<div class="pair">{"".join(figures)}</div></section>'
    )


def _frame_tags(frames: list[tuple[int, _Picture]]) -> list[str]:
    last = len(frames) - 1
    return [
        picture.tag(
            f"Images generated at step {step}",
            f' data-step="{step}"' + (' class="on"' if index == last else ""),
        )
        for index, (step, picture) in enumerate(frames)
    ]


def _figure(picture: _Picture, caption: str, content: str) -> str:
    # Shares of the row in proportion to the widths: both pictures at one scale.
    return (
        f'<figure style="flex-grow:{picture.width}"><figcaption>{caption}</figcaption>'
        f"{content}</figure>"
    )


def _slider(count: int, total: int) -> str:
    if count < 2:
        return ""
    shown = f"{count} of {total} grids" if count < total else f"{count} grids"
    return (
        '<div class="player"><button type="button" id="play" aria-label="Play">▶</button>'
        f'<input type="range" id="grid-slider" min="0" max="{count - 1}" value="{count - 1}" '
        'aria-label="Training step of the samples">'
        f'</div><p class="note">The same latent vectors at each step: {shown}. '
        "Drag, or use the arrow keys ← →.</p>"
    )


def _strip(picture: _Picture, step: int) -> str:
    return (
        f'<section class="card"><h2>Interpolation <small>step {step:,}</small></h2>'
        f"{picture.tag(f'Interpolation between latent vectors at step {step}')}"
        '<p class="note">Each row walks from one latent vector to another. Smooth changes, '
        "with an image at every place, mean that the generator has not learnt single images "
        "by heart.</p></section>"
    )


def _animation(picture: _Picture, too_large: bool) -> str:
    if too_large:
        content = (
            f'<p class="note">The file <code>progress.gif</code> beside this page '
            f"({len(picture.data) / 1e6:.1f} MB) is too large to embed; the ▶ button above "
            "plays the same grids.</p>"
        )
    else:
        content = picture.tag("Animation of the samples over training")
    return f'<section class="card animation"><h2>Animation</h2>{content}</section>'


# Curves.


def _thin(rows: list[dict]) -> list[dict]:
    """At most MOST_ROWS of each kind, evenly: rare evaluation rows survive among many others."""
    kinds: dict[frozenset, list[int]] = {}
    for index, row in enumerate(rows):
        kinds.setdefault(frozenset(row), []).append(index)
    kept = (index for kind in kinds.values() for index in _evenly(kind, MOST_ROWS))
    return [rows[index] for index in sorted(kept)]


def _charts(rows: list[dict]) -> list[dict]:
    """The charts to draw: known ones first, then one for each family of other metrics."""
    keys = sorted({key for row in rows for key, value in row.items() if _is_scalar(value)})
    unknown: dict[str, list[str]] = {}
    known = {key for chart in _KNOWN_CHARTS for key in chart["keys"]}
    for key in keys:
        if key != "step" and key not in known:
            unknown.setdefault(_family(key), []).append(key)
    charts = []
    for chart in _KNOWN_CHARTS:
        labels = {key: label for key, label in chart["keys"].items() if key in keys}
        if labels:
            rest = {name: value for name, value in chart.items() if name != "keys"}
            charts.append({**rest, "series": _series(labels)})
    for family, members in unknown.items():
        title = _title(family if len(members) > 1 else members[0].split("/")[-1])
        note = _FAMILY_NOTES.get(family, "Written by the run under this name.")
        series = _series({key: key for key in members})
        charts.append({"title": title, "note": note, "series": series})
    return charts


def _family(key: str) -> str:
    """Metrics that share a chart: a folder below train/ or eval/, or else the name's first word."""
    *folders, name = key.split("/")
    if len(folders) > 1:
        return " / ".join(folders[1:])
    if "loss" in name:
        return "other losses"
    if "accuracy" in name:
        return "other accuracies"
    return name.split("_")[0]


def _title(name: str) -> str:
    """fid_lenet_10k becomes FID lenet 10k, grad_norm becomes Grad norm."""
    first, *rest = name.replace("_", " ").split(" ")
    return " ".join([first.upper() if len(first) <= 3 else first.capitalize(), *rest])


def _series(labels: dict[str, str]) -> list[dict]:
    """What the page's script draws: key, label, number of the colour, dots or a line."""
    taken: set[int] = set()
    series = []
    for key, label in labels.items():
        dots = key.startswith("eval/")
        colour = _colour(key, taken)
        taken.add(colour)
        series.append({"key": key, "label": label, "colour": colour, "dots": dots})
    return series


def _colour(key: str, taken: set[int]) -> int:
    """One colour for all that is real, one for all that is generated; else the next free one."""
    words = re.split(r"[/_]", key)
    for colour, word in enumerate(("real", "fake", "generator")):
        if word in words:
            return colour
    return next((colour for colour in (3, 4, 5, 0, 1, 2) if colour not in taken), 3)


def _curves(charts: list[dict], total: int, drawn: int, skipped: int) -> str:
    if not charts:
        return '<section class="card"><h2>Curves</h2><p class="note">None yet.</p></section>'
    remarks = [
        "Faint: as measured; in front, and in the figures: the moving average. "
        "Click a name to hide its curve."
    ]
    if drawn < total:
        remarks.append(f"{drawn:,} of {total:,} rows of metrics.jsonl are drawn.")
    if skipped:
        remarks.append(f"Unreadable lines of metrics.jsonl, left out: {skipped:,}.")
    remark = f'<p class="note">{" ".join(remarks)}</p>'
    cards = "".join(
        f'<section class="card chart" data-chart="{index}">'
        f'<h3>{html.escape(chart["title"])}</h3><div class="plot"></div>'
        f'<div class="legend"></div><p class="note">{html.escape(chart["note"])}</p></section>'
        for index, chart in enumerate(charts)
    )
    return (
        '<div class="bar"><h2>Curves</h2><label>Smoothing <input type="range" id="smoothing" '
        'min="0" max="0.99" step="0.01" value="0.8"><output id="smoothing-value">0.80</output>'
        f'</label></div>{remark}<noscript><p class="note">The curves need JavaScript.</p>'
        f'</noscript><div class="charts">{cards}</div>'
    )


# Words and numbers.


def _refresh(status: str) -> str:
    if status != "running":
        return ""
    return f'<meta http-equiv="refresh" content="{RELOAD_SECONDS}">'


def _status_class(status: str) -> str:
    word = status.split(":")[0].strip()
    return word if word in ("running", "finished", "stopped") else "other"


def _progress(step, num_steps) -> str:
    if not _is_number(step):
        return ""
    if not _is_number(num_steps) or num_steps <= 0:
        return f'<p class="steps"><b>Step {step:,}</b></p>'
    percent = 100.0 * min(1.0, max(0.0, step / num_steps))
    return (
        f'<p class="steps"><b>Step {step:,}</b> of {num_steps:,} <span>{percent:.0f} %</span></p>'
        f'<div class="track" role="progressbar" aria-label="Steps done" '
        f'aria-valuenow="{percent:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{percent:.2f}%"></i></div>'
    )


def _facts(summary: dict) -> str:
    facts = (
        ("Images per second", _quantity(summary.get("images_per_second"))),
        ("Time", _duration(summary.get("seconds"))),
        ("Generator parameters", _quantity(summary.get("generator_parameters"))),
        ("Discriminator parameters", _quantity(summary.get("discriminator_parameters"))),
        ("Devices", _text(summary.get("devices"))),
        ("JAX", _text(summary.get("jax_version"))),
    )
    items = "".join(
        f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>" for name, value in facts if value
    )
    return f'<dl class="facts">{items}</dl>' if items else ""


def _use(workdir: Path, command) -> str:
    folder = str(workdir)
    quoted = json.dumps(folder, ensure_ascii=False)
    shell = f"python experiments/sample.py --workdir {shlex.quote(folder)} --num 64 --out grid.png"
    python = f"import jaxgan\n\ngenerator = jaxgan.load_generator({quoted})"
    blocks = [("Sample from this run", shell), ("Or in Python", python)]
    if command:
        blocks.append(("How it was started", _text(command)))
    content = "".join(
        f"<h3>{name}</h3><pre><code>{html.escape(code)}</code></pre>" for name, code in blocks
    )
    return f'<section class="card"><h2>Use</h2>{content}</section>'


def _tables(config: dict, summary: dict) -> str:
    rest = {key: value for key, value in summary.items() if key not in _HEADER_KEYS}
    tables = _table("Settings", config) + _table("Further figures", rest)
    return f"<div>{tables}</div>" if tables else ""


def _table(title: str, values: dict) -> str:
    if not values:
        return ""
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(_text(value) or str(value))}</td></tr>"
        for key, value in values.items()
    )
    return f'<section class="card"><h2>{title}</h2><table>{rows}</table></section>'


def _text(value) -> str:
    """A string as it is, no value as nothing, all else as JSON writes it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _quantity(value) -> str:
    if not _is_number(value):
        return ""
    for size, unit in ((1e9, " G"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _duration(seconds) -> str:
    if not _is_number(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _started(value) -> str:
    """2026-11-21T21:04:41Z is shown as 2026-11-21 21:04 UTC; other texts stay as they are."""
    if not value:
        return ""
    match = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", _text(value))
    if match:
        zone = re.search(r"(Z|[+-]\d\d:\d\d)$", _text(value))
        zone = f" {zone[1]}".replace(" Z", " UTC").replace(" +00:00", " UTC") if zone else ""
        value = f"{match[1]} {match[2]}{zone}"
    return f'<span class="started">started {html.escape(_text(value))}</span>'


def _is_scalar(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return _is_scalar(value) and math.isfinite(value)


# The page.


def _embed(value) -> str:
    """JSON that may stand in a script element: no NaN, and no `<` that could end the element."""
    text = json.dumps(_without_nan(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _without_nan(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value


def _fill(template: str, parts: dict[str, str]) -> str:
    # One pass: braces in what is filled in are not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)
