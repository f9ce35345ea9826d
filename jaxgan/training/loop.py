"""The training loop: data -> step -> records -> checkpoint, knowing each by its interface alone.

The order of things, so that a resumed run repeats what the unbroken one would have done:

1. The newest undamaged checkpoint, if any, is restored: state and data position together.
   A checkpoint that does not fit is refused before anything in the folder has changed.
2. What was recorded beyond its step is dropped; the steps come again.
3. Each step takes the next batch; `steps_per_call` of them are one call of the compiled program.
   After step n, where n is a multiple of their interval or the last step: the hooks are called,
   metrics are logged, the checkpoint is saved. All of them only read the state, and no random
   number depends on them.
4. Nothing waits for the device in between. Even what is logged and saved is only set aside at
   step n, and fetched when the next call is on its way.
5. Metrics or a state that are not finite stop the run; or, with `rollback`, its newest regular
   checkpoint is restored and the data goes on behind what was logged with them. They are looked for
   at the same steps in every run, and what was counted is saved with each checkpoint, so that a
   resumed run goes back where the unbroken one did. Steps that `skip_nonfinite` left out are none
   of the means.
"""

import collections
import contextlib
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview

from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.best import BestCheckpoint
from jaxgan.checkpoints.digests import digest_arrays
from jaxgan.checkpoints.undamaged import restore_newest
from jaxgan.errors import UserError
from jaxgan.nonfinite import MOST_SKIPPED, SKIPPED, all_finite
from jaxgan.runs.diagnosis import WINDOW, diagnose
from jaxgan.runs.progress import Progress
from jaxgan.runs.recorder import Recorder, is_finished
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Metrics
from jaxgan.training.signals import Stopped, catch_signals, signal_anywhere
from jaxgan.training.workdir import lock_workdir

__all__ = ["Checkpoints", "Hook", "Stopped", "fit"]

MOST_ROLLBACKS = 3
"""So many times a run goes back to one checkpoint: other examples did not help then."""


class Hook(NamedTuple):
    """What a run does at every so many steps and after the last one, and keeps the results of.

        hooks = [
            Hook(150, lambda state: {"samples": draw(state)}, at_start=True),
            Hook(600, lambda state: {"accuracy": measure(state)}, waits=True),
        ]

    Attributes:
      every: an interval in steps.
      call: state -> {name: value}. Numbers are recorded as eval/NAME. Images in [0, 1], (B, H, W,
        C), are drawn as grids, (rows, columns, H, W, C) as that grid; those called "samples" become
        the animation of the run.
      waits: whether `call` waits for the device, as what measures does. The steps that are on their
        way are waited for first, its time is not theirs, and a state that is not finite is left.
      at_start: whether it is called before the first step, too.
    """

    every: int
    call: Callable[[TrainState], dict[str, Any]]
    waits: bool = False
    at_start: bool = False


class Checkpoints(NamedTuple):
    """Where, when and with what a run is saved.

    Attributes:
      workdir: the run's folder, which exists.
      every: an interval in steps.
      keep: how many of the newest to keep.
      description: JSON, saved with each.
      best: (a number that a hook gives, "min" or "max"): the checkpoint where it is best is kept as
        well, see `BestCheckpoint`.
    """

    workdir: str | Path
    every: int
    keep: int = 3
    description: Mapping[str, Any] = MappingProxyType({})
    best: tuple[str, str] | None = None


