"""Figures of experiments over several seeds: mean and spread, beside the floor.

    python benchmarks/experiments.py --workdir runs/table dcgan lsgan "mlp_gan --variant=dropout"

Each seed of each experiment is one run, in a folder of its own in the workdir, and one evaluation
of it with 10,000 images. What is there already is not done again, so a table can grow over days.
Prints the rows of the table in `experiments/README.md`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
FIGURES = ("fid", "kid", "precision", "recall", "density", "coverage")


def call(script: str, *arguments: str) -> None:
    """Runs a script of the experiments as a user does; ends as it does where it fails."""
    command = [sys.executable, EXPERIMENTS / f"{script}.py", *arguments]
    status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    if status:
        sys.exit(status)


def train(experiment: str, seed: int, folder: Path) -> str:
    """The folder of a finished run, which is begun or gone on with where it is not."""
    script, *arguments = experiment.split()
    workdir = str(folder / f"{experiment.replace(' ', '').replace('/', '_')}-{seed}")
    call(script, "--workdir", workdir, *arguments, f"--config.seed={seed}")
    return workdir


def evaluate(experiment: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """{"generated", "floor"}: the figures of one run by their short names."""
    workdir = train(experiment, seed, folder)
    path = Path(workdir) / "evaluation.json"
    if not path.is_file():
        call("evaluate", "--workdir", workdir, "--metrics", "fid,kid,prdc")
    evaluation = json.loads(path.read_text())
    return {
        kind: {
            short: value
            for short in FIGURES
            for name, value in evaluation[kind].items()
            if name.startswith(f"{short}_") and "standard_error" not in name
        }
        for kind in ("generated", "floor")
    }


def row(name: str, figures: list[dict[str, float]]) -> str:
    """A line of Markdown, mean ± standard deviation of each figure."""
    cells = []
    for figure in FIGURES:
        values = [of_seed[figure] for of_seed in figures]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.3f}{spread}")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="+", help="scripts, each with its arguments")
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    print(f"| experiment | {' | '.join(FIGURES)} |")
    print("| --- " * (1 + len(FIGURES)) + "|", flush=True)
    floor = None
    for experiment in options.experiments:
        runs = [evaluate(experiment, seed, options.workdir) for seed in options.seeds]
        floor = [run["floor"] for run in runs]
        print(row(f"`{experiment}`", [run["generated"] for run in runs]), flush=True)
    print(row("real test digits", floor[:1]))


if __name__ == "__main__":
    main()
