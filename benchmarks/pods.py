"""What a train step takes on many TPUs: its program, compiled here without one.

    pip install 'jax[tpu]' && python benchmarks/pods.py [--games dcgan64 sn_resnet128]
        [--dtypes float32 bfloat16] [--topology v5e:2x4] [--json results/pods.json]

XLA for TPU compiles the step of a published size for a slice of a pod that need not be there
(`jax.experimental.topologies`), with the state whole on each device and with each having its share.
Read from the program: operations of a device, megabytes that it moves beside the least
(`collectives.py`), and megabytes of state and at the peak. Nothing is run, and no time is measured:
`docs/scaling.md` works times out from these counts and what the makers publish of the hardware.
"""

import argparse
import contextlib
import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # no pod is asked what it is
    os.environ.update(JAX_PLATFORMS="cpu", TPU_SKIP_MDS_QUERY="1", TPU_WORKER_HOSTNAMES="localhost")

import jax
import jax.numpy as jnp
import optax
from collectives import collectives, held_bytes, least_bytes, moved_bytes
from flops import peak_memory
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

import results
from jaxgan import losses, make_train_step, networks
from jaxgan.losses import penalties
from jaxgan.methods import Method, adversarial
from jaxgan.training import sharding

MB = 1e6
DTYPES = ("float32", "bfloat16")


class Game(NamedTuple):
    """Attributes: its method, examples of a device, (H, W, C) of the images, its classes."""

    make: Callable[[jnp.dtype], Method]
    batch: int
    image_shape: tuple[int, int, int]
    num_classes: int | None = None


def _dcgan(dtype: jnp.dtype) -> Method:
    """Radford et al. 2016, Figure 1."""
    pair = networks.dcgan_paper(3, dtype=dtype)
    return adversarial(*pair, latent_dim=100, loss=losses.non_saturating)


def _r3gan(dtype: jnp.dtype) -> Method:
    """Huang et al. 2024, their code's preset for FFHQ at 256 pixels."""
    widths = (768, 768, 768, 768, 384, 192, 96)
    generator = networks.R3GANGenerator(4, widths, 2, 3, dtype=dtype)
    discriminator = networks.R3GANDiscriminator(widths[::-1], 2, dtype=dtype)
    return adversarial(
        generator,
        discriminator,
        latent_dim=64,
        loss=losses.relativistic,
        penalty=lambda *inputs: 75 * (penalties.r1(*inputs) + penalties.r2(*inputs)),
    )


def _sn_resnet(dtype: jnp.dtype) -> Method:
    """Miyato & Koyama 2018, their code's ImageNet at 128 pixels; one update of each player."""
    pair = networks.sn_resnet(128, num_classes=1000, dtype=dtype)
    return adversarial(*pair, latent_dim=128, loss=losses.hinge, num_classes=1000)


GAMES = {
    "dcgan64": Game(_dcgan, 128, (64, 64, 3)),
    "sn_resnet128": Game(_sn_resnet, 32, (128, 128, 3), 1000),
    "r3gan256": Game(_r3gan, 4, (256, 256, 3)),
}


def measure(name: str, devices: list, dtype: str, *, cut: bool) -> dict[str, float]:
    """The figures of one program."""
    game, tx, mesh = GAMES[name], optax.adam(2e-4, b1=0.0), sharding.make_mesh(devices)
    method, count = game.make(jnp.dtype(dtype)), len(devices)
    of_batch = functools.partial(
        jax.ShapeDtypeStruct, sharding=NamedSharding(mesh, PartitionSpec("data"))
    )
    batch = {"image": of_batch((game.batch * count, *game.image_shape), jnp.float32)}
    if game.num_classes:
        batch["label"] = of_batch((game.batch * count,), jnp.int32)
    state = jax.eval_shape(lambda key: method.init(key, batch, tx, tx, ema=True), jax.random.key(0))
    places = sharding.shard_state(state, mesh, over_data=cut)
    state = jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state, places
    )
    objective = sharding.share_parameters(method, mesh, over_data=True) if cut else method
    step = jax.jit(
        make_train_step(objective, tx, tx, ema_decay=0.999),
        donate_argnums=0,
        out_shardings=(places, None),
    )
    compiled = step.lower(state, batch).compile()
    program = compiled.as_text()
    moved = moved_bytes(collectives(program, count), count)
    params = state.generator.params, state.discriminator.params
    # Moved as the networks compute.
    item = jnp.dtype(dtype).itemsize
    least = least_bytes(*params, count, cut=cut, item=item)
    return {
        "devices": count,
        "examples": game.batch,
        "Tflop": compiled.cost_analysis()["flops"] / 1e12,
        "moved": moved / MB,
        "least": least / MB,
        "ratio": moved / least,
        "state": held_bytes((state.generator, state.discriminator)) / MB,
        "peak": peak_memory(compiled) / MB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=list(GAMES), choices=list(GAMES))
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--topology", default="v5e:2x4", help="of the slice, as libtpu names it")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args()
    with _quiet():
        slice_ = topologies.get_topology_desc(platform="tpu", topology_name=options.topology)
    figures = {}
    for name in options.games:
        for dtype, cut in itertools.product(options.dtypes, (False, True)):
            what = f"{name} {dtype} {'cut' if cut else 'whole'}"
            figures[what] = row = measure(name, list(slice_.devices), dtype, cut=cut)
            values = "  ".join(f"{key} {value:.4g}" for key, value in row.items())
            print(f"{what}: {values}", flush=True)
    if options.json:
        command = f"python benchmarks/pods.py --topology {options.topology}"
        results.write_benchmark(options.json, command, figures, packages=("libtpu",))


@contextlib.contextmanager
def _quiet():
    """Without what libtpu writes of the TPU that is not there."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


if __name__ == "__main__":
    main()
