"""The one table of a run's curves: which metrics share a chart, and under which labels.

The page, losses.png and the progress line draw from it; what is not in it gets a chart of its own.
"""

import math
import re
from typing import Any

from jaxgan.runs.page_files import evenly, is_number
from jaxgan.runs.spread import STD

__all__ = ["PROGRESS", "make_charts", "pictured_charts", "thin"]

# Rows of one kind (one set of keys) that are drawn; more would not be told apart on a screen.
MOST_ROWS = 1000

PROGRESS = {
    "discriminator_loss": "D loss",
    "generator_loss": "G loss",
    "d_real": "D(x)",
    "d_fake": "D(G(z))",
}
"""The metrics of the progress line, and their labels there."""
# The charts of losses.png.
_PICTURED = ("Losses", "Probabilities", "Discriminator accuracy", "Critic")
# The charts that are known beforehand, in the order of the page. "keys" maps a metric to its
# label; "low" and "high" fix the axis; "line" is a reference value.
_KNOWN_CHARTS: tuple[dict[str, Any], ...] = (
    {
        "title": "Losses",
        "note": "What each network tries to make small. They pull against each other, so neither "
        "has to fall: steady is good, one at zero is not. With the original loss the "
        "discriminator's sum over real and generated images is log 4 = 1.386 when it cannot tell.",
        "keys": {
            "train/discriminator_loss": "discriminator",
            "train/discriminator_loss_real": "… on real",
            "train/discriminator_loss_fake": "… on generated",
            "train/discriminator_loss_wrong": "… on wrong captions",
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
            "train/d_wrong": "D(x) with a wrong caption",
            "train/d_ratio": "share of D(x)",
        },
        "low": 0,
        "high": 1,
        "line": 0.5,
    },
    {
        "title": "Discriminator accuracy",
        "note": "Share of images that it classifies correctly: real ones as real, generated ones "
        "as generated. 0.5 is guessing. Dots are measured on held-out images: far below the line "
        "for real ones, it has memorised its training images.",
        "keys": {
            "train/accuracy_real": "real",
            "train/accuracy_fake": "generated",
            "train/accuracy_wrong": "real with a wrong caption",
            "eval/accuracy_real": "held-out real",
            "eval/accuracy_fake": "held-out generated",
        },
        "low": 0,
        "high": 1,
        "line": 0.5,
    },
    {
        "title": "Critic",
        "note": "The mean output on real and on generated images. Only the difference means "
        "something: with the Wasserstein loss it estimates how far the generator is from the "
        "data, and falls as it learns. Dots are measured on held-out images: far from the line of "
        "the training images, those were memorised.",
        "keys": {
            "train/critic_real": "real",
            "train/critic_fake": "generated",
            "train/critic_wrong": "real with a wrong caption",
            "eval/critic_real": "held-out real",
            "eval/critic_fake": "held-out generated",
        },
    },
    {
        "title": "Jensen–Shannon divergence, lower bound",
        "note": "In nats: the real and the generated distribution are at least this far apart, by "
        "what the discriminator shows. 0: it sees no difference; at most log 2 = 0.693 (dotted): "
        "it tells every image apart. Below 0 it does worse than saying 0.5 to all. Dots are "
        "measured on held-out images; the line is of training images and counts what it has "
        "memorised.",
        "keys": {
            "train/jsd_lower_bound": "training images",
            "eval/jsd_lower_bound": "held-out images",
        },
        "low": 0,
        "line": math.log(2),
    },
    {
        "title": "Gradient norm of the generator",
        "note": "The norm of the generator's gradient at a generated image. Near 0 the "
        "discriminator teaches it nothing; steadily growing, training may blow up.",
        "keys": {"train/generator_gradient_norm": "at a generated image"},
        "low": 0,
    },
    {
        "title": "Diversity",
        "note": "How far generated images spread about their mean, in shares of how far real ones "
        "do: 1 (dotted) is as varied, near 0 they are all alike.",
        "keys": {"train/diversity": "generated images"},
        "low": 0,
        "line": 1,
    },
    {
        "title": "Speed",
        "note": "Real images that went through training in a second.",
        "keys": {"train/images_per_second": "images per second"},
        "low": 0,
    },
)
# A metric of a value of a sweep, see `jaxgan.runs.spread`.
_SWEPT = re.compile(
    r"(?P<part>train|eval)/(?P<metric>[^/]+)/"
    r"(?P<field>\w+)=(?P<value>-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
)
_FRECHET = (
    "Fréchet distance between features of real and generated images: lower is nearer, 0 is no "
    "difference that the features can see."
)
# Notes on families of metrics, for charts that are made up from the keys.
_FAMILY_NOTES = {
    "fid": _FRECHET,
    "fd": _FRECHET,
    "other losses": "Further terms that a network tries to make small.",
    "other accuracies": "Share of examples that are classified correctly.",
    "kl": "In nats: how far the Gaussian about a caption, which images are drawn from, is from the "
    "standard one.",
    "matching": "Cosine of the embeddings of a generated image and of its caption: 1 is a match.",
    "mse": "Mean squared error of translations against the truth, of [-1, 1] pixels.",
    "ssim": "Structural similarity of translations and the truth: 1 where they are the same.",
    "cycle": "Mean absolute error after there and back, of [-1, 1] pixels.",
    "read": "Share of digits that a classifier reads after translation.",
}


