"""Test accuracy from few labels: the SGAN beside the same network without a GAN, over subsets.

    python benchmarks/semi_supervised.py --workdir runs/sgan --labels 20 50 100 1000

Each number of labels and each seed, which draws the subset, is one run of `experiments/sgan.py` in
a folder of its own in the workdir. What is there already is not done again, so a table can grow
over days. Prints its rows, mean and standard deviation over the seeds, and writes all figures to
semi_supervised.json in the workdir. `--arguments="--config.num_steps=100"` is for every run.
"""

import argparse
import json
import statistics
from pathlib import Path

from experiments import train
from jaxgan.workdir import write_json


def measure(labels: int, seed: int, arguments: str, folder: Path) -> dict[str, float]:
    """{"accuracy", "accuracy_supervised"} of one run, which is trained if it is not yet."""
    workdir = train(f"sgan --config.labels={labels} {arguments}".strip(), seed, folder)
    figures = json.loads((Path(workdir) / "sgan.json").read_text())
    return {name: figures[name] for name in ("accuracy", "accuracy_supervised")}


def share(values: list[float]) -> str:
    """Mean ± standard deviation, in per cent."""
    spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs are")
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 50, 100, 1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arguments", default="", help="further flags of every run")
    options = parser.parse_args()
    options.workdir.mkdir(parents=True, exist_ok=True)
    print("| labels | SGAN | the same network on the labels alone |")
    print("| --- | --- | --- |", flush=True)
    table = {}
    for labels in options.labels:
        runs = {
            str(seed): measure(labels, seed, options.arguments, options.workdir)
            for seed in options.seeds
        }
        table[str(labels)] = runs
        write_json(options.workdir / "semi_supervised.json", table)
        cells = (
            share([run[name] for run in runs.values()])
            for name in ("accuracy", "accuracy_supervised")
        )
        print(f"| {labels:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
