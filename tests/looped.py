"""The tiny game of `tiny.py`, trained by the loop, and what its folder holds then."""

import json

import grain
import jax
import jax.numpy as jnp
import numpy as np
import tiny

from jaxgan.runs.recorder import Recorder
from jaxgan.training import sharding
from jaxgan.training.loop import Checkpoints, Hook, fit

# Grain's own default is 500 elements by 16 threads, which takes longer than a run of twelve steps.
FEW_AHEAD = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)


def start():
    """On one device for good, as a restored state is, so that all runs share one compilation."""
    return sharding.replicate(tiny.state(), sharding.make_mesh(jax.devices()[:1]))


def batches():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (40, *tiny.IMAGE_SHAPE)).astype(np.float32)
    source = grain.MapDataset.range(40).shuffle(seed=0).repeat().batch(8)
    return iter(source.map(lambda index: {"image": images[index]}).to_iter_dataset(FEW_AHEAD))


def train(
    workdir, step, num_steps=12, evaluate=lambda state: {"accuracy_real": 0.5}, data=None, **changes
):
    images = jnp.zeros((4, *tiny.IMAGE_SHAPE))

    def sample(state):
        return {"samples": images + state.step / 15, "interpolation": images}

    hooks = [Hook(6, changes.pop("sample", sample), at_start=True)]
    eval_every = changes.pop("eval_every", 6)
    hooks += [Hook(eval_every, evaluate, waits=True)] if evaluate else []
    every, keep = changes.pop("checkpoint_every", 4), changes.pop("keep_checkpoints", 2)
    return fit(
        changes.pop("state", None) or start(),
        step,
        batches() if data is None else data,
        num_steps=num_steps,
        checkpoints=Checkpoints(workdir, every, keep, best=changes.pop("keep_best", None)),
        hooks=hooks,
        recorder=Recorder(
            workdir, {"seed": 0}, {"title": "test"}, np.zeros((4, *tiny.IMAGE_SHAPE), np.float32)
        ),
        **{"log_every": 2, "images_per_step": 8, **changes},
    )


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def interrupting(step, at, action):
    """The step, with something happening before its `at`-th call."""
    calls = 0

    def interrupted(state, batch):
        nonlocal calls
        calls += 1
        if calls == at:
            action()
        return step(state, batch)

    return interrupted


class PowerCut(BaseException):
    pass


def power_cut():
    raise PowerCut


def tensorboard_events(workdir):
    # What TensorBoard's own pages read by; EventAccumulator keeps older formats as they are.
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    events = EventAccumulator(str(workdir / "tensorboard"))
    events.Reload()
    return events


def tensorboard_steps(events, tag):
    return [event.step for event in events.Tensors(tag)]
