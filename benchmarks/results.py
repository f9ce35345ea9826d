"""The files of `results/`, which the tables of the READMEs are made from.

results/NAME.json is one experiment, or one benchmark:

    {"command": "python benchmarks/experiments.py dcgan --seeds 10 11 12",
     "chosen_on": what was looked at when its settings were chosen, "" for nothing,
     "runs": [{
       "seed": 10,
       "command": "python experiments/dcgan.py --config.seed=10",
       "split": "test", or "validation", that the figures are of,
       "commit": ..., "versions": {"python", "jax", ...}, "processor": ..., "cores": ...,
       "budget": {"steps", "examples", "minutes"},
       "figures": {what: {figure: number}}}]}

Figures are those of a run; mean and standard deviation are computed when a table is made. Of runs
from before there were such files no more may be known than {"mean", "std", "worst"}, which then
stand in place of the number, and "seed" is the list of the seeds that they are over; what was not
noted is null.
"""

import json
import re
import statistics
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from jaxgan.files import write_atomically
from jaxgan.runs.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results"
GAME = ("d_real", "d_fake", "jsd_lower_bound")
ORIGIN = ("commit", "versions", "processor", "cores")


def name_of(experiment: str) -> str:
    """The file's name of a script with its arguments.

    Examples:
      >>> name_of("sgan --config.labels=100"), name_of("mlp_gan --variant=dropout")
      ('sgan-labels=100', 'mlp_gan-variant=dropout')
    """
    words = experiment.replace("--config.", "--").replace("--", "").split()
    return re.sub(r"[^\w.=-]", "_", "-".join(words))


def write(
    name: str,
    command: str,
    runs: list[dict[str, Any]],
    folder: Path = RESULTS,
    chosen_on: str | None = None,
) -> Path:
    """Writes results/NAME.json; without `chosen_on` what the file says of it stays."""
    path = folder / f"{name}.json"
    if chosen_on is None:
        chosen_on = json.loads(path.read_text())["chosen_on"] if path.exists() else ""
    content = {"command": command, "chosen_on": chosen_on, "runs": runs}
    return write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def write_benchmark(
    file: Path,
    command: str,
    figures: dict[str, dict[str, Any]],
    *,
    packages: tuple[str, ...] = (),
    origin: dict[str, Any] | None = None,
    **budget: float | None,
) -> Path:
    """Writes what a benchmark measured, which has neither seed nor split, as the one run of a file.

    Args:
      file: where.
      command: that measures it again.
      figures: {what: {figure: number}}.
      packages: whose versions count, where they are installed.
      origin: what to say in place of what `provenance` does.
      **budget: of steps, examples, minutes and the like; what is not given is null.
    """
    made = provenance(*(name for name in packages if find_spec(name))) | (origin or {})
    spent = {"steps": None, "examples": None, "minutes": None, **budget}
    run = {"seed": None, "command": command, "split": None, **made}
    return write(file.stem, command, [{**run, "budget": spent, "figures": figures}], file.parent)


