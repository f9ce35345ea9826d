"""The cards of a run's page: the HTML of each, out of what report_files.py has read."""

import base64
import html
import json
from typing import Any

from jaxgan.runs.diagnosis import WINDOW, diagnose_run
from jaxgan.runs.page_files import ANIMATION_BUDGET, Picture, Run, is_finite

__all__ = ["curves", "health", "measured", "moving", "samples", "tables", "text", "use"]

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
        "layout",
    ),
}


def _card(title: str, content: str, kind: str = "card") -> str:
    return f'<section class="{kind}"><h2>{title}</h2>{content}</section>'


def health(run: Run) -> str:
    """What went wrong in the run and when, or that nothing is seen; nothing of a short run."""
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


def measured(evaluation: dict) -> str:
    """The dicts of figures in it, as columns; what else it says stands below.

    Those that share no name with the first stand in another table.
    """
    columns = {
        head: figures
        for head, figures in evaluation.items()
        if isinstance(figures, dict) and any(map(is_finite, figures.values()))
    }
    if not columns:
        return ""
    tables, left = "", columns
    while left:
        first = next(iter(left.values()))
        alike = {head: of for head, of in left.items() if not first.keys().isdisjoint(of)}
        left = {head: of for head, of in left.items() if head not in alike}
        tables += _figures(alike)
    rest = {key: value for key, value in evaluation.items() if key not in columns}
    note = html.escape("; ".join(f"{key}: {text(value)}" for key, value in rest.items()))
    return _card("Measured", f'{tables}<p class="note">{note}</p>')


def _figures(columns: dict[str, dict]) -> str:
    names = dict.fromkeys(name for figures in columns.values() for name in figures)
    heads = "".join(f"<td>{html.escape(head)}</td>" for head in columns)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(f"<td>{_cell(figures.get(name))}</td>" for figures in columns.values())
        + "</tr>"
        for name in names
    )
    return f'<table class="figures"><tr><th></th>{heads}</tr>{rows}</table>'


def _cell(value: Any) -> str:
    return f"{value:.4g}" if is_finite(value) else html.escape(text(value))


# Pictures.


def samples(run: Run) -> str:
    """The grids over time, with a slider, beside real images."""
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
        layout = text(run.summary.get("layout"))
        note = f'<p class="note">{html.escape(layout)}</p>' if layout else ""
        content = f'<div class="stack">{stack}</div>{note}{slider}'
        figures.append(_figure(picture, caption, content))
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
        f'</div><p class="note">The same inputs at each step: {shown}. '
        "Drag, or use the arrow keys ← →.</p>"
    )


def moving(run: Run) -> str:
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


def curves(charts: list[dict], run: Run, drawn: int) -> str:
    """The places of the curves, which the page's script draws, of so many rows."""
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


# Settings and commands.


def use(summary: dict) -> str:
    """How the run is used and how it was started."""
    use = summary.get("use")
    blocks = {
        **(use if isinstance(use, dict) else {}),
        "How it was started": summary.get("command"),
    }
    content = "".join(
        f"<h3>{html.escape(name)}</h3><pre><code>{html.escape(text(code))}</code></pre>"
        for name, code in blocks.items()
        if code
    )
    return _card("Use", content) if content else ""


def tables(run: Run) -> str:
    """The settings, and what else the summary says."""
    rest = {key: value for key, value in run.summary.items() if key not in _SHOWN_ELSEWHERE}
    tables = _table("Settings", run.config) + _table("Further figures", rest)
    return f"<div>{tables}</div>" if tables else ""


def _table(title: str, values: dict) -> str:
    if not values:
        return ""
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(text(value) or str(value))}</td></tr>"
        for key, value in values.items()
    )
    return _card(title, f"<table>{rows}</table>")


def text(value: Any) -> str:
    """A string as it is, no value as nothing, all else as JSON writes it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
