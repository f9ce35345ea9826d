"""The scripts of experiments/, started as a user starts them, and what a run of one ended with."""

import os
import subprocess
import sys
from pathlib import Path

import compiling
import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxgan.checkpoints import checkpoint

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SHORT = {
    "num_steps": 30,
    "batch_size": 16,
    "log_every": 5,
    "sample_every": 15,
    "eval_every": 30,
    "checkpoint_every": 10,
}


def command(name, workdir, *arguments, **config):
    fields = [f"--config.{field}={value}" for field, value in config.items()]
    return [sys.executable, EXPERIMENTS / f"{name}.py", "--workdir", workdir, *arguments, *fields]


# One device, as on a laptop: the eight of this suite are for the tests of sharding.
AS_A_USER = {"XLA_FLAGS": ""}
QUICK = {"XLA_FLAGS": compiling.FLAGS}


def run(*arguments, stdout=subprocess.PIPE, flags=QUICK, **config):
    environment = {**os.environ, **flags}
    return subprocess.run(
        command(*arguments, **config),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def final_state(workdir, step):
    """Step, parameters, statistics, optimiser states and averages, as NumPy arrays."""
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with checkpoint.open_checkpoints(workdir) as manager:
        saved = manager.item_metadata(step)["state"].tree
        wanted = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
            {name: saved[name] for name in ("step", "generator", "discriminator")},
        )
        restore = ocp.args.PyTreeRestore(
            wanted,
            restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
            partial_restore=True,
        )
        state = manager.restore(step, args=ocp.args.Composite(state=restore)).state
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
