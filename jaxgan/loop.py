"""The training loop: data -> step -> records -> checkpoint, knowing each by its interface alone.

The order of things, so that a resumed run repeats what the unbroken one would have done:

1. The newest undamaged checkpoint, if any, is restored: state and data position together.
   A checkpoint that does not fit is refused before anything in the folder has changed.
2. What was recorded beyond its step is dropped; the steps come again.
3. Each step takes the next batch; `steps_per_call` of them are one call of the compiled program.
   After step n, where n is a multiple of their interval or the last step: pictures are sampled,
   the evaluation is run, metrics are logged, the checkpoint is saved. All of them only read the
   state, and no random number depends on them.
4. Nothing waits for the device in between. Even what is logged and saved is only set aside at
   step n, and fetched when the next call is on its way.
"""

import collections
import contextlib
import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview

from jaxgan import checkpoint
from jaxgan.best import BestCheckpoint
from jaxgan.diagnosis import WINDOW, diagnose
from jaxgan.digests import digest_arrays
from jaxgan.errors import UserError
from jaxgan.progress import Progress
from jaxgan.recorder import Recorder, is_finished
from jaxgan.signals import Stopped, catch_signals, signal_anywhere
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Metrics
from jaxgan.undamaged import restore_newest
from jaxgan.workdir import lock_workdir

__all__ = ["Stopped", "fit"]


