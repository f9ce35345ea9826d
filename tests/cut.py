"""Whether every experiment trains the same with its state cut over devices, by its command.

    python tests/cut.py --workdir runs/cut [--only dcgan r3gan]

Each of `golden.py`'s tiny experiments takes a few steps on one device, and on four with
`--config.shard_state=True --config.model_devices=2`, both with two parts a batch. Told is the
largest difference of a loss or another number of a step, as a share of that number, beside that of
another seed. Devices add in another order, which training makes larger, some ten times a step, so
that steps are three and 0.02 is let pass; accuracies, which jump where a logit crosses 0, are left
out.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import golden
from scripts import command

from jaxgan.runs.page import read_metrics

STEPS = 3
FEW = {"num_steps": STEPS, "checkpoint_every": STEPS, "log_every": 1, "sample_every": STEPS,
       "eval_every": STEPS, "batch_size": 16, "steps_per_call": 1, "micro_batches": 2}  # fmt: skip
CUT = {"shard_state": True, "model_devices": 2}
TOLERANCE = 0.02
# Those of the Gaussians train many trials in one program, which are what lies on the devices; those
# of reconstruction refuse these fields.
EXPERIMENTS = {
    name: config
    for name, config in golden.EXPERIMENTS.items()
    if not name.startswith("gaussians") and name not in golden.RECONSTRUCTION
}


def train(experiment: str, config: dict, devices: int, workdir: Path) -> list[dict[str, float]]:
    """What a run on so many devices says of its steps."""
    shutil.rmtree(workdir, ignore_errors=True)
    name, *arguments = experiment.split()
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    line = command(name, workdir, *arguments, **config)
    result = subprocess.run(line, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{experiment} on {devices} devices: {result.stderr[-2000:]}")
    files = sorted(workdir.rglob("metrics.jsonl"))
    return [
        {k: v for k, v in row.items() if k.startswith("train/") and not _jumps(k)}
        for file in files
        for row in read_metrics(file)
    ]


def _jumps(name: str) -> bool:
    return name.endswith(golden.PASSING) or "accuracy" in name


def difference(rows: list[dict[str, float]], others: list[dict[str, float]]) -> float:
    """The largest difference of two runs' numbers, as a share."""
    if [row.keys() for row in rows] != [row.keys() for row in others] or not any(rows):
        return float("inf")
    return max(
        abs(row[name] - other[name]) / max(abs(row[name]), 0.1)
        for row, other in zip(rows, others, strict=True)
        for name in row
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs go")
    parser.add_argument("--only", nargs="+", default=[], help="names of experiments")
    options = parser.parse_args()
    workdir = options.workdir.absolute()
    images = workdir / "images"
    if not images.exists():
        golden.make_images(images)
    red = 0
    for experiment, config in EXPERIMENTS.items():
        if options.only and experiment.split()[0] not in options.only:
            continue
        config = {k: str(v).replace("IMAGES", str(images)) for k, v in {**config, **FEW}.items()}
        folder = workdir / experiment.replace(" --variant=", "-").replace(" ", "-more")
        whole = train(experiment, config, 1, folder / "whole")
        cut = train(experiment, {**config, **CUT}, 4, folder / "cut")
        other = train(experiment, {**config, "seed": 1}, 1, folder / "other")
        found, of_seeds = difference(cut, whole), difference(other, whole)
        red += not found <= TOLERANCE < of_seeds
        print(f"{folder.name:24}cut {found:.1e}  another seed {of_seeds:.1e}", flush=True)
    sys.exit(bool(red))


if __name__ == "__main__":
    main()
