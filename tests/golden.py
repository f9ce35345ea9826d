"""Whether two checkouts train the very same numbers: every experiment, tiny, by its command.

    python tests/golden.py ../before --workdir runs/golden [--only dcgan r3gan]

Each experiment is run for 30 steps from the other checkout and from this one, and a copy of the
other's run is gone on with from its step 15 by this one. Of the three, the digests of all arrays of
the last checkpoint, and every number of metrics.jsonl and of the reports, must be the same: so a
change of the code's shape is shown to change nothing, and old runs to resume. What the other
checkout has left in the folder is not made again. Both run on this machine, since the last bit is
another on another processor.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parents[1]
STEPS, HALF = 30, 15
SHORT = {"batch_size": 8, "num_steps": STEPS, "steps_per_call": 5, "log_every": 5,
         "sample_every": HALF, "eval_every": HALF, "checkpoint_every": HALF}  # fmt: skip
CLASSES = {**SHORT, "dataset": "folder:IMAGES"}
PAIRS = {**SHORT, "dataset": "folder:IMAGES/a,IMAGES/b"}
POINTS = {**SHORT, "trials": 2}
CAPTIONS = {
    **CLASSES, "embeddings": "IMAGES/embeddings.npy", "stage_one_steps": STEPS, "image_size": 32,
    "stage_one_size": 16, "width": 8, "disc_width": 8, "stage_one_width": 8,
    "stage_one_disc_width": 8,
}  # fmt: skip
COLOURS = {**CLASSES, "image_size": 32, "channels": 3, "width": 8, "disc_width": 8}
# The critic begins where a run is gone on with.
RECONSTRUCTION = {
    "tokenizer": {**COLOURS, "codes": 16, "code_dim": 8, "adversarial_start": HALF},
    "super_resolution": {**COLOURS, "depth": 1},
}
EXPERIMENTS = {
    "dcgan": {**SHORT, "metrics": "fid", "keep_best": "fid"},
    "dcgan ": {**CLASSES, "loss": "hinge", "penalty": "r1+dragan", "penalty_interval": 2,
               "augment": "color,translation,cutout", "instance_noise": 0.1, "packing": 2,
               "disc_steps": 2, "label_smoothing": 0.0},
    "mlp_gan --variant=plain": CLASSES,
    "mlp_gan --variant=dropout": CLASSES,
    "mlp_gan --variant=batch_norm": {**CLASSES, "on_nonfinite": "skip"},
    "lsgan": CLASSES,
    "wgan_gp": CLASSES,
    "sngan": CLASSES,
    "r3gan": CLASSES,
    "acgan": CLASSES,
    "sgan": {**CLASSES, "labels": 6, "consistency": 5.0},
    "stacked_mnist --variant=quick": SHORT,
    "gaussians --variant=line": {**POINTS, "batch_size": 64},
    "gaussians --variant=ring": POINTS,
    "gaussians --variant=grid": POINTS,
    "cyclegan": PAIRS,
    "discogan": {**PAIRS, "curriculum": 10},
    "stackgan": CAPTIONS,
    "infogan": {**CLASSES, "categories": 3},
    "pix2pix": {**SHORT, "dataset": "digits", "image_size": 32, "width": 8},
    "one_step": {**CLASSES, "teacher_steps": STEPS, "width": 8, "metrics": ""},
    "projected_gan --variant=projected": {**COLOURS, "metrics": "", "pixel_width": 8},
    "projected_gan --variant=plain": {**COLOURS, "metrics": ""},
    **RECONSTRUCTION,
}  # fmt: skip
# What tells of the machine, of the moment, or of the code's version.
PASSING = ("images_per_second", "seconds", "commit", "command", "use")
RENAMED = {"train/generator_slope": "train/generator_gradient_norm"}


def make_images(folder: Path) -> Path:
    """Sixty images of three classes, in sub-folders, and an embedding of each."""
    rng = np.random.default_rng(0)
    for number in range(60):
        path = folder / "abc"[number % 3] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        low = rng.integers(0, 256, (7, 7), np.uint8)
        Image.fromarray(low).resize((32, 32), Image.BICUBIC).save(path)
    np.save(folder / "embeddings.npy", rng.standard_normal((60, 8)).astype(np.float32))
    return folder


def train(checkout: Path, experiment: str, config: dict, images: Path, workdir: Path) -> None:
    """Runs an experiment as it stands in a checkout."""
    script, *arguments = experiment.split()
    fields = {name: str(value).replace("IMAGES", str(images)) for name, value in config.items()}
    command = [
        *(sys.executable, checkout / "experiments" / f"{script}.py", "--workdir", workdir),
        *arguments,
        *(f"--config.{name}={value}" for name, value in fields.items()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{experiment} of {checkout}: exit {result.returncode}\n{result.stderr[-2000:]}")


def read(workdir: Path) -> dict[str, str]:
    """Every array's digest and every number that a run has left, by where it stands."""
    numbers = {}
    for file in sorted(workdir.rglob("checkpoints/*/description/metadata")):
        if file.parents[1].name == str(STEPS):
            where = file.relative_to(workdir).parts[0]
            digests = json.loads(file.read_bytes())["digests"]
            arrays = {"position of the data": digests["position"], **digests["arrays"]}
            numbers |= {f"{where}: {name}": digest for name, digest in arrays.items()}
    for file in sorted(workdir.rglob("*.json*")):
        if "checkpoints" in file.parts or file.name in ("summary.json", "config.json"):
            continue
        for row, line in enumerate(_rows(file)):
            where = f"{file.relative_to(workdir)}: {row}"
            numbers[where] = json.dumps(_lasting(line), sort_keys=True)
    return numbers


