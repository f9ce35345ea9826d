"""A long run by `fit`, as a process of its own that measures itself: FOLDER -> JSON on stdout."""

import collections
import contextlib
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

import flax.linen as nn
import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import losses, make_train_step
from jaxgan.methods import adversarial
from jaxgan.runs.recorder import Recorder
from jaxgan.training.loop import Checkpoints, Hook, fit

NUM_STEPS, MEASURED_EVERY = 20_000, 1_000
SHAPE, LATENT_DIM, BATCH_SIZE = (8, 8, 1), 4, 8


class Generator(nn.Module):
    @nn.compact
    def __call__(self, latents, train=False):
        return jnp.tanh(nn.Dense(64)(nn.relu(nn.Dense(16)(latents)))).reshape(-1, *SHAPE)


class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(1)(nn.relu(nn.Dense(16)(images.reshape(len(images), -1))))[:, 0]


def memory():
    """The resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files():
    """What the open file descriptors are of, but for the one that lists them."""
    folder, found = "/proc/self/fd", collections.Counter()
    for descriptor in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found[os.readlink(f"{folder}/{descriptor}").split(":")[0]] += 1
    return found


def threads_beyond(known, seconds=20):
    """Names of threads that are not among the known ones; those that are ending have some time."""
    end = time.monotonic() + seconds
    while True:
        gc.collect()
        names = collections.Counter(thread.name for thread in threading.enumerate())
        left = list((names - collections.Counter(known)).elements())
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def main(folder, saved_every):
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: (
            compilations.append(name) if name.endswith("backend_compile_duration") else None
        )
    )
    players, tx = (Generator(), Discriminator()), optax.adam(1e-3)
    game = adversarial(*players, latent_dim=LATENT_DIM, loss=losses.non_saturating)
    step = make_train_step(game, tx, tx)
    steps = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
    images = np.random.default_rng(0).uniform(-1, 1, (40, *SHAPE)).astype(np.float32)
    latents = jax.random.normal(jax.random.key(0), (16, LATENT_DIM))
    draw = jax.jit(lambda state: (players[0].apply(state.generator.variables, latents) + 1) / 2)
    measured = []

    def evaluate(state):
        measured.append((int(state.step), memory(), len(compilations)))
        return {"accuracy_real": 0.5}

    def run(workdir, num_steps):
        workdir.mkdir()
        data = grain.MapDataset.range(40).shuffle(seed=0).repeat().batch(BATCH_SIZE)
        fit(
            game.init(jax.random.key(0), {"image": images}, tx, tx),
            steps,
            iter(data.map(lambda index: {"image": images[index]}).to_iter_dataset()),
            num_steps=num_steps,
            checkpoints=Checkpoints(workdir, saved_every),
            hooks=[
                Hook(100, lambda state: {"samples": draw(state)}, at_start=True),
                Hook(MEASURED_EVERY, evaluate, waits=True),
            ],
            recorder=Recorder(workdir, {"seed": 0}, {"title": "endurance"}, (images[:16] + 1) / 2),
            log_every=100,
            steps_per_call=20,
            images_per_step=BATCH_SIZE,
        )

    # What the libraries open once and keep, for whatever comes, is no leak.
    run(folder / "short", 200)
    measured.clear()
    threads, files = [thread.name for thread in threading.enumerate()], open_files()
    run(folder / "long", NUM_STEPS)
    result = {
        "measured": measured,
        "steps_compiled": steps._cache_size(),
        "threads": threads_beyond(threads),
        # Matplotlib keeps the fonts of each thread that draws, of 64 at most.
        "files": [name for name in (open_files() - files).elements() if not name.endswith(".ttf")],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
