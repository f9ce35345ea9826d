"""What a train step costs on more devices: bytes moved and held, and whether it is the same step.

    python benchmarks/scaling.py [--models dcgan28] [--devices 1 2 4 8] [--steps 20]
                                 [--json results/scaling.json]

On simulated devices of this CPU: under `jit` with the state `whole` on each device, or `cut`, so
that each has its share; and `mapped`, under `jax.shard_map`, with the state whole. `moved` are
megabytes that a device sends in a step, beside the least (`collectives.py`); `state` are megabytes
of the state on a device, and `share` what it would be if all were cut alike; `peak` is what the
program holds at once; `differs` is the largest difference of a loss from that of one device, of the
same batches, over the steps. At last two processes train over gloo, each with its share of the
state. Under `jit` XLA for CPU sums gradients whole before they are cut, and those of the
discriminator's two batches apart; `pods.py` counts what XLA for TPU does.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":  # before JAX is imported, which reads them once
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "JAX_PROCESS_ID" not in os.environ:
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import jaxgan_side
import numpy as np
import optax
from collectives import collectives, held_bytes, least_bytes, moved_bytes
from flops import peak_memory
from games import GAMES, LEARNING_RATE
from jax.sharding import PartitionSpec

import results
from jaxgan import cpu, losses, make_train_step
from jaxgan.methods import adversarial
from jaxgan.training import processes, sharding

COLUMNS = ("moved", "least", "ratio", "state", "share", "peak", "differs")
MB = 1e6
MODELS = ("mlp", "dcgan28", "dcgan64")
KINDS = ("whole", "mapped", "cut")


def compile_step(name: str, devices: list, kind: str):
    """(the compiled step, its state at step 0, the mesh); the kind is one of `KINDS`."""
    game, mesh = GAMES[name], sharding.make_mesh(devices)
    # Rounding turns the sign of some of Adam's first steps.
    tx = optax.sgd(LEARNING_RATE, momentum=0.9)
    axis_name = "data" if kind == "mapped" else None
    players = jaxgan_side.make_players(game)
    if axis_name:
        players = tuple(
            player.clone(axis_name=axis_name) if hasattr(player, "axis_name") else player
            for player in players
        )
    method = adversarial(
        *players, latent_dim=game.latent_dim, loss=losses.non_saturating, axis_name=axis_name
    )
    batch = {"image": np.zeros((1, *game.image_shape), np.float32)}
    state = method.init(jax.random.key(0), batch, tx, tx, ema=True)
    places = sharding.shard_state(state, mesh, over_data=kind == "cut")
    if kind == "cut":
        method = sharding.share_parameters(method, mesh, over_data=True)
    step = make_train_step(method, tx, tx, ema_decay=0.999, axis_name=axis_name)
    if axis_name:
        whole, own = PartitionSpec(), PartitionSpec("data")
        step = jax.shard_map(step, mesh=mesh, in_specs=(whole, own), out_specs=whole)
    step = jax.jit(
        step,
        donate_argnums=0,
        out_shardings=(places, None),
        compiler_options=cpu.compiler_options(),
    )
    state = sharding.place(state, places)
    return step.lower(state, _batch(name, 0, mesh)).compile(), state, mesh


def _batch(name: str, number: int, mesh):
    game = GAMES[name]
    size = game.batch // 8 * 8
    images = np.random.default_rng(number).uniform(-1, 1, (size, *game.image_shape))
    own = size // jax.process_count()
    images = images[jax.process_index() * own :][:own].astype(np.float32)
    return sharding.shard_batch({"image": images}, mesh)


def train(name: str, steps: int, step, state, mesh) -> list[list[float]]:
    """Both losses of each step."""
    losses = []
    for number in range(steps):
        state, metrics = step(state, _batch(name, number, mesh))
        losses.append([float(metrics[f"{one}_loss"]) for one in ("discriminator", "generator")])
    return losses


def measure(name: str, devices: int, steps: int, kind: str) -> tuple[dict, list]:
    """A row without `differs`, and the losses."""
    cut = kind == "cut"
    step, state, mesh = compile_step(name, jax.devices()[:devices], kind)
    players = (state.generator, state.discriminator)
    params = state.generator.params, state.discriminator.params
    moved = moved_bytes(collectives(step.as_text(), devices), devices)
    least = least_bytes(*params, devices, cut=cut)
    whole = sum(x.nbytes for x in jax.tree.leaves(players))
    row = {
        "moved": moved / MB,
        "least": least / MB,
        "ratio": moved / least if least else 1.0,
        "state": held_bytes(players) / MB,
        "share": whole / (devices if cut else 1) / MB,
        "peak": peak_memory(step) / MB,
    }
    return row, train(name, steps, step, state, mesh)


def worker(name: str, steps: int) -> None:
    """One of two processes: prints the losses."""
    processes.join()
    print(json.dumps(train(name, steps, *compile_step(name, jax.devices(), "cut"))))
    processes.part()


def train_in_two(name: str, steps: int) -> list[list[float]]:
    """The losses of two processes that train together."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, __file__, "--worker", "--models", name, "--steps", str(steps)]
    shared = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2", "XLA_FLAGS": ""}
    running = [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("scaling: one of the two processes failed")
    return json.loads(outputs[0].splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["dcgan28"], choices=MODELS)
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 2, 4, 8], choices=range(1, 9))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.models[0], options.steps)
        return
    figures = {}
    print(f"{'model':9}{'state':9}{'devices':>9}" + "".join(f"{name:>9}" for name in COLUMNS))
    for name in options.models:
        _, alone = measure(name, 1, options.steps, "whole")

        def differs(losses, alone=alone):
            return float(np.max(np.abs(np.array(losses) - np.array(alone))))

        for kind in KINDS:
            for devices in options.devices:
                row, losses = measure(name, devices, options.steps, kind)
                row["differs"] = differs(losses)
                figures[f"{name} {kind} {devices}"] = row
                values = "".join(f"{row[column]:9.3g}" for column in COLUMNS)
                print(f"{name:9}{kind:9}{devices:9}{values}", flush=True)
        difference = differs(train_in_two(name, options.steps))
        figures[f"{name} cut 2 processes"] = {"differs": difference}
        print(f"{name:9}{'cut':9}two processes over gloo: differs by {difference:.2g}", flush=True)
    if options.json:
        command = "python benchmarks/scaling.py"
        results.write_benchmark(options.json, command, figures, steps=options.steps)


if __name__ == "__main__":
    main()
