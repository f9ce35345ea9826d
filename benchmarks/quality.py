"""FID of the default DCGAN beside that of the same game in PyTorch, after as many digits seen.

    python benchmarks/quality.py --workdir runs/table [--seeds 0 1 2] [--num 10000] [--json FILE]

Each seed is one run of `experiments/dcgan.py` and one of `torch_reference.py`: the same networks,
loss, optimiser, batches of 100 digits. The features are those of the digit classifier that comes
with jaxgan, the reference is as many training digits. jaxgan's figure is given for the parameters
that were trained, as PyTorch's is, and for their average, which is what `load_generator` gives. The
floor is what real test digits reach. A seed takes 15 to 25 minutes on two cores; jaxgan's runs are
those of `experiments.py dcgan`, and stay in the workdir with the figures of each seed, which are
not measured again.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
import torch_reference
from games import GAMES

from experiments import train
from jaxgan import data, load_generator
from jaxgan.evaluation import (
    Features,
    collect_features,
    evaluate_features,
    generated_batches,
    real_batches,
)
from jaxgan.metrics.lenet import load_lenet
from jaxgan.workdir import write_json

LOOK = {"image_size": 28, "channels": 1}
SIDES = ("jaxgan", "averaged", "PyTorch")


def train_torch(seed: int, num_steps: int) -> Callable[[np.ndarray], np.ndarray]:
    """A generator of PyTorch, latents -> images in [0, 1], trained on the same digits."""
    torch.manual_seed(seed)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    game = GAMES["dcgan28"]
    players = torch_reference.make_players("dcgan28", tuned=True)
    step = torch_reference.make_step("dcgan28", "float32", True, *players)
    source = data.mnist("train")
    batches = data.train_iterator(source, batch_size=game.batch, seed=seed, **LOOK)
    for _ in range(num_steps):
        # In a mirror, see torch_reference.
        images = torch.tensor(next(batches)["image"][:, ::-1, ::-1].copy()).permute(0, 3, 1, 2)
        step(images, torch.randn(game.batch, game.latent_dim))
    generator = players[0].eval()

    def generate(latents):
        with torch.inference_mode():
            images = generator(torch.tensor(np.asarray(latents)))
        images = images.permute(0, 2, 3, 1).numpy()[:, ::-1, ::-1]
        return np.clip((images + 1) / 2, 0, 1)

    generate.latent_dim, generate.latent = game.latent_dim, "normal"
    generate.num_classes = None
    return generate


def make_fid(num: int) -> Callable[[Iterable], float]:
    """Batches of images -> the FID of the first `num` from as many training digits."""
    network = load_lenet()

    def features(batches: Iterable) -> Features:
        return collect_features(network, batches, num)

    reference = features(real_batches(data.mnist("train"), num, **LOOK))
    return lambda batches: evaluate_features(reference, features(batches), ("fid",))["fid"]


def measure(seed: int, options: argparse.Namespace, fid: Callable) -> dict[str, float]:
    """The FIDs of one seed's runs."""
    workdir = train("dcgan", seed, options.workdir)
    averaged = load_generator(workdir)
    generators = {
        "jaxgan": load_generator(workdir, ema=False),
        "averaged": averaged,
        "PyTorch": train_torch(seed, averaged.config["num_steps"]),
    }
    figures = {
        side: fid(generated_batches(generate, options.num)) for side, generate in generators.items()
    }
    return {"seed": seed, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, help="where jaxgan's runs are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num", type=int, default=10_000, help="images of an FID (10000)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()

    options.workdir.mkdir(parents=True, exist_ok=True)
    fid = make_fid(options.num)
    floor = fid(real_batches(data.mnist("test"), options.num, **LOOK))
    print(f"floor, of real test digits: {floor:.3f}")
    rows = []
    print(f"{'seed':>6}" + "".join(f"{side:>12}" for side in SIDES), flush=True)
    for seed in options.seeds:
        path = options.workdir / f"quality-{seed}-{options.num}.json"
        if not path.is_file():
            write_json(path, measure(seed, options, fid))
        rows.append(json.loads(path.read_text()))
        cells = "".join(f"{rows[-1][side]:12.3f}" for side in SIDES)
        print(f"{seed:>6}{cells}", flush=True)
    for name, summary in (("mean", statistics.mean), ("spread", statistics.stdev)):
        if len(rows) > 1:
            values = [summary([row[side] for row in rows]) for side in SIDES]
            print(f"{name:>6}" + "".join(f"{value:12.3f}" for value in values))
    if options.json:
        options.json.write_text(json.dumps({"floor": floor, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