def fit(
    state: TrainState,
    train_step: Callable[[TrainState, PyTree], tuple[TrainState, Metrics]],
    batches: grain.DatasetIterator,
    *,
    workdir: str | Path,
    num_steps: int,
    steps_per_call: int,
    to_device: Callable[[PyTree], PyTree],
    sample: Callable[[TrainState], dict[str, jax.Array]],
    real: np.ndarray,
    evaluate: Callable[[TrainState], dict[str, float]] | None,
    log_every: int,
    sample_every: int,
    eval_every: int,
    checkpoint_every: int,
    keep_checkpoints: int,
    description: dict[str, Any],
    config: dict[str, Any],
    summary: dict[str, Any],
    images_per_step: int,
    keep_best: tuple[str, str] | None = None,
) -> TrainState:
    """Trains until `num_steps`, from the newest checkpoint if there is one.

    Args:
      state: at step 0, on its devices.
      train_step: (state, batches of several steps, stacked) -> (state, metrics, stacked
        likewise): a step under `jax.lax.scan`, jitted; donates the state.
      batches: yields host batches for ever; its position goes into the checkpoints.
      workdir: the run's folder, which exists.
      num_steps: where the run ends.
      steps_per_call: how many steps one call does at most; it will be a divisor of all intervals.
      to_device: stacked host batches -> device arrays.
      sample: state -> {name: (B, H, W, C) images in [0, 1]}, drawn as grids, or (rows, columns, H,
        W, C) as that grid; "samples" becomes the animation of the run.
      real: (B, H, W, C) images of the data in [0, 1], for comparison.
      evaluate: state -> scalars measured on held-out data, or None.
      log_every, sample_every, eval_every, checkpoint_every: intervals in steps.
      keep_checkpoints: how many of the newest to keep.
      description: JSON, saved with each checkpoint.
      config: flat hyper-parameters, for the records.
      summary: what the page's head shows.
      images_per_step: examples that one step sees, over all devices.
      keep_best: (a name that `evaluate` gives, "min" or "max"): the checkpoint where it is best is
        kept as well, see `BestCheckpoint`.

    Returns:
      The state at `num_steps`.

    Raises:
      UserError: a checkpoint of another architecture, or none that is not damaged; a folder that
        cannot be written, since the disk is full, say; a metric that is no longer finite (the
        message gives the step, the last finite metrics and the checkpoint to go back to).
      Stopped: SIGINT or SIGTERM came; a checkpoint of that moment was saved. Its `exit_code` is
        what a command leaves with.
    """
    workdir = Path(workdir)
    first = jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        # Before anything slow: a signal while restoring or compiling waits for the first step.
        asked_to_stop = stack.enter_context(catch_signals())
        if first:
            stack.enter_context(lock_workdir(workdir))
        manager = stack.enter_context(checkpoint.open_checkpoints(workdir, keep=keep_checkpoints))
        saved, state = restore_newest(manager, state, batches)
        start = saved or 0
        if start > num_steps:
            raise UserError(f"num_steps: got {num_steps}, but {workdir} has done {start}")
        progress = Progress(start, num_steps, images_per_step, quiet=not first)
        if start >= num_steps and is_finished(workdir):
            progress.say(f"{workdir} is finished: step {start} of {num_steps}")
            return state
        parameters = _parameters(state)
        recorder = Recorder(workdir, config, parameters, start) if first else None
        if recorder:
            stack.callback(recorder.close)
        best = stack.enter_context(BestCheckpoint(workdir, *keep_best)) if keep_best else None
        run = _Run(manager, best, recorder, progress, description, summary, num_steps)
        if saved is not None:
            progress.say(f"goes on from the checkpoint of step {saved}")
        else:
            progress.say(parameters)
        progress.say("compiling", live=True)
        # Set aside like all that follows: TensorFlow, which the records need, takes seconds to
        # import, in which the step is better compiled.
        set_aside = [functools.partial(run.begin, start, real)]
        if start == 0:
            set_aside.append(functools.partial(run.sample, 0, sample(state)))

        intervals = (log_every, sample_every, eval_every, checkpoint_every)
        steps_per_call = _largest_divisor(math.gcd(start, num_steps, *intervals), steps_per_call)
        pending: list[Metrics] = []

        def catch_up() -> None:
            while set_aside:
                set_aside.pop(0)()

        step = start
        try:
            for step in range(start + steps_per_call, num_steps + 1, steps_per_call):
                group = [next(batches) for _ in range(steps_per_call)]
                batch = to_device(jax.tree.map(lambda *arrays: np.stack(arrays), *group))
                state, metrics = train_step(state, batch)
                if step == start + steps_per_call:
                    # The first call returns when it is compiled, which is no part of the rate.
                    progress.restart()
                catch_up()
                pending.append(metrics)

                def due(interval: int, step: int = step) -> bool:
                    return step % interval == 0 or step == num_steps

                stop = None
                # Read once: a signal that comes later waits for the next time. To agree, several
                # processes wait for each other, so they do it where they wait anyhow.
                if step < num_steps and (jax.process_count() == 1 or due(log_every)):
                    stop = signal_anywhere(asked_to_stop)
                if due(sample_every):
                    run.sample(step, sample(state))
                if evaluate and due(eval_every):
                    run.evaluation(step, evaluate, state, batches)
                # Nothing is saved before its metrics are known to be finite.
                if due(log_every) or due(checkpoint_every) or stop:
                    set_aside.append(functools.partial(run.log, step, pending))
                    pending = []
                if due(checkpoint_every) or stop:
                    # A copy, since the next call takes the state for its own.
                    saved_state, finite = _copy(state), _finite(state)
                    sums, position = digest_arrays(saved_state), batches.get_state()
                    set_aside.append(
                        functools.partial(run.checkpoint, step, saved_state, finite, position, sums)
                    )
                if stop:
                    catch_up()
                    manager.wait_until_finished()
                    raise Stopped(
                        stop,
                        f"after step {step}, which is saved; the same command goes on from there",
                    )
            catch_up()
        except BaseException as error:
            # Whatever else fails now, it is this error that is told.
            with contextlib.suppress(Exception):
                run.page(step, f"stopped: {str(error) or type(error).__name__}")
            raise
        manager.wait_until_finished()
        if recorder:
            recorder.final_pictures()
            recorder.wait()
        run.page(num_steps, "finished")
        return state


