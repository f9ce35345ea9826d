"""FID of the default DCGAN beside that of the same game in PyTorch, after as many digits seen.

    python benchmarks/quality.py --workdir runs/table [--seeds 10 11 12] [--num 10000]

Each seed is one run of `experiments/dcgan.py` and one of `torch_reference.py`: the same networks,
loss, optimiser, batches of 100 digits. The features are those of the digit classifier that comes
with jaxgan, the reference is as many digits of the split, which neither side is trained on. Both
sides are measured as trained, and averaged: the generator's parameters by the same rule, with batch
statistics of their own from the same latents (jaxgan's by its `standing_statistics`, PyTorch's by
its `update_bn`, which weighs all batches alike). The floor is what real training digits reach. A
seed takes 15 to 25 minutes on two cores; jaxgan's runs are those of `experiments.py dcgan`, and
stay in the workdir with the figures of each seed, which are not measured again. All are written to
results/quality.json.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import jax
import numpy as np
import torch
import torch_reference
from games import GAMES
from torch.optim.swa_utils import update_bn

import results
from experiments import train
from jaxgan import data, load_generator
from jaxgan.evaluation.features import (
    Features,
    collect_features,
    evaluate_features,
    generated_batches,
    real_batches,
)
from jaxgan.files import write_json
from jaxgan.inputs import Latents
from jaxgan.latent import sample_latents
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs.provenance import provenance

LOOK = {"image_size": 28, "channels": 1}
STATES, SIDES = ("as trained", "averaged"), ("jaxgan", "PyTorch")


def train_torch(seed: int, config: dict, split: str) -> dict[str, Callable]:
    """Generators of PyTorch, "as trained" and "averaged", trained on the digits of jaxgan's run.

    They are functions from latents to images in [0, 1].
    """
    torch.manual_seed(seed)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    game = GAMES["dcgan28"]
    tuned = torch_reference.SIDES["torch_tuned"]
    players = torch_reference.make_players(game, tuned)
    step = torch_reference.make_step(game, *players, tuned)
    averaged = torch_reference.average(players[0], config["ema_decay"])
    source = data.mnist(split)
    batches = data.train_iterator(source, batch_size=game.batch, seed=seed, **LOOK)
    for _ in range(config["num_steps"]):
        # In a mirror, see torch_networks.
        images = torch.tensor(next(batches)["image"][:, ::-1, ::-1].copy()).permute(0, 3, 1, 2)
        step(images, torch.randn(game.batch, game.latent_dim))
        averaged.update_parameters(players[0])
    # As many as jaxgan measures the statistics of averaged parameters with, and the same ones.
    latents = sample_latents(jax.random.key(0), 640, game.latent_dim)
    latents = torch.tensor(np.asarray(latents)).reshape(10, 64, game.latent_dim)
    update_bn(latents, averaged)
    return {"as trained": _generate(players[0], game), "averaged": _generate(averaged, game)}


def _generate(generator, game):
    generator.eval()

    def generate(latents):
        with torch.inference_mode():
            images = generator(torch.tensor(np.asarray(latents)))
        images = images.permute(0, 2, 3, 1).numpy()[:, ::-1, ::-1]
        return np.clip((images + 1) / 2, 0, 1)

    generate.inputs = {"latents": Latents(game.latent_dim)}
    return generate


def make_fid(num: int, split: str) -> Callable[[Iterable], float]:
    """Batches of images -> the FID of the first `num` from as many digits of the split."""
    network = load_lenet()
    source = data.mnist(split)

    def features(batches: Iterable, count: int = num) -> Features:
        return collect_features(network, batches, count)

    count = min(num, len(source))
    reference = features(real_batches(source, count, **LOOK), count)
    return lambda batches: evaluate_features(reference, features(batches), ("fid",))["fid"]


def measure(seed: int, options: argparse.Namespace, fid: Callable) -> dict:
    """The entry of one seed's runs."""
    workdir = train("dcgan", seed, options.workdir, options.split)
    started = time.monotonic()
    jaxgan = {
        "as trained": load_generator(workdir, ema=False),
        "averaged": load_generator(workdir),
    }
    config, trained_on = jaxgan["averaged"].config, data.TRAIN_ON[options.split]
    sides = {"jaxgan": jaxgan, "PyTorch": train_torch(seed, config, trained_on)}
    real = real_batches(data.mnist(trained_on), options.num, **LOOK)
    figures = {"floor": {"fid": fid(real)}}
    for state in STATES:
        figures[state] = {
            side: fid(generated_batches(sides[side][state], options.num)) for side in SIDES
        }
    return {
        "seed": seed,
        "command": f"python benchmarks/quality.py --seeds {seed}",
        "split": options.split,
        **provenance("torch"),
        "budget": {
            "steps": config["num_steps"],
            "examples": config["num_steps"] * config["batch_size"],
            "minutes": round((time.monotonic() - started) / 60, 1),
        },
        "figures": figures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, help="where jaxgan's runs are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--split", choices=tuple(data.TRAIN_ON), default="test")
    parser.add_argument("--num", type=int, default=10_000, help="images of an FID (10000)")
    parser.add_argument("--results", type=Path, default=results.RESULTS, help="where figures go")
    options = parser.parse_args()

    options.workdir.mkdir(parents=True, exist_ok=True)
    fid = make_fid(options.num, options.split)
    columns = [(state, side) for state in STATES for side in SIDES]
    runs = []
    print(f"{'seed':>6}" + "".join(f"{f'{side}, {state}':>20}" for state, side in columns))
    for seed in options.seeds:
        path = options.workdir / f"quality-{options.split}-{seed}-{options.num}.json"
        if not path.is_file():
            write_json(path, measure(seed, options, fid))
        runs.append(json.loads(path.read_text()))
        cells = "".join(f"{runs[-1]['figures'][state][side]:20.3f}" for state, side in columns)
        print(f"{seed:>6}{cells}", flush=True)
    for name, summary in (("mean", statistics.mean), ("spread", statistics.stdev)):
        if len(runs) > 1:
            values = [
                summary([run["figures"][state][side] for run in runs]) for state, side in columns
            ]
            print(f"{name:>6}" + "".join(f"{value:20.3f}" for value in values))
    seeds = " ".join(map(str, options.seeds))
    command = f"python benchmarks/quality.py --workdir runs/table --seeds {seeds}"
    print(results.write("quality", command, runs, options.results))


if __name__ == "__main__":
    main()
