"""The training loop: data -> step -> records -> checkpoint, knowing each by its interface alone.

The order of things, so that a resumed run repeats what the unbroken one would have done:

1. The newest undamaged checkpoint, if any, is restored: state and data position together.
   A checkpoint that does not fit is refused before anything in the folder has changed.
2. What was recorded beyond its step is dropped; the steps come again.
3. Each step takes the next batch; `steps_per_call` of them are one call of the compiled program.
   After step n, where n is a multiple of their interval or the last step: the hooks are called,
   metrics are logged, the checkpoint is saved. All of them only read the state, and no random
   number depends on them.
4. Nothing waits for the device in between, but for several devices of one CPU, see `cpu.in_turn`.
   Even what is logged and saved is only set aside at step n, and fetched when the next call is on
   its way.
5. Metrics or a state that are not finite stop the run; or, with `rollback`, its newest regular
   checkpoint is restored and the data goes on behind what was logged with them. They are looked for
   at the same steps in every run, and what was counted is saved with each checkpoint, so that a
   resumed run goes back where the unbroken one did.
"""

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
import orbax.checkpoint as ocp
from clu import parameter_overview

from jaxgan import cpu
from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.best import BestCheckpoint
from jaxgan.checkpoints.digests import digest_arrays
from jaxgan.checkpoints.undamaged import restore_newest
from jaxgan.errors import UserError
from jaxgan.files import writing
from jaxgan.nonfinite import all_finite
from jaxgan.runs.progress import Progress
from jaxgan.runs.recorder import Recorder, is_finished
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Metrics
from jaxgan.training import seeds
from jaxgan.training.journal import Journal, NotFinite
from jaxgan.training.signals import Stopped, catch_signals, signal_anywhere
from jaxgan.training.workdir import lock_workdir