class _Run:
    """The side effects of a run, gathered so that the loop above reads as its order."""

    def __init__(self, manager, best, recorder, progress, description, summary, num_steps):
        self._manager = manager
        self._best = best
        self._recorder = recorder
        self._progress = progress
        self._description = description
        self._summary = {**summary, "num_steps": num_steps}
        self._last_finite: dict[str, float] = {}
        self._logged_at: int | None = None
        self._rate: float | None = None
        self._recent: collections.deque[dict[str, float]] = collections.deque(maxlen=WINDOW)
        self._wrong: set[str] = set()

    def begin(self, step: int, real: np.ndarray) -> None:
        self.page(step, "running")
        if self._recorder:
            self._recorder.real(real)

    def log(self, step: int, pending: list[Metrics]) -> None:
        """Logs the mean of each metric over the steps up to `step`, those since the last time."""
        calls = jax.device_get(pending)
        fetched = {key: np.concatenate([call[key] for call in calls]) for key in calls[0]}
        finite = np.all([np.isfinite(values) for values in fetched.values()], axis=0)
        if not finite.all():
            bad = int(np.argmin(finite))
            values = {key: values[bad] for key, values in fetched.items()}
            self._stop_not_finite(step - len(finite) + 1 + bad, values)
        mean = {key: math.fsum(values) / len(values) for key, values in fetched.items()}
        self._rate = self._progress.rate(step)
        self._progress.show(step, self._rate, mean)
        self._last_finite, self._logged_at = mean, step
        if self._recorder:
            scalars = {**mean, "images_per_second": self._rate}
            self._recorder.scalars(step, {f"train/{key}": scalars[key] for key in scalars})
        self._recent.append(mean)
        findings = diagnose(list(self._recent))
        for finding in findings:
            if finding.name not in self._wrong:
                self._progress.say(f"warning: step {step}: {finding.text} {finding.advice}")
        self._wrong = {finding.name for finding in findings}

    def sample(self, step: int, images: dict[str, jax.Array]) -> None:
        if self._recorder:
            self._recorder.images(step, images)
            self.page(step, "running")

    def evaluation(self, step: int, evaluate, state: TrainState, batches) -> None:
        # The steps that are still on their way are no part of the pause.
        jax.block_until_ready(state)
        start = time.perf_counter()
        values = evaluate(state)
        if self._best:
            value = self._best.consider(values, state, batches.get_state(), self._description)
            if value is not None:
                self._progress.say(f"step {step} is the best so far, {value:.4g}: kept in best/")
        self._progress.pause(time.perf_counter() - start)
        if self._recorder:
            self._recorder.scalars(step, {f"eval/{key}": values[key] for key in values})

    def checkpoint(self, step: int, state: TrainState, finite: jax.Array, position, sums) -> None:
        if self._recorder:
            # A checkpoint promises that what came before it need not come again.
            self._recorder.wait()
        # The metrics of a step come from the parameters before it; these are the ones after it.
        if not finite:
            self._stop_not_finite(step, {"the parameters": np.float32("nan")})
        checkpoint.save(self._manager, state, position, self._description, sums)

    def page(self, step: int, status: str) -> None:
        if self._recorder:
            self._recorder.page(
                **self._summary,
                step=step,
                status=status,
                seconds=round(self._progress.seconds, 1),
                **({"images_per_second": round(self._rate, 1)} if self._rate else {}),
            )

    def _stop_not_finite(self, step: int, values: dict[str, np.ndarray]) -> None:
        names = ", ".join(f"{k} is {v}" for k, v in values.items() if not np.isfinite(v))
        last = ", ".join(f"{key} {value:.4g}" for key, value in self._last_finite.items())
        self._manager.wait_until_finished()
        saved = self._manager.latest_step()
        back = f"the checkpoint of step {saved}" if saved else "the start, there is no checkpoint"
        known = (
            f"last finite metrics, at step {self._logged_at}: {last}" if last else "from the start"
        )
        raise UserError(f"step {step}: {names}; {known}; to go back to: {back}")


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def _parameters(state: TrainState) -> str:
    players = {"generator": state.generator, "discriminator": state.discriminator}
    return "\n".join(
        # Of shapes alone: means and deviations would be those of the moment of a resume.
        f"{name}\n{parameter_overview.get_parameter_overview(player.params, include_stats=False)}\n"
        for name, player in players.items()
    )


@jax.jit
def _copy(state: TrainState) -> TrainState:
    return jax.tree.map(jnp.copy, state)


@jax.jit
def _finite(state: TrainState) -> jax.Array:
    players = (state.generator, state.discriminator)
    leaves = jax.tree.leaves([(player.params, player.model_state) for player in players])
    floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in floats]))
