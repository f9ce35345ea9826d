"""One self-contained HTML page about a run.

What the page shows is read by page_files.py; charts.py says which curves share a chart; the
HTML is that of templates/.
"""

import dataclasses
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import jinja2

from jaxgan.errors import UserError
from jaxgan.files import write_atomically
from jaxgan.runs.charts import make_charts, thin
from jaxgan.runs.diagnosis import WINDOW, diagnose_run
from jaxgan.runs.page_files import ANIMATION_BUDGET, Run, is_finite, read_rows, read_run
from jaxgan.runs.spread import by_seed, newest_by_value, number_of_seeds, without_seeds

__all__ = ["read_metrics", "write_report"]

MOST_PERIODS = 12
# Keys of summary.json that have a place of their own on the page; the rest goes to a table.
_SHOWN_ELSEWHERE = {
    "title",
    "num_steps",
    "step",
    "status",
    "started",
    "seconds",
    "images_per_second",
    "generator_parameters",
    "discriminator_parameters",
    "devices",
    "jax_version",
    "command",
    "use",
    "layout",
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

    Examples:
      >>> rows = read_metrics("runs/one/metrics.jsonl")  # doctest: +SKIP
    """
    return read_rows(Path(path))[0]


def write_report(workdir: str | os.PathLike, summary: dict[str, Any] | None = None) -> Path:
    """Writes `index.html` into a run's folder: pictures, curves, settings, in one file.

    It reads `metrics.jsonl`, `config.json`, `summary.json`, `evaluation.json`, `samples/*.png` and
    `progress.gif`, each if it is there, and nothing else; it may be called at any time from any
    thread.

    Args:
      workdir: the run's folder.
      summary: in place of what `summary.json` holds, which is written afterwards.

    Returns:
      The path of the page.

    Raises:
      UserError: no such folder, one of the JSON files holds no object, or a file cannot be read.

    Examples:
      >>> write_report("runs/one")  # doctest: +SKIP
    """
    workdir = Path(workdir)
    if not workdir.is_dir():
        raise UserError(f"workdir: no such folder: {str(workdir)!r}")
    run = read_run(workdir)
    run = run if summary is None else dataclasses.replace(run, summary=summary)
    summary = run.summary
    rows = thin([without_seeds(row) for row in run.rows])
    status = _text(summary.get("status")) or "unknown"
    kind = status.split(":")[0].strip()
    use = summary.get("use")
    use = {**(use if isinstance(use, dict) else {}), "How it was started": summary.get("command")}
    page = _TEMPLATES.get_template("page.html").render(
        run=run,
        summary=summary,
        title=_text(summary.get("title") or workdir.resolve().name),
        status=status,
        status_kind=kind if kind in ("running", "finished", "stopped") else "other",
        progress=_progress(run),
        animation_budget=ANIMATION_BUDGET,
        health=_health(run.rows),
        measured=_measured(run.evaluation),
        swept=_swept(run.rows),
        data=_without_nan({"rows": rows, "charts": make_charts(rows)}),
        further={key: value for key, value in summary.items() if key not in _SHOWN_ELSEWHERE},
        use={name: code for name, code in use.items() if code},
    )
    # A folder's name need not be valid Unicode.
    return write_atomically(workdir / "index.html", page.encode("utf-8", "xmlcharrefreplace"))


def _progress(run: Run) -> dict[str, Any]:
    """The step, None if nothing tells it; the number of steps, None percent if it is not known."""
    step, num_steps = run.summary.get("step"), run.summary.get("num_steps")
    if not is_finite(step):
        step = max([*(row["step"] for row in run.rows), *run.grid_steps], default=None)
    percent = None
    if step is not None and is_finite(num_steps) and num_steps > 0:
        percent = 100.0 * min(1.0, max(0.0, step / num_steps))
    return {"step": step, "num_steps": num_steps, "percent": percent}


def _health(rows: list[dict]) -> dict[str, Any] | None:
    """What went wrong in the run, or in one of several seeds, and when; None of a short run."""
    count = number_of_seeds(rows)
    if count:
        of_each = [
            _health([{"step": row["step"], **by_seed(row, index)} for row in rows])
            for index in range(count)
        ]
        periods = []
        for index, health in enumerate(of_each):
            for period in health["periods"] if health else []:
                text = f"Training {index + 1} of {count}: {period.finding.text}"
                periods.append(period._replace(finding=period.finding._replace(text=text)))
        first = of_each[0]
        return first and {**first, "periods": sorted(periods, key=lambda one: one.first)}
    rows = [
        {key.removeprefix("train/"): value for key, value in row.items()}
        for row in rows
        if "train/generator_loss" in row and all(map(is_finite, row.values()))
    ]
    if len(rows) < WINDOW:
        return None
    # A critic gives no probabilities, from which the other two are told.
    critic = "accuracy_fake" not in rows[-1]
    return {
        "periods": diagnose_run(rows)[-MOST_PERIODS:],
        "newest": rows[-1]["step"],
        "sought": "collapse" if critic else "saturation, collapse or oscillation",
    }


def _measured(evaluation: dict) -> dict[str, Any]:
    """The dicts of metrics in it, as columns, and what else it says.

    Those that share no name with the first stand in another table.
    """
    columns = {
        head: figures
        for head, figures in evaluation.items()
        if isinstance(figures, dict) and any(map(is_finite, figures.values()))
    }
    rest = {key: value for key, value in evaluation.items() if key not in columns}
    tables = []
    while columns:
        first = next(iter(columns.values()))
        tables.append({h: of for h, of in columns.items() if not first.keys().isdisjoint(of)})
        columns = {head: of for head, of in columns.items() if head not in tables[-1]}
    return {"tables": tables, "rest": rest}


def _swept(rows: list[dict]) -> dict[str, dict[str, str]]:
    """{metric: {label of a value: "mean ± deviation"}} of a sweep's newest rows."""
    table: dict[str, dict[str, str]] = {}
    for label, numbers in newest_by_value(rows).items():
        for name, both in numbers.items():
            table.setdefault(name, {})[label] = " ± ".join(map(_figure, both))
    return table


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list) else value


# How the templates write values.


def _text(value: Any) -> str:
    """A string as it is, no value as nothing, all else as JSON writes it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if is_finite(value) else _text(value)


def _time(value: Any) -> str:
    """2026-11-21T21:04:41Z is shown as 2026-11-21 21:04 UTC; other texts stay as they are."""
    shown = _text(value)
    time = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", shown)
    zone = re.search(r"(?:Z|[+-]\d\d:\d\d)$", shown)
    if time:
        shown = f"{time[1]} {time[2]}"
        if zone:
            shown += " UTC" if zone[0] in ("Z", "+00:00") else f" {zone[0]}"
    return shown


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


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("jaxgan.runs"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "text": _text,
    "figure": _figure,
    "time": _time,
    "quantity": _quantity,
    "duration": _duration,
    "thousands": "{:,}".format,
}
_TEMPLATES.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