def _rows(file: Path) -> list:
    content = file.read_text()
    return [json.loads(x) for x in (content.splitlines() if file.suffix == ".jsonl" else [content])]


def _lasting(row):
    """A row without what differs from run to run."""
    if not isinstance(row, dict):
        return row
    kept = {RENAMED.get(k, k): v for k, v in row.items() if not k.endswith(PASSING)}
    return {k: _lasting(v) for k, v in kept.items()}


def differences(ours: dict, theirs: dict) -> list[str]:
    """Where two runs differ."""
    names = sorted(ours.keys() | theirs.keys())
    return [name for name in names if ours.get(name) != theirs.get(name)]


def break_off(source: Path, target: Path) -> Path:
    """A copy of a run as it was when it had saved half way."""
    shutil.copytree(source, target)
    for folder in target.rglob(f"checkpoints/{STEPS}"):
        if "stage1" not in folder.parts:  # which was finished by then
            shutil.rmtree(folder)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="the other checkout")
    parser.add_argument("--workdir", type=Path, required=True, help="where the runs go")
    parser.add_argument("--only", nargs="+", default=[], help="names of experiments")
    options = parser.parse_args()
    scripts = dict.fromkeys(experiment.split()[0] for experiment in EXPERIMENTS)
    if unknown := set(options.only).difference(scripts):
        parser.error(f"--only: got {', '.join(unknown)}, expected some of {', '.join(scripts)}")
    workdir = options.workdir.absolute()
    images = workdir / "images"
    if not images.exists():
        make_images(images)
    red = 0
    for experiment, config in EXPERIMENTS.items():
        if options.only and experiment.split()[0] not in options.only:
            continue
        if not (options.checkout / "experiments" / f"{experiment.split()[0]}.py").is_file():
            print(f"{experiment:24}  not in {options.checkout}", flush=True)
            continue
        folder = workdir / experiment.replace(" --variant=", "-").replace(" ", "-more")
        before, after, resumed = (folder / name for name in ("before", "after", "resumed"))
        if not before.exists():
            train(options.checkout.absolute(), experiment, config, images, before)
        for path in (after, resumed):
            shutil.rmtree(path, ignore_errors=True)
        train(HERE, experiment, config, images, after)
        train(HERE, experiment, config, images, break_off(before, resumed))
        expected = read(before)
        found = {path.name: differences(read(path), expected) for path in (after, resumed)}
        right = any(": generator/" in name for name in expected) and not any(found.values())
        red += not right
        said = "same" if right else f"DIFFERENT: {found}"
        print(f"{folder.name:24}{len(expected):5} arrays and rows  {said}", flush=True)
    sys.exit(bool(red))


if __name__ == "__main__":
    main()
