"""One self-contained HTML page about a run: its header, and the file.

What the page shows is read by report_files.py; report_cards.py has the HTML of its cards, and
report_charts.py says which curves share a chart.
"""

import html
import importlib.resources
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from jaxgan.errors import UserError
from jaxgan.files import write_atomically
from jaxgan.runs import page_cards
from jaxgan.runs.page_cards import text
from jaxgan.runs.page_charts import make_charts, thin
from jaxgan.runs.page_files import Run, is_finite, read_rows, read_run

__all__ = ["read_metrics", "write_report"]

RELOAD_SECONDS = 15


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

    status = text(run.summary.get("status")) or "unknown"
    kind = status.split(":")[0].strip()
    reload = f'<meta http-equiv="refresh" content="{RELOAD_SECONDS}">'
    parts = {
        "refresh": reload if status == "running" else "",
        "title": html.escape(text(run.summary.get("title") or workdir.resolve().name)),
        "status": html.escape(status),
        "status_class": kind if kind in ("running", "finished", "stopped") else "other",
        "progress": _progress(run),
        "started": _started(run.summary.get("started")),
        "facts": _facts(run.summary),
        "pictures": page_cards.samples(run) + page_cards.moving(run),
        "health": page_cards.health(run),
        "measured": page_cards.measured(run.evaluation),
        "curves": page_cards.curves(charts, run, len(rows)),
        "use": page_cards.use(run.summary),
        "tables": page_cards.tables(run),
        "data": _embed({"rows": rows, "charts": charts}),
    }
    template = importlib.resources.files("jaxgan.runs").joinpath("page.html")
    # One pass: braces in what is filled in are not looked at again.
    page = re.sub(
        r"\{\{(\w+)\}\}",
        lambda match: parts[match[1]],
        template.read_text(encoding="utf-8"),
    )
    # A folder's name need not be valid Unicode.
    return write_atomically(workdir / "index.html", page.encode("utf-8", "xmlcharrefreplace"))


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
    shown = text(value)
    time = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", shown)
    zone = re.search(r"(?:Z|[+-]\d\d:\d\d)$", shown)
    if time:
        shown = f"{time[1]} {time[2]}"
        if zone:
            shown += " UTC" if zone[0] in ("Z", "+00:00") else f" {zone[0]}"
    return f'<span class="started">started {html.escape(shown)}</span>'


def _facts(summary: dict) -> str:
    facts = (
        ("Images per second", _quantity(summary.get("images_per_second"))),
        ("Time", _duration(summary.get("seconds"))),
        ("Generator parameters", _quantity(summary.get("generator_parameters"))),
        ("Discriminator parameters", _quantity(summary.get("discriminator_parameters"))),
        ("Devices", text(summary.get("devices"))),
        ("JAX", text(summary.get("jax_version"))),
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
