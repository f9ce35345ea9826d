"""Figures of experiments over several seeds, kept in `results/`.

    python benchmarks/experiments.py dcgan acgan "mlp_gan --variant=dropout" \
        "gaussians --variant=ring" "sgan --config.labels=100" --workdir runs/table --seeds 10 11 12

Each seed of each experiment is one run, in a folder of its own in the workdir. Runs of images from
latents that have no report of their own are measured by `evaluate.py` with 10,000 images, in colour
with 3,000, against as many of the split. What is there already is not done again, so a table can
grow over days. When all seeds of an experiment are there they are written to results/NAME.json;
`tables.py` makes the READMEs' tables of those files. Settings are chosen by `--split validation`,
whose runs are not trained on what they are measured on, and are to be written elsewhere, by
`--results`. With `--add` the seeds of a table can come from several machines.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import results
from results import Result, name_of

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
REPORTS = ("evaluation.json", "stage2/evaluation.json", "classifiers.json")
"""Of runs whose script writes no SCRIPT.json."""


def call(script: str, *arguments: str) -> None:
    """Runs a script of the experiments as a user does; ends as it does where it fails."""
    command = [sys.executable, EXPERIMENTS / f"{script}.py", *arguments]
    status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    if status:
        sys.exit(status)


def train(experiment: str, seed: int, folder: Path, split: str = "test") -> Path:
    """The folder of a finished run, which is begun or gone on with where it is not."""
    script, *arguments = experiment.split()
    workdir = folder / f"{name_of(experiment)}-{split}-{seed}"
    if split != "test":
        arguments.append(f"--config.evaluate_on={split}")
    call(script, "--workdir", str(workdir), *arguments, f"--config.seed={seed}")
    return workdir


def measure(experiment: str, seed: int, folder: Path, split: str) -> dict:
    """The entry of one run, which is trained and evaluated if it is not yet."""
    workdir = train(experiment, seed, folder, split)
    reports = (f"{experiment.split()[0]}.json", *REPORTS)
    if not any((workdir / report).is_file() for report in reports):
        config = json.loads((workdir / "config.json").read_text())
        metrics = "fid,kid,prdc" + (",accuracy" if config.get("conditional") else "")
        given = ["--workdir", str(workdir), "--split", split, "--metrics", metrics]
        # Of pictures in colour there are fewer to compare with, and each takes longer to judge.
        given += ["--num", "3000"] if config["channels"] == 3 else []
        call("evaluate", *given)
    return results.read_run(experiment, workdir)


def summary(result: Result) -> str:
    """All figures of a result in lines: mean and standard deviation."""
    pairs = {
        (what, name)
        for run in result.runs
        for what, row in run["figures"].items()
        for name, value in row.items()
        if value is not None
    }
    lines = []
    for what, name in sorted(pairs):
        figure = result.figure(what, name)
        spread = "" if figure.std is None else f" ± {figure.std:.4f}"
        lines.append(f"{what:28}{name:32}{figure.mean:.4f}{spread}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="+", help="scripts, each with its arguments")
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--results", type=Path, default=results.RESULTS, help="where figures go")
    parser.add_argument(
        "--add", action="store_true", help="keep the file's runs of other seeds, of the same code"
    )
    parser.add_argument("--chosen_on", help="what was looked at in choosing the settings, and how")
    options = parser.parse_args()
    if options.split != "test" and options.results == results.RESULTS:
        parser.error(
            f"--results: got {options.results}, which is for the test split; expected another"
        )
    options.workdir.mkdir(parents=True, exist_ok=True)
    for experiment in options.experiments:
        runs = [measure(experiment, seed, options.workdir, options.split) for seed in options.seeds]
        name = name_of(experiment)
        if options.add and (options.results / f"{name}.json").exists():
            runs = results.add_runs(runs, Result(name, options.results).runs)
        seeds = " ".join(str(run["seed"]) for run in runs)
        given = f'"{experiment}"' if " " in experiment else experiment
        command = f"python benchmarks/experiments.py {given} --workdir runs/table --seeds {seeds}"
        path = results.write(name, command, runs, options.results, options.chosen_on)
        print(f"{path}\n{summary(Result(name, options.results))}", flush=True)


if __name__ == "__main__":
    main()
