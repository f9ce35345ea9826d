"""The loop of what is trained beside the GANs: it stops on a signal, and goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax
from flax import serialization

from jaxgan.errors import UserError
from jaxgan.nonfinite import all_finite
from jaxgan.runs.progress import Progress
from jaxgan.state import PyTree
from jaxgan.training import processes
from jaxgan.training.signals import Stopped, catch_signals, signal_anywhere
from jaxgan.training.state_file import read_state, write_state


def train(
    step: Callable[[PyTree, PyTree, int], tuple[PyTree, PyTree]],
    state: PyTree,
    batches: grain.DatasetIterator,
    num_steps: int,
    *,
    file: Path,
    about: dict[str, Any],
    every: int,
    tell: Callable[[Progress, int, PyTree, PyTree], None],
    images_per_step: int,
) -> PyTree:
    """Trains until `num_steps`, from where the file says that it stood if it is about the same.

    Args:
      step: (state, batch, number of the step from 1 on) -> (state, metrics).
      state: before the first step, without typed keys.
      batches: for ever.
      num_steps: how many.
      file: which keeps the state of the last `every` steps; the caller removes it when it has
        written what came out.
      about: JSON: all that the end depends on.
      every: so many steps, and after the last, the state is kept, and
      tell: is called: (progress, number, state, metrics).
      images_per_step: for the progress.

    Returns:
      The state at the end.

    Raises:
      UserError: the state is not finite.
      Stopped: SIGINT or SIGTERM came; the state of that moment was saved.
    """
    start, first = 0, jax.process_index() == 0
    about = json.loads(json.dumps({**about, "num_steps": num_steps}))  # tuples become lists
    saved = read_state(file)
    if saved and saved[1] == about:
        kept, start = saved[0], int(saved[0]["step"])
        state = serialization.from_state_dict(state, kept["state"])
        batches.set_state({name: int(value) for name, value in kept["position"].items()})
    progress = Progress(start, num_steps, images_per_step, quiet=not first)
    if start:
        progress.say(f"goes on from step {start} of {num_steps}")
    processes.meet()
    with catch_signals() as caught:
        for number in range(start + 1, num_steps + 1):
            state, metrics = step(state, next(batches), number)
            due = number % every == 0 or number == num_steps
            # As in `fit`: several processes agree where they wait anyhow.
            stop = signal_anywhere(caught) if due or jax.process_count() == 1 else None
            if (due or stop) and not all_finite(state):
                raise UserError(
                    f"step {number}: the new state is not finite; nothing is kept of it"
                )
            if due:
                tell(progress, number, state, metrics)
            if first and (due or stop):
                kept = {"step": number, "state": state, "position": batches.get_state()}
                write_state(file, kept, about)
            if stop:
                raise Stopped(
                    stop,
                    f"after step {number}, which is saved; the same command goes on from there",
                )
    return state