def fit(
    state: TrainState,
    train_step: Callable[[TrainState, PyTree], tuple[TrainState, Metrics]],
    batches: grain.DatasetIterator,
    *,
    num_steps: int,
    checkpoints: Checkpoints,
    hooks: Sequence[Hook] = (),
    recorder: Recorder | None = None,
    log_every: int = 100,
    steps_per_call: int = 1,
    images_per_step: int = 1,
    rollback: bool = False,
) -> TrainState:
    """Trains until `num_steps`, from the newest checkpoint if there is one.

    Args:
      state: at step 0, on its devices.
      train_step: (state, host batches of several steps, stacked) -> (state, metrics, stacked
        likewise): a step under `jax.lax.scan`, jitted; donates the state.
      batches: yields host batches for ever; its position goes into the checkpoints.
      num_steps: where the run ends.
      checkpoints: where, when and with what it is saved.
      hooks: what else is done, in this order.
      recorder: what keeps metrics, pictures and the page; of several processes, that of the first.
      log_every: an interval in steps, over which metrics are averaged.
      steps_per_call: how many steps one call does at most; it will be a divisor of all intervals.
      images_per_step: examples that one step sees, over all devices.
      rollback: where metrics or state are not finite, go back to the newest of the regular
        checkpoints and take other examples from there, at most `MOST_ROLLBACKS` times in a row. A
        run that is stopped and resumed in between ends as the unbroken one where two checkpoints
        or more are kept.

    Returns:
      The state at `num_steps`.

    Raises:
      UserError: a checkpoint of another architecture, or none that is not damaged; a folder that
        cannot be written, since the disk is full, say; a metric that is no longer finite (the
        message gives the step, the last finite metrics and the checkpoint to go back to), and
        `rollback` is not set or has not helped; more than `MOST_SKIPPED` steps left out in a row.
      Stopped: SIGINT or SIGTERM came; a checkpoint of that moment was saved. Its `exit_code` is
        what a command leaves with.
    """
    workdir = Path(checkpoints.workdir)
    first = jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        # Before anything slow: a signal while restoring or compiling waits for the first step.
        asked_to_stop = stack.enter_context(catch_signals())
        if first:
            stack.enter_context(lock_workdir(workdir))
        manager = stack.enter_context(checkpoint.open_checkpoints(workdir, keep=checkpoints.keep))
        saved, state = restore_newest(manager, state, batches)
        start = saved or 0
        if start > num_steps:
            raise UserError(f"num_steps: got {num_steps}, but {workdir} has done {start}")
        progress = Progress(start, num_steps, images_per_step, quiet=not first)
        if start >= num_steps and is_finished(workdir):
            progress.say(f"{workdir} is finished: step {start} of {num_steps}")
            return state
        parameters = _parameters(state)
        recorder = recorder if first else None
        if recorder:
            recorder.begin(start, parameters)
            stack.callback(recorder.close)
        best = checkpoints.best and stack.enter_context(BestCheckpoint(workdir, *checkpoints.best))
        run = _Run(manager, best, recorder, progress, checkpoints.description, num_steps)
        if saved is not None:
            run.counted(checkpoint.read_description(manager, saved))
            progress.say(f"goes on from the checkpoint of step {saved}")
        else:
            progress.say(parameters)
        progress.say("compiling", live=True)
        # Set aside like all that follows: pictures and records have imports of their own, during
        # which the step is better compiled.
        set_aside = [functools.partial(run.begin, start)]
        if start == 0:
            for hook in hooks:
                if hook.at_start:
                    set_aside.append(functools.partial(run.keep, 0, hook.call(state)))

        intervals = (log_every, checkpoints.every, *(hook.every for hook in hooks))
        steps_per_call = _largest_divisor(math.gcd(start, num_steps, *intervals), steps_per_call)
        steps = _Steps(start, num_steps, steps_per_call)
        pending: list[Metrics] = []

        def catch_up() -> bool:
            """Does what was set aside; False if what it found sent the run back."""
            nonlocal state, pending
            try:
                while set_aside:
                    set_aside.pop(0)()
                return True
            except _NotFinite as found:
                if not rollback:
                    raise
                state = run.go_back(found, state, batches, checkpoints.every)
                steps.last = int(state.step)
                set_aside.clear()
                pending = []
                return False

        step = start
        try:
            for step in steps:
                group = [next(batches) for _ in range(steps_per_call)]
                batch = jax.tree.map(lambda *arrays: np.stack(arrays), *group)
                state, metrics = train_step(state, batch)
                if step == start + steps_per_call:
                    # The first call returns when it is compiled, which is no part of the rate.
                    progress.restart()
                if not catch_up():
                    continue
                pending.append(metrics)

                def due(interval: int, step: int = step) -> bool:
                    return step % interval == 0 or step == num_steps

                stop = None
                # Read once: a signal that comes later waits for the next time. To agree, several
                # processes wait for each other, so they do it where they wait anyhow.
                if step < num_steps and (jax.process_count() == 1 or due(log_every)):
                    stop = signal_anywhere(asked_to_stop)
                for hook in hooks:
                    if due(hook.every):
                        run.call(hook, step, state, batches)
                # Nothing is saved before its metrics are known to be finite.
                if due(log_every) or due(checkpoints.every) or stop:
                    set_aside.append(functools.partial(run.log, step, pending, batches.get_state()))
                    pending = []
                if due(checkpoints.every) or stop:
                    # A copy, since the next call takes the state for its own.
                    saved_state, finite = _copy(state), _finite(state)
                    set_aside.append(
                        functools.partial(
                            run.checkpoint,
                            step,
                            saved_state,
                            finite,
                            batches.get_state(),
                            digest_arrays(saved_state),
                            regular=due(checkpoints.every),
                        )
                    )
                if stop:
                    if not catch_up():
                        raise Stopped(
                            stop,
                            f"after step {step}; the same command goes on from the checkpoint of "
                            f"step {steps.last}",
                        )
                    manager.wait_until_finished()
                    raise Stopped(
                        stop,
                        f"after step {step}, which is saved; the same command goes on from there",
                    )
                if step == num_steps:
                    catch_up()  # which may have the loop go on
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