__all__ = ["Checkpoints", "Hook", "Stopped", "fit", "parameter_tables"]

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
      workdir: the run's folder, which is made if it is not there.
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
        `rollback` is not set or has not helped; more than `nonfinite.MOST_SKIPPED` steps left out
        in a row.
      Stopped: SIGINT or SIGTERM came; a checkpoint of that moment was saved. Its `exit_code` is
        what a command leaves with.
    """
    workdir = Path(checkpoints.workdir)
    first = jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        # Before anything slow: a signal while restoring or compiling waits for the first step.
        asked_to_stop = stack.enter_context(catch_signals())
        if first:
            with writing(workdir):
                workdir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock_workdir(workdir))
        manager = stack.enter_context(checkpoint.open_checkpoints(workdir, keep=checkpoints.keep))
        saved, state = restore_newest(manager, state, batches)
        start = saved or 0
        if start > num_steps:
            raise UserError(f"num_steps: got {num_steps}, but {workdir} has done {start}")
        progress = Progress(start, num_steps, images_per_step, quiet=not first)
        if start == num_steps and is_finished(workdir):
            progress.say(f"{workdir} is finished: step {start} of {num_steps}")
            return state
        if saved is not None and saved == manager.latest_step():
            # Those that a killed process had no time to delete, after the last one that it saved.
            for old in sorted(manager.all_steps())[: -checkpoints.keep]:
                manager.delete(old)
        parameters = parameter_tables(state)
        recorder = recorder if first else None
        if recorder:
            recorder.begin(start, parameters)
            stack.callback(recorder.close)
        journal = Journal(recorder, progress, num_steps)
        best = checkpoints.best and stack.enter_context(BestCheckpoint(workdir, *checkpoints.best))
        saving = _Saving(manager, best, journal, checkpoints)
        if saved is None:
            progress.say(parameters)
        else:
            journal.counts |= checkpoint.read_description(manager, saved).get("nonfinite", {})
            progress.say(f"goes on from the checkpoint of step {saved}")
        progress.say("compiling", live=True)
        # Set aside like all that follows: pictures and records have imports of their own, during
        # which the step is better compiled.
        set_aside: list[Callable[[], None]] = [functools.partial(journal.begin, start)]
        if start == 0:
            for hook in hooks:
                if hook.at_start:
                    set_aside.append(functools.partial(journal.keep, 0, hook.call(state)))

        step = start
        pending: list[Metrics] = []

        def due(interval: int) -> bool:
            return step % interval == 0 or step == num_steps

        def catch_up() -> bool:
            """Does what was set aside; False if what it found sent the run back."""
            nonlocal state, step, pending
            try:
                while set_aside:
                    set_aside.pop(0)()
            except NotFinite as found:
                state = saving.go_back(found, state, batches, rollback)
                step, pending = int(state.step), []
                set_aside.clear()
                return False
            return True

        intervals = (log_every, checkpoints.every, *(hook.every for hook in hooks))
        steps_per_call = _largest_divisor(math.gcd(start, num_steps, *intervals), steps_per_call)
        try:
            while step < num_steps:
                group = [next(batches) for _ in range(steps_per_call)]
                batch = jax.tree.map(lambda *arrays: np.stack(arrays), *group)
                state, metrics = train_step(state, batch)
                cpu.in_turn(pending[-1:])  # so that two calls are on their way there, no more
                step += steps_per_call
                if step == start + steps_per_call:
                    # The first call returns when it is compiled, which is no part of the rate.
                    progress.restart()
                if not catch_up():
                    continue
                pending.append(metrics)
                stop = None
                # Read once: a signal that comes later waits for the next time. To agree, several
                # processes wait for each other, so they do it where they wait anyhow.
                if step < num_steps and (jax.process_count() == 1 or due(log_every)):
                    stop = signal_anywhere(asked_to_stop)
                for hook in hooks:
                    if due(hook.every):
                        saving.call(hook, step, state, batches)
                if due(log_every) or due(checkpoints.every) or stop:
                    position = batches.get_state()
                    set_aside.append(functools.partial(journal.log, step, pending, position))
                    pending = []
                    # Nothing is saved before its metrics are known to be finite.
                    if due(checkpoints.every) or stop:
                        set_aside.append(
                            saving.later(step, state, position, due(checkpoints.every))
                        )
                if stop:
                    reached = f"after step {step}"
                    if catch_up():
                        how = ", which is saved; the same command goes on from there"
                    else:
                        how = f"; the same command goes on from the checkpoint of step {step}"
                    manager.wait_until_finished()
                    raise Stopped(stop, reached + how)
                if step == num_steps:
                    catch_up()  # which may have the loop go on
            catch_up()  # of a run that had only its last records to write
        except BaseException as error:
            # Whatever else fails now, it is this error that is told.
            with contextlib.suppress(Exception):
                journal.page(step, f"stopped: {str(error) or type(error).__name__}")
            raise
        manager.wait_until_finished()
        journal.finish()
        return seeds.gather(state)


class _Saving(NamedTuple):
    """Checkpoints of a run, the best one, and the way back to the newest.

    Attributes:
      manager: of the regular ones.
      best: None where none is kept.
      journal: of the run.
      options: as given to `fit`.
    """

    manager: ocp.CheckpointManager
    best: BestCheckpoint | None
    journal: Journal
    options: Checkpoints

    def call(self, hook: Hook, step: int, state: TrainState, batches) -> None:
        """Calls a hook and keeps what it gives."""
        if not hook.waits:
            self.journal.keep(step, hook.call(seeds.gather(state)))
            return
        # The steps that are still on their way are no part of the pause.
        jax.block_until_ready(state)
        state = seeds.gather(state)
        if not _finite(state):
            return  # there is nothing to measure; what follows is said when this step is logged
        start, progress = time.perf_counter(), self.journal.progress
        values = hook.call(state)
        if self.best:
            description = dict(self.options.description)
            value = self.best.consider(values, state, batches.get_state(), description)
            if value is not None:
                progress.say(f"step {step} is the best so far, {value:.4g}: kept in best/")
        progress.pause(time.perf_counter() - start)
        self.journal.keep(step, values)

    def later(self, step: int, state: TrainState, position, regular: bool) -> Callable[[], None]:
        """What saves a state, to be called when it is computed.

        Args:
          step: its step.
          state: which the next call may take for its own.
          position: of the data after it.
          regular: whether the unbroken run saves it, too.
        """
        state = seeds.gather(state)
        state, finite = _copy(state), _finite(state)
        sums = digest_arrays(state)
        counts = self.journal.counts

        def save() -> None:
            # A checkpoint promises that what came before it need not come again.
            self.journal.wait()
            # The metrics of a step come from the parameters before it; these are the ones after it.
            if not finite:
                self.journal.refuse(step, "the new state is nan", position)
            if regular:
                counts["rollbacks_in_a_row"] = 0
            counted = {"nonfinite": dict(counts)} if any(counts.values()) else {}
            description = {**self.options.description, **counted}
            checkpoint.save(self.manager, state, position, description, sums)

        return save

    def go_back(self, found: NotFinite, state: TrainState, batches, rollback: bool) -> TrainState:
        """The state of the newest regular checkpoint, from where other examples come.

        A checkpoint that a signal left between two regular ones is not gone back to: the unbroken
        run has none there.

        Raises:
          UserError: it is not to go back, cannot, or has gone back too often.
        """
        self.manager.wait_until_finished()
        saved = sorted(self.manager.all_steps())
        to = f"the checkpoint of step {saved[-1]}" if saved else "the start, there is no checkpoint"
        message = f"{found}; to go back to: {to}"
        if not rollback or not saved:
            raise UserError(message) from None
        if self.journal.counts["rollbacks_in_a_row"] == MOST_ROLLBACKS:
            raise UserError(f"{message}, as the run did {MOST_ROLLBACKS} times in a row") from None
        step = max([step for step in saved if step % self.options.every == 0] or saved)
        state = checkpoint.restore(self.manager, step, state, batches)
        batches.set_state(found.position)
        for later in saved:
            if later > step:
                self.manager.delete(later)
        self.journal.go_back(found, step)
        return state


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def parameter_tables(state: TrainState) -> str:
    """The tables of both networks' parameters."""
    players = {"generator": state.generator, "discriminator": state.discriminator}
    return "\n".join(
        # Of shapes alone: means and deviations would be those of the moment of a resume.
        f"{name}\n{parameter_overview.get_parameter_overview(player.params, include_stats=False)}\n"
        for name, player in players.items()
    )


@jax.jit
def _copy(state: TrainState) -> TrainState:
    return jax.tree.map(jnp.copy, state)


_all_finite = jax.jit(all_finite)


def _finite(state: TrainState) -> jax.Array:
    return cpu.in_turn(_all_finite(state))
