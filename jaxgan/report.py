"""One self-contained HTML page about a run: the HTML of it, and the file.

What the page shows is read by report_files.py; report_charts.py says which curves share a chart.
"""

import base64
import html
import importlib.resources
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from jaxgan.diagnosis import WINDOW, diagnose_run
from jaxgan.errors import UserError
from jaxgan.report_charts import make_charts, thin
from jaxgan.report_files import ANIMATION_BUDGET, Picture, Run, is_finite, read_rows, read_run
from jaxgan.workdir import write_atomically

__all__ = ["read_metrics", "write_report"]

RELOAD_SECONDS = 15
MOST_PERIODS = 12
# Keys of summary.json that the header and the commands show; the rest goes to the table.
_SHOWN_ELSEWHERE = {
    *("title", "num_steps", "step", "status", "started", "seconds", "images_per_second"),
    *(
        "generator_parameters",
        "discriminator_parameters",
        "devices",
        "jax_version",
        "command",
        "use",
    ),
}


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Reads a file of metric rows, one JSON object a line.

    A line that is no JSON object with a "step" is left out: a killed process leaves its last line
    half-written, and a resumed one goes on in that same line.

    Args:
      path: the file `metrics.jsonl` of a run.

    Returns:
      The rows in the file's order: dicts from "step" and the metrics' names to numbers.

    Raises:
      UserError: there is no such file, or it cannot be read.

    Example:
      >>> rows = read_metrics("runs/one/metrics.jsonl")  # doctest: +SKIP
    """
    return read_rows(Path(path))[0]


def write_report(workdir: str | os.PathLike) -> Path:
    """Writes `index.html` into a run's folder: pictures, curves, settings, in one file.

    It reads `metrics.jsonl`, `config.json`, `summary.json`, `evaluation.json`, `samples/*.png` and
    `progress.gif`, each if it is there, and nothing else; it may be called at any time from any
    thread.

    Args:
      workdir: the run's folder.

    Returns:
      The path of the page.

    Raises:
      UserError: no such folder, one of the JSON files holds no object, or a file cannot be read.

    Example:
      >>> write_report("runs/one")  # doctest: +SKIP
    """
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise UserError(f"workdir: no such folder: {str(workdir)!r}")
    run = read_run(workdir)
    rows = thin(run.rows)
    charts = make_charts(rows)

    status = _text(run.summary.get("status")) or "unknown"
    kind = status.split(":")[0].strip()
    reload = f'<meta http-equiv="refresh" content="{RELOAD_SECONDS}">'
    parts = {
        "refresh": reload if status == "running" else "",
        "title": html.escape(_text(run.summary.get("title") or workdir.resolve().name)),
        "status": html.escape(status),
        "status_class": kind if kind in ("running", "finished", "stopped") else "other",
        "progress": _progress(run),
        "started": _started(run.summary.get("started")),
        "facts": _facts(run.summary),
        "pictures": _samples(run) + _moving(run),
        "health": _health(run),
        "measured": _measured(run.evaluation),
        "curves": _curves(charts, run, len(rows)),
        "use": _use(run.summary),
        "tables": _tables(run),
        "data": _embed({"rows": rows, "charts": charts}),
    }
    template = importlib.resources.files("jaxgan").joinpath("report_template.html")
    # One pass: braces in what is filled in are not looked at again.
    page = re.sub(
        r"\{\{(\w+)\}\}",
        lambda match: parts[match[1]],
        template.read_text(encoding="utf-8"),
    )
    # A folder's name need not be valid Unicode.
    return write_atomically(workdir / "index.html", page.encode("utf-8", "xmlcharrefreplace"))


def _card(title: str, content: str, kind: str = "card") -> str:
    return f'<section class="{kind}"><h2>{title}</h2>{content}</section>'


def _health(run: Run) -> str:
    rows = [
        {key.removeprefix("train/"): value for key, value in row.items()}
        for row in run.rows
        if "train/generator_loss" in row and all(map(is_finite, row.values()))
    ]
    if len(rows) < WINDOW:
        return ""
    periods = diagnose_run(rows)
    newest = rows[-1]["step"]
    items = "".join(
        f"<li><b>{period.finding.name.capitalize()}</b>, "
        f"{'since' if period.last == newest else 'from'} step {period.first:,}"
        f"{'' if period.last == newest else f' to {period.last:,}'}. "
        f"{html.escape(period.finding.text)} <i>{html.escape(period.finding.advice)}</i></li>"
        for period in periods[-MOST_PERIODS:]
    )
    well = "<p>No sign of saturation, collapse or oscillation in what was logged.</p>"
    if "accuracy_fake" not in rows[-1]:
        # A critic gives no probabilities, from which the other two are told.
        well = "<p>No sign of collapse in what was logged.</p>"
    return _card("Health", f'<ul class="findings">{items}</ul>' if items else well)


def _measured(evaluation: dict) -> str:
    """The dicts of figures in it, as columns; what else it says stands below."""
    columns = {
        head: figures
        for head, figures in evaluation.items()
        if isinstance(figures, dict) and any(map(is_finite, figures.values()))
    }
    if not columns:
        return ""
    names = dict.fromkeys(name for figures in columns.values() for name in figures)
    heads = "".join(f"<td>{html.escape(head)}</td>" for head in columns)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(f"<td>{_cell(figures.get(name))}</td>" for figures in columns.values())
        + "</tr>"
        for name in names
    )
    rest = {key: value for key, value in evaluation.items() if key not in columns}
    note = html.escape("; ".join(f"{key}: {_text(value)}" for key, value in rest.items()))
    table = f"<table><tr><th></th>{heads}</tr>{rows}</table>"
    return _card("Measured", f'{table}<p class="note">{note}</p>')


def _cell(value: Any) -> str:
    return f"{value:.4g}" if is_finite(value) else html.escape(_text(value))


# The header.


def _progress(run: Run) -> str:
    step, num_steps = run.summary.get("step"), run.summary.get("num_steps")
    if not is_finite(step):
        step = max([*(row["step"] for row in run.rows), *run.grid_steps], default=None)
    if step is None:
        return ""
    if not is_finite(num_steps) or num_steps <= 0:
        return f'<p class="steps"><b>Step {step:,}</b></p>'
    percent = 100.0 * min(1.0, max(0.0, step / num_steps))
    return (
        f'<p class="steps"><b>Step {step:,}</b> of {num_steps:,} <span>{percent:.0f} %</span></p>'
        f'<div class="track" role="progressbar" aria-label="Steps done" '
        f'aria-valuenow="{percent:.0f}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{percent:.2f}%"></i></div>'
    )


def _started(value: Any) -> str:
    """2026-11-21T21:04:41Z is shown as 2026-11-21 21:04 UTC; other texts stay as they are."""
    if not value:
        return ""
    text = _text(value)
    time = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", text)
    zone = re.search(r"(?:Z|[+-]\d\d:\d\d)$", text)
    if time:
        text = f"{time[1]} {time[2]}"
        if zone:
            text += " UTC" if zone[0] in ("Z", "+00:00") else f" {zone[0]}"
    return f'<span class="started">started {html.escape(text)}</span>'


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


def _quantity(value: Any) -> str:
    if not is_finite(value):
        return ""
    for size, unit in ((1e9, " G"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:.2f}{unit}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _duration(seconds: Any) -> str:
    if not is_finite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# Pictures.


def _samples(run: Run) -> str:
    figures = []
    if run.grids:
        newest, picture = run.grids[-1]
        caption = f'Generated, step <output id="grid-step">{newest:,}</output>'
        stack = "".join(
            _image(
                grid,
                f"Images generated at step {step}",
                f' data-step="{step}"' + (' class="on"' if grid is picture else ""),
            )
            for step, grid in run.grids
        )
        slider = _slider(len(run.grids), len(run.grid_steps))
        figures.append(_figure(picture, caption, f'<div class="stack">{stack}</div>{slider}'))
    if run.real:
        content = _image(run.real, "Real images")
        figures.append(_figure(run.real, "Real, from the training set", content))
    if not figures:
        return _card("Samples", '<p class="note">None yet.</p>')
    return _card("Samples", f'<div class="pair">{"".join(figures)}</div>')


def _figure(picture: Picture, caption: str, content: str) -> str:
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


def _moving(run: Run) -> str:
    """What shows movement, through the latent space or through training."""
    cards = ""
    if run.strip:
        step, picture = run.strip
        cards += _card(
            f"Interpolation <small>step {step:,}</small>",
            _image(picture, f"Interpolation between latent vectors at step {step}")
            + '<p class="note">Each row walks from one latent vector to another. Smooth changes, '
            "with an image at every place, mean that the generator has not learnt single images "
            "by heart.</p>",
        )
    if run.animation:
        size = len(run.animation.data)
        if size > ANIMATION_BUDGET:
            content = (
                f'<p class="note">The file <code>progress.gif</code> beside this page '
                f"({size / 1e6:.1f} MB) is too large to embed; the ▶ button above "
                "plays the same grids.</p>"
            )
        else:
            content = _image(run.animation, "Animation of the samples over training")
        cards += _card("Animation", content, "card animation")
    return f'<div class="moving">{cards}</div>'


def _image(picture: Picture, alt: str, attributes: str = "") -> str:
    code = base64.b64encode(picture.data).decode("ascii")
    return (
        f'<img src="data:image/{picture.kind};base64,{code}" alt="{html.escape(alt)}" '
        f'width="{picture.width}" height="{picture.height}"{attributes}>'
    )


# Curves.


def _curves(charts: list[dict], run: Run, drawn: int) -> str:
    if not charts:
        return _card("Curves", '<p class="note">None yet.</p>')
    remarks = [
        "Faint: as measured; in front, and in the figures: the moving average. "
        "Click a name to hide its curve."
    ]
    if drawn < len(run.rows):
        remarks.append(f"{drawn:,} of {len(run.rows):,} rows of metrics.jsonl are drawn.")
    if run.unreadable:
        remarks.append(f"Unreadable lines of metrics.jsonl, left out: {run.unreadable:,}.")
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


def _embed(value: Any) -> str:
    """JSON that may stand in a script element: no NaN, and no `<` that could end the element."""
    text = json.dumps(_without_nan(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value


# Settings and commands.


def _use(summary: dict) -> str:
    use = summary.get("use")
    blocks = {
        **(use if isinstance(use, dict) else {}),
        "How it was started": summary.get("command"),
    }
    content = "".join(
        f"<h3>{html.escape(name)}</h3><pre><code>{html.escape(_text(code))}</code></pre>"
        for name, code in blocks.items()
        if code
    )
    return _card("Use", content) if content else ""


def _tables(run: Run) -> str:
    rest = {key: value for key, value in run.summary.items() if key not in _SHOWN_ELSEWHERE}
    tables = _table("Settings", run.config) + _table("Further figures", rest)
    return f"<div>{tables}</div>" if tables else ""


def _table(title: str, values: dict) -> str:
    if not values:
        return ""
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(_text(value) or str(value))}</td></tr>"
        for key, value in values.items()
    )
    return _card(title, f"<table>{rows}</table>")


def _text(value: Any) -> str:
    """A string as it is, no value as nothing, all else as JSON writes it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