def add_runs(new: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The new runs and the old ones of other seeds, by seed.

    Examples:
      >>> add_runs([{"seed": 11}], [{"seed": 10}, {"seed": 11}])
      [{'seed': 10}, {'seed': 11}]
    """
    seeds = {run["seed"] for run in new}
    return sorted([*new, *(run for run in old if run["seed"] not in seeds)], key=itemgetter("seed"))


def read_run(experiment: str, workdir: Path) -> dict[str, Any]:
    """What a finished run's folder says of itself, as an entry of "runs"."""
    config, summary = _read(workdir / "config.json"), _read(workdir / "summary.json")
    stages = [folder for folder in (workdir / "stage1", workdir / "stage2") if folder.exists()]
    config = config or _read(stages[-1] / "config.json")
    parts = [_read(stage / "summary.json") for stage in stages] or [summary]
    steps = sum(part["num_steps"] for part in parts)
    each = config["batch_size"] * config.get("disc_steps", 1) * config.get("trials", 1)
    script, *arguments = experiment.split()
    seed = f"--config.seed={config['seed']}"
    return {
        "seed": config["seed"],
        "command": " ".join(["python", f"experiments/{script}.py", *arguments, seed]),
        "split": config.get("evaluate_on"),
        **{name: parts[-1].get(name) for name in ORIGIN},
        "budget": {
            "steps": steps,
            "examples": steps * each,
            "minutes": round(sum(part["seconds"] for part in parts) / 60, 1),
        },
        "figures": _figures((stages or [workdir])[-1], script),
    }


def _figures(workdir: Path, script: str) -> dict[str, dict[str, float]]:
    """The figures of all reports that a run's folder has; the script's own is SCRIPT.json."""
    figures = {}
    evaluation = _read(workdir / "evaluation.json")
    network = evaluation.get("network", {}).get("name")
    for what, row in evaluation.items():
        if what not in ("network", "step") and isinstance(row, dict):
            # fid_lenet_10k is called fid.
            short = {re.sub(rf"_{network}_\w+$", "", name): value for name, value in row.items()}
            worst = [v for name, v in short.items() if re.fullmatch(r"accuracy_\d+", name)]
            figures[what] = short | ({"accuracy_worst": min(worst)} if worst else {})
    for file in ("classifiers", script):
        report = _read(workdir / f"{file}.json")
        figures |= {what: row for what, row in report.items() if isinstance(row, dict)}
        own = {name: value for name, value in report.items() if isinstance(value, float)}
        if own:
            figures[file] = own
    if "accuracy_supervised" in figures.get(script, {}):
        figures["alone"] = {"accuracy": figures[script].pop("accuracy_supervised")}
    trials = _read(workdir / "gaussians.json").get("trials", [])
    figures |= {f"trial {number}": trial for number, trial in enumerate(trials)}
    # Only here: what times a step is to run where nothing else of an experiment is installed.
    from jaxgan.runs.page import read_metrics

    rows = read_metrics(workdir / "metrics.jsonl")
    game = _game(rows)
    return figures | ({"game": game} if game else {})


def _game(rows: list[dict[str, float]]) -> dict[str, float]:
    """How the game stood: means of the last tenth of the run, held-out accuracies at its end."""
    train = [row for row in rows if f"train/{GAME[0]}" in row]
    late = train[-max(1, len(train) // 10) :]
    means = {
        name: statistics.fmean(row[f"train/{name}"] for row in late)
        for name in GAME
        if late and f"train/{name}" in late[-1]
    }
    last = next((row for row in reversed(rows) if "eval/accuracy_real" in row), {})
    held_out = {
        name: last[f"eval/{name}"]
        for name in ("accuracy_real", "accuracy_fake")
        if f"eval/{name}" in last
    }
    return means | held_out


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


class Figure(NamedTuple):
    """A figure over the runs.

    Attributes:
      mean: over them.
      std: their standard deviation, None of a single run.
      worst: where it is known; of trials.
      seeds: of the runs.
    """

    mean: float
    std: float | None
    worst: float | None
    seeds: list[int]


class Result:
    """One file of `results/`."""

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        self.name = name
        content = json.loads((folder / f"{name}.json").read_text())
        self.command, self.chosen_on = content["command"], content["chosen_on"]
        self.runs = content["runs"]

    @classmethod
    def of(cls, experiment: str) -> "Result":
        """The result of a script with its arguments."""
        return cls(name_of(experiment))

    def values(self, what: str, figure: str) -> list[float]:
        """One number a run, those of whole columns `what` ending in * over all that begin so."""
        return [
            value
            for run in self.runs
            for value in _values(run["figures"], what, figure)
            if not isinstance(value, dict) and value is not None
        ]

    def figure(self, what: str, figure: str, lowest_is_worst: bool = False) -> Figure:
        """Mean, standard deviation and worst of a figure."""
        seeds = []
        for run in self.runs:
            found = list(_values(run["figures"], what, figure))
            if found:
                seeds += run["seed"] if isinstance(run["seed"], list) else [run["seed"]]
            for value in found:
                if isinstance(value, dict):
                    return Figure(value["mean"], value.get("std"), value.get("worst"), seeds)
        values = self.values(what, figure)
        if not values:
            raise KeyError(f"results/{self.name}.json has no {what}, {figure}")
        std = statistics.stdev(values) if len(values) > 1 else None
        worst = min(values) if lowest_is_worst else max(values)
        return Figure(statistics.fmean(values), std, worst, seeds)

    def origin(self, what: str, suspect: str) -> str:
        """Seeds, split and JAX of the figures, and what was looked at in choosing the settings.

        Args:
          what: of which figures.
          suspect: a version of JAX that figures are not to be trusted of.
        """
        runs = [run for run in self.runs if any(_matches(name, what) for name in run["figures"])]
        seeds = [run["seed"] for run in runs if run["seed"] is not None]
        seeds = [seed for each in seeds for seed in (each if isinstance(each, list) else [each])]
        parts = (
            [f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"] if seeds else []
        )
        parts += sorted({_SPLITS[run["split"]] for run in runs if run["split"]})
        if self.chosen_on:
            parts.append(f"settings chosen by looking at {self.chosen_on}")
        versions = sorted({run["versions"]["jax"] for run in runs})
        parts.append(f"JAX {', '.join(versions)}")
        text = "; ".join(parts)
        if suspect in versions:
            text += (
                ", which computes some sums wrongly on CPU (jax-ml/jax#39103): to be measured again"
            )
        return text[0].upper() + text[1:]


_SPLITS = {
    "train": "against training digits",
    "test": "on the test part",
    "validation": "on the validation part",
    "unseen": "on unseen combinations, those for choosing among them",
}


def _matches(name, what):
    return name.startswith(what[:-1]) if what.endswith("*") else name == what


def _values(figures, what, figure):
    for name, row in figures.items():
        if _matches(name, what) and figure in row:
            yield row[figure]