class _Steps:
    """The numbers of the steps that calls end with; `last` is the newest, and may be set back."""

    def __init__(self, start: int, num_steps: int, steps_per_call: int):
        self.last = start
        self._num_steps = num_steps
        self._steps_per_call = steps_per_call

    def __iter__(self) -> "_Steps":
        return self

    def __next__(self) -> int:
        if self.last >= self._num_steps:
            raise StopIteration
        self.last += self._steps_per_call
        return self.last


class _NotFinite(UserError):
    """Metrics or a state that are not finite, in short; `position` is of the data after them."""

    def __init__(self, short: str, known: str, position: dict[str, Any]):
        super().__init__(f"{short}; {known}")
        self.short = short
        self.position = position


class _Run:
    """The side effects of a run, gathered so that the loop above reads as its order."""

    def __init__(self, manager, best, recorder, progress, description, num_steps):
        self._manager = manager
        self._best = best
        self._recorder = recorder
        self._progress = progress
        self._description = description
        self._num_steps = num_steps
        self._last_finite: dict[str, float] = {}
        self._logged_at: int | None = None
        self._rate: float | None = None
        self._recent: collections.deque[dict[str, float]] = collections.deque(maxlen=WINDOW)
        self._wrong: set[str] = set()
        self._counts = dict.fromkeys(
            ("skipped_steps", "skipped_in_a_row", "rollbacks", "rollbacks_in_a_row"), 0
        )

    def counted(self, description: dict[str, Any]) -> None:
        """Goes on counting from what a checkpoint's description says."""
        self._counts |= description.get("nonfinite", {})

    def begin(self, step: int) -> None:
        self.page(step, "running")
        if self._recorder:
            self._recorder.draw_real()

    def log(self, step: int, pending: list[Metrics], position) -> None:
        """Logs the mean of each metric over the steps up to `step`, those since the last time."""
        calls = jax.device_get(pending)
        fetched = {key: np.concatenate([call[key] for call in calls]) for key in calls[0]}
        left_out = fetched.pop(SKIPPED, None)
        finite = np.all([np.isfinite(values) for values in fetched.values()], axis=0)
        taken = np.ones_like(finite) if left_out is None else left_out == 0
        right = finite | ~taken
        if not right.all():
            bad = int(np.argmin(right))
            values = {key: values[bad] for key, values in fetched.items()}
            self._not_finite(step - len(finite) + 1 + bad, values, position)
        scalars = {}
        if left_out is not None:
            scalars[SKIPPED] = float(np.sum(left_out))
            self._count_skipped(step, fetched, taken, position)
        mean = {}
        if taken.any():
            count = int(np.sum(taken))
            mean = {key: math.fsum(values[taken]) / count for key, values in fetched.items()}
            self._last_finite, self._logged_at = mean, step
        self._rate = self._progress.rate(step)
        self._progress.show(step, self._rate, mean)
        if self._recorder:
            scalars |= {**mean, "images_per_second": self._rate}
            self._recorder.scalars(step, {f"train/{key}": scalars[key] for key in scalars})
        if not mean:
            return
        self._recent.append(mean)
        findings = diagnose(list(self._recent))
        for finding in findings:
            if finding.name not in self._wrong:
                self._progress.say(f"warning: step {step}: {finding.text} {finding.advice}")
        self._wrong = {finding.name for finding in findings}

    def _count_skipped(self, step: int, fetched, taken: np.ndarray, position) -> None:
        """Counts the steps that were left out and tells of them; too many in a row are an error."""
        first = step - len(taken) + 1
        for index in range(len(taken)):
            in_a_row = 0 if taken[index] else self._counts["skipped_in_a_row"] + 1
            self._counts["skipped_in_a_row"] = in_a_row
            if in_a_row > MOST_SKIPPED:
                values = {key: values[index] for key, values in fetched.items()}
                what = f"{in_a_row} steps in a row are left out"
                self._not_finite(first + index, values, position, what)
        if not taken.all():
            count, index = int(np.sum(~taken)), int(np.argmin(taken))
            names = [key for key, values in fetched.items() if not np.isfinite(values[index])]
            self._counts["skipped_steps"] += count
            self._progress.say(
                f"warning: {'all' if count == len(taken) else count} of the {len(taken)} steps to "
                f"step {step} are left out, from step {first + index} on, where "
                f"{names[0] if names else 'the new state'} is not finite; "
                f"{self._counts['skipped_steps']} in all"
            )

    def go_back(self, found: _NotFinite, state: TrainState, batches, every: int) -> TrainState:
        """The state of the newest regular checkpoint, from where other examples come.

        A checkpoint that a signal left between two regular ones is not gone back to: the unbroken
        run has none there.
        """
        saved = self._manager.all_steps()
        regular = [step for step in saved if step % every == 0] or list(saved)
        if not regular:
            raise found
        if self._counts["rollbacks_in_a_row"] == MOST_ROLLBACKS:
            raise UserError(f"{found}, as the run did {MOST_ROLLBACKS} times in a row")
        self._counts["rollbacks"] += 1
        self._counts["rollbacks_in_a_row"] += 1
        step = max(regular)
        state = checkpoint.restore(self._manager, step, state, batches)
        batches.set_state(found.position)
        for later in saved:
            if later > step:
                self._manager.delete(later)
        if self._recorder:
            self._recorder.go_back(step)
        self._progress.go_back(step)
        self._recent.clear()
        self._progress.say(
            f"warning: {found.short}; goes back to the checkpoint of step {step} and on with other "
            f"examples, rollback {self._counts['rollbacks']}"
        )
        return state

    def call(self, hook: Hook, step: int, state: TrainState, batches) -> None:
        """Calls a hook and keeps what it gives."""
        if not hook.waits:
            self.keep(step, hook.call(state))
            return
        # The steps that are still on their way are no part of the pause.
        jax.block_until_ready(state)
        if not _finite(state):
            return  # there is nothing to measure; what follows is said when this step is logged
        start = time.perf_counter()
        values = hook.call(state)
        if self._best:
            position = batches.get_state()
            value = self._best.consider(values, state, position, dict(self._description))
            if value is not None:
                self._progress.say(f"step {step} is the best so far, {value:.4g}: kept in best/")
        self._progress.pause(time.perf_counter() - start)
        self.keep(step, values)

    def keep(self, step: int, values: dict[str, Any]) -> None:
        """Records the numbers that a hook gives, and draws its images."""
        if not self._recorder:
            return
        images = {name: value for name, value in values.items() if np.ndim(value) >= 4}
        numbers = {f"eval/{name}": values[name] for name in values if name not in images}
        if numbers:
            self._recorder.scalars(step, numbers)
        if images:
            self._recorder.images(step, images)
            self.page(step, "running")

    def checkpoint(
        self, step: int, state: TrainState, finite: jax.Array, position, sums, *, regular: bool
    ) -> None:
        if self._recorder:
            # A checkpoint promises that what came before it need not come again.
            self._recorder.wait()
        # The metrics of a step come from the parameters before it; these are the ones after it.
        if not finite:
            self._not_finite(step, {"the new state": np.float32("nan")}, position)
        if regular:
            self._counts["rollbacks_in_a_row"] = 0
        counted = {"nonfinite": dict(self._counts)} if any(self._counts.values()) else {}
        checkpoint.save(self._manager, state, position, {**self._description, **counted}, sums)

    def page(self, step: int, status: str) -> None:
        if self._recorder:
            self._recorder.page(
                num_steps=self._num_steps,
                **{
                    name: self._counts[name]
                    for name in ("skipped_steps", "rollbacks")
                    if self._counts[name]
                },
                step=step,
                status=status,
                seconds=round(self._progress.seconds, 1),
                **({"images_per_second": round(self._rate, 1)} if self._rate else {}),
            )

    def _not_finite(self, step: int, values: dict[str, np.ndarray], position, what="") -> None:
        names = [f"{k} is {v}" for k, v in values.items() if not np.isfinite(v)]
        names = ", ".join([what] * bool(what) + names)
        last = ", ".join(f"{key} {value:.4g}" for key, value in self._last_finite.items())
        self._manager.wait_until_finished()
        saved = self._manager.latest_step()
        back = f"the checkpoint of step {saved}" if saved else "the start, there is no checkpoint"
        known = (
            f"last finite metrics, at step {self._logged_at}: {last}" if last else "from the start"
        )
        raise _NotFinite(f"step {step}: {names}", f"{known}; to go back to: {back}", position)


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


_finite = jax.jit(all_finite)