def thin(rows: list[dict]) -> list[dict]:
    """Leaves out rows where there are more than a screen can show.

    Args:
      rows: all metric rows.

    Returns:
      At most MOST_ROWS of each kind, evenly: rare evaluation rows survive among many others.

    Examples:
      >>> rows = [{"step": step, "train/d_real": 0.5} for step in range(5000)]
      >>> len(thin([*rows, {"step": 5000, "eval/fid": 3.0}]))
      1001
    """
    kinds: dict[frozenset, list[int]] = {}
    for index, row in enumerate(rows):
        kinds.setdefault(frozenset(row), []).append(index)
    kept = (index for kind in kinds.values() for index in evenly(kind, MOST_ROWS))
    return [rows[index] for index in sorted(kept)]


def pictured_charts(rows: list[dict]) -> list[dict]:
    """The charts of `make_charts` that losses.png shows, one at least.

    Examples:
      >>> [chart["title"] for chart in pictured_charts([{"step": 1, "train/critic_real": 0.5}])]
      ['Critic']
      >>> pictured_charts([])
      [{'title': 'Losses', 'series': []}]
    """
    charts = [chart for chart in make_charts(rows) if _is_pictured(chart)]
    return charts or [{"title": "Losses", "series": []}]


def _is_pictured(chart: dict) -> bool:
    swept = _SWEPT.fullmatch(chart["series"][0]["key"])
    return swept["metric"] in PROGRESS if swept else chart["title"] in _PICTURED


def make_charts(rows: list[dict]) -> list[dict]:
    """Lays out the charts: known ones first, then one for each family of other metrics.

    Of a sweep each metric has a chart, with a curve for each value.

    Args:
      rows: metric rows; what is not a number in them is not drawn.

    Returns:
      For each chart what the page's script draws: "title", "note", where it is known "low" and
      "high" (ends of the axis) and "line" (a reference value), and "series", a list of dicts of
      "key", "label", "colour" (its number), "dots" (or else a line) and, of several seeds, "spread"
      (the key of the standard deviation about it).

    Examples:
      >>> (chart,) = make_charts([{"step": 1, "eval/fid_lenet_10k": 41.5}])
      >>> chart["title"], chart["series"][0]["dots"]
      ('FID lenet 10k', True)
    """
    keys = {key for row in rows for key, value in row.items() if is_number(value)} - {"step"}
    spreads = {key + STD for key in keys} & keys
    keys -= spreads
    charts = []
    for chart in _KNOWN_CHARTS:
        labels = {key: label for key, label in chart["keys"].items() if key in keys}
        if labels:
            rest = {name: value for name, value in chart.items() if name != "keys"}
            charts.append({**rest, "series": _series(labels, spreads)})
    swept = {key for key in keys if _SWEPT.fullmatch(key)}
    charts += _swept_charts(swept, spreads)
    families: dict[str, list[str]] = {}
    for key in sorted((keys - swept).difference(*(chart["keys"] for chart in _KNOWN_CHARTS))):
        families.setdefault(_family(key), []).append(key)
    for family, members in families.items():
        title = _title(family if len(members) > 1 else members[0].split("/")[-1])
        note = _FAMILY_NOTES.get(family, "Written by the run under this name.")
        series = _series({key: key for key in members}, spreads)
        charts.append({"title": title, "note": note, "series": series})
    return charts


def _swept_charts(keys: set[str], spreads: set[str]) -> list[dict]:
    """Of keys as "train/d_real/penalty_weight=0.1", in the order of the known charts."""
    known: dict[str, tuple[dict, str]] = {}
    for chart in _KNOWN_CHARTS:
        for key, label in chart["keys"].items():
            known.setdefault(key.split("/")[1], (chart, label))
    families: dict[str, list[re.Match]] = {}
    parts = [of for of in map(_SWEPT.fullmatch, keys) if of]
    for of in sorted(parts, key=lambda of: (float(of["value"]), of[0])):
        families.setdefault(of["metric"], []).append(of)
    charts = []
    for name in sorted(families, key=lambda name: ([*known, name].index(name), name)):
        note = _FAMILY_NOTES.get(name.split("_")[0], "Written by the run under this name.")
        chart, label = known.get(name, ({"title": _title(name), "note": note, "keys": {}}, ""))
        title = f"{chart['title']}: {label}" if len(chart["keys"]) > 1 else chart["title"]
        rest = {of: value for of, value in chart.items() if of != "keys"}
        values = list(dict.fromkeys(of["value"] for of in families[name]))
        series = []
        for of in families[name]:
            key, dots = of[0], of["part"] == "eval"
            label = f"{of['value']}, evaluated" if dots else of["value"]
            colour = values.index(of["value"]) % 6
            spread = {"spread": key + STD} if key + STD in spreads else {}
            series.append({"key": key, "label": label, "colour": colour, "dots": dots, **spread})
        title = f"{title}, by {families[name][0]['field']}"
        charts.append({**rest, "title": title, "series": series})
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
    short = len(first) <= 3 or first == "ssim"
    return " ".join([first.upper() if short else first.capitalize(), *rest])


def _series(labels: dict[str, str], spreads: set[str]) -> list[dict]:
    taken: set[int] = set()
    series = []
    for key, label in labels.items():
        dots = key.startswith("eval/")
        colour = _colour(key, taken)
        taken.add(colour)
        spread = {"spread": key + STD} if key + STD in spreads else {}
        series.append({"key": key, "label": label, "colour": colour, "dots": dots, **spread})
    return series


def _colour(key: str, taken: set[int]) -> int:
    """One colour for all that is real, one for all that is generated; else the next free one."""
    words = re.split(r"[/_]", key)
    for colour, word in enumerate(("real", "fake", "generator")):
        if word in words:
            return colour
    return next((colour for colour in (3, 4, 5, 0, 1, 2) if colour not in taken), 3)
