"""Trainings that differ in nothing but their seed, or the value of one field, as one program.

The state of all of them is a `TrainState` in which every array but the step has the trainings as
its first axis: the seeds, or of a sweep, for each value the seeds. Each has the initial parameters,
the order of data and the draws of its own run, whose result it gives, to rounding. `write_run`
makes such a run of each in the end. Where there is no sweep, trainings are called seeds below.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import config_dict

from jaxgan.checkpoints import checkpoint
from jaxgan.files import read_object, write_json
from jaxgan.runs.page import read_metrics
from jaxgan.runs.recorder import Recorder, is_finished
from jaxgan.runs.spread import by_seed, newest_by_value
from jaxgan.state import PyTree, TrainState
from jaxgan.training import sharding
from jaxgan.training.config import expect_field
from jaxgan.training.sweep import read_sweep, with_fields

__all__ = [
    "AXES",
    "JoinedBatches",
    "check_seeds",
    "count",
    "each_seed",
    "gather",
    "join_states",
    "join_steps",
    "labels",
    "make_mesh",
    "names",
    "pick",
    "place",
    "prepare_devices",
    "shard_batches",
    "shown",
    "single_configs",
    "split",
    "swept_arrays",
    "what_differs",
    "write_run",
    "write_sweep",
]

# The axes of a state's arrays, in their places.
_NONE: Any = None
_FIRST: Any = 0
AXES = TrainState(_NONE, key=_FIRST, generator=_FIRST, discriminator=_FIRST, extra=_FIRST)


def check_seeds(config: config_dict.ConfigDict) -> None:
    """Refuses what several trainings at once cannot have, naming the field."""
    expect_field(config, "seeds", config.seeds >= 1, "1 or more")
    if count(config) == 1:
        return
    last = config.seed + config.seeds - 1
    expect_field(config, "seeds", last < 2**31, "a last seed of at most 2^31 - 1")
    where = f"where sweep={config.sweep}" if config.sweep else f"where seeds={config.seeds}"
    # One training would send all of them back, or be left out of the means.
    expect_field(config, "on_nonfinite", config.on_nonfinite == "stop", f"stop {where}")
    # Devices have trainings of their own, and no part of one.
    expect_field(config, "shard_state", not config.get("shard_state"), f"False {where}")
    expect_field(config, "model_devices", config.get("model_devices", 1) == 1, f"1 {where}")
    if "micro_batches" in config:
        divides = config.batch_size % config.micro_batches == 0
        expect_field(config, "micro_batches", divides, f"a divisor of {config.batch_size}")
    if "keep_best" in config:
        expect_field(config, "keep_best", not config.keep_best, f"none {where}")


def count(config: config_dict.ConfigDict) -> int:
    """How many trainings a config asks for."""
    swept = read_sweep(config)
    return config.get("seeds", 1) * (len(swept.values) if swept else 1)


def single_configs(config: config_dict.ConfigDict) -> list[config_dict.ConfigDict]:
    """The configs of the runs: for each value that is swept one for each seed, from `seed` on."""
    swept = read_sweep(config)
    of_values = [{swept.field: value} for value in swept.values] if swept else [{}]
    alone = {name: value for name, value in (("seeds", 1), ("sweep", "")) if name in config}
    seeds = range(config.seed, config.seed + config.get("seeds", 1))
    return [
        with_fields(config, **alone, **fields, seed=seed) for fields in of_values for seed in seeds
    ]


def names(config: config_dict.ConfigDict) -> list[str]:
    """The folders' names of the runs, as penalty_weight_0.1_seed_0, within that of all."""
    swept = read_sweep(config)
    firsts = [f"{label.replace('=', '_')}_" for label in swept.labels] if swept else [""]
    seeds = range(config.seed, config.seed + config.seeds)
    return [f"{first}seed_{seed}" for first in firsts for seed in seeds]


def swept_arrays(config: config_dict.ConfigDict) -> dict[str, np.ndarray]:
    """{field: the value of each training}; empty where nothing is swept."""
    swept = read_sweep(config)
    if swept is None:
        return {}
    return {swept.field: np.repeat(np.asarray(swept.values, np.float32), config.seeds)}


def shown(config: config_dict.ConfigDict) -> range:
    """Which trainings are shown first: of each value that is swept the first seed, else all."""
    return range(0, count(config), config.seeds if config.sweep else 1)


def what_differs(config: config_dict.ConfigDict) -> str:
    """What the rows of pictures are, in words."""
    swept = read_sweep(config)
    if swept:
        return f"value of {swept.field}, {', '.join(swept.shown)}, of seed {config.seed}"
    return f"seed, from {config.seed} on"


def labels(config: config_dict.ConfigDict) -> list[str]:
    """Of each value that is swept, as "penalty_weight=0.1"."""
    swept = read_sweep(config)
    return swept.labels if swept else []


def prepare_devices(seeds: int) -> None:
    """On CPU, makes a device of each core, as many as divide the seeds, before JAX has begun.

    A seed's step by itself does not keep several cores busy all the time; seeds side by side do.
    """
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    jax.config.update("jax_num_cpu_devices", _largest_divisor(seeds, cores))


def make_mesh(seeds: int) -> Mesh:
    """A mesh of as many devices as divide the seeds, each of which has as many of them."""
    return sharding.make_mesh(jax.devices()[: _largest_divisor(seeds, jax.device_count())])


def join_states(states: Sequence[TrainState]) -> TrainState:
    """The state of all seeds, of those of each at one step."""
    joined = jax.tree.map(lambda *arrays: jnp.stack(arrays), *states)
    return joined.replace(step=states[0].step)


@jax.jit
def pick(state: TrainState, index: int) -> TrainState:
    """The state of one seed, of that of all."""
    own = jax.tree.map(lambda array: array[index], state.replace(step=None))
    return own.replace(step=state.step)


def place(state: TrainState, mesh: Mesh) -> TrainState:
    """Puts the state of all seeds on their devices, if it is not there."""
    own = NamedSharding(mesh, PartitionSpec("data"))
    if state.key.sharding.is_equivalent_to(own, state.key.ndim):
        return state
    placed = jax.device_put(state.replace(step=None), own)
    return placed.replace(step=sharding.replicate(state.step, mesh))


def gather(state: TrainState) -> TrainState:
    """Brings the state of all seeds onto one of their devices; any other stays as it is.

    On CPU a program that sums over devices may wait for ever where others are on their way, since
    the threads are as few as the cores. So no program but those of the steps, which have no such
    sums, is given seeds on several devices.
    """
    if state.key.sharding.is_fully_replicated:
        return state
    return jax.device_put(state, min(state.key.devices(), key=lambda device: device.id))


def each_seed(function: Callable, mesh: Mesh) -> Callable:
    """Of a function of one seed one of all of them.

    On CPU a device takes its seeds in turn: each one's arrays stay in the core's cache, and its
    convolutions are those of `networks/convolution.py`, which the grouped ones of `jax.vmap` are
    half as slow again as. Elsewhere it is `jax.vmap`, which fills the device.

    Args:
      function: (state, shared, own) -> any pytree of arrays, to be called while tracing.
      mesh: of their devices.

    Returns:
      The same of the state of all seeds, what they share, and what is their own, whose arrays, like
      those of the result, have the seeds as their first axis.
    """

    def in_turn(state, shared, own):
        def one(parts):
            key, generator, discriminator, extra, own = parts
            single = TrainState(state.step, key, generator, discriminator, extra)
            return function(single, shared, own)

        return jax.lax.map(one, (*_arrays(state), own))

    run = in_turn if _takes_turns() else jax.vmap(function, in_axes=(AXES, None, 0))
    all_of_it: Any = PartitionSpec()
    own: Any = PartitionSpec("data")
    state = TrainState(all_of_it, own, own, own, own)
    # Not left to the compiler: no seed needs anything of another.
    return jax.shard_map(
        run, mesh=mesh, in_specs=(state, all_of_it, own), out_specs=own, check_vma=False
    )


def _takes_turns() -> bool:
    return jax.default_backend() == "cpu"


def join_steps(steps: Callable, mesh: Mesh) -> Callable:
    """Of several steps of one seed as many of all of them.

    Args:
      steps: (state, shared, own) -> (state, metrics (K,)), pure.
      mesh: of the seeds' devices.

    Returns:
      The same of the state of all S seeds, to be jitted; of `own` the arrays have the seeds as
      their first axis, and the metrics are (K, S).
    """

    def one(state, shared, own):
        new, metrics = steps(state, shared, own)
        return _arrays(new), metrics

    run = each_seed(one, mesh)

    def joined(state, shared, own):
        new, metrics = run(state, shared, own)
        metrics = jax.tree.map(jnp.transpose, metrics)
        count = jax.tree.leaves(metrics)[0].shape[0]
        return TrainState(state.step + count, *new), metrics

    return joined


def shard_batches(batches: PyTree, mesh: Mesh) -> PyTree:
    """Puts host batches (K, S, ...) of K steps and S seeds on the seeds' devices, (S, K, ...)."""
    return split(jax.tree.map(lambda array: np.swapaxes(array, 0, 1), batches), mesh)


def split(arrays: PyTree, mesh: Mesh) -> PyTree:
    """Puts arrays (S, ...) on the devices of their seeds."""
    return jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("data")))


class JoinedBatches:
    """The batches of all seeds, each in the order of its own run, stacked.

    Args:
      iterators: one for each seed.
    """

    def __init__(self, iterators: Sequence[grain.DatasetIterator]):
        self._iterators = list(iterators)

    def __iter__(self) -> "JoinedBatches":
        return self

    def __next__(self) -> PyTree:
        batches = [next(iterator) for iterator in self._iterators]
        return jax.tree.map(lambda *arrays: np.stack(arrays), *batches)

    def get_state(self) -> dict[str, Any]:
        return {"seeds": [iterator.get_state() for iterator in self._iterators]}

    def set_state(self, state: dict[str, Any]) -> None:
        for iterator, own in zip(self._iterators, state["seeds"], strict=True):
            iterator.set_state(own)


def write_run(
    workdir: Path,
    name: str,
    config: config_dict.ConfigDict,
    index: int,
    state: TrainState,
    position: dict[str, Any],
    description: dict[str, Any],
    parameters: str,
    *,
    pictures: dict[str, np.ndarray],
    real: np.ndarray,
    use: dict[str, str],
    layout: str = "",
) -> None:
    """Writes a seed as a run of its own, which can be loaded, measured and gone on with.

    A folder that has come as far already is left as it is.

    Args:
      workdir: of all seeds, whose records are taken over.
      name: of its own folder in there.
      config: the seed's own.
      index: its place among the seeds.
      state, position: its own.
      description: as of the checkpoints of all.
      parameters: the tables of both networks' parameters.
      pictures, real, use, layout: what the run's page shows.
    """
    folder, step = workdir / name, int(state.step)
    if is_finished(folder) and read_object(folder / "summary.json").get("step", 0) >= step:
        return
    folder.mkdir(exist_ok=True)
    own = config.to_dict()
    summary = {**read_object(workdir / "summary.json"), "use": use, "layout": layout}
    summary |= {"trained_in": f"one program with the others of {workdir}"}
    recorder = Recorder(folder, own, summary, real)
    recorder.begin(0, parameters)
    try:
        for row in read_metrics(workdir / "metrics.jsonl"):
            recorder.scalars(row["step"], by_seed(row, index))
        recorder.draw_real()
        recorder.images(step, pictures)
        with checkpoint.open_checkpoints(folder, keep=config.keep_checkpoints) as manager:
            if step not in manager.all_steps():
                single = jax.device_put(state, jax.local_devices()[0])
                checkpoint.save(manager, single, position, {**description, "config": own})
            manager.wait_until_finished()
        recorder.wait()
        recorder.page(step=step, status="finished")
    finally:
        recorder.close()


def write_sweep(workdir: Path, config: config_dict.ConfigDict) -> None:
    """Writes sweep.json: of each value its runs, and the newest numbers, over its seeds."""
    if not config.sweep:
        return
    found = newest_by_value(read_metrics(workdir / "metrics.jsonl"))
    runs = np.split(np.array(names(config)), len(labels(config)))
    content: dict[str, dict[str, Any]] = {}
    for label, own in zip(labels(config), runs, strict=True):
        content[label] = {"runs": own.tolist()}
        for name, (mean, *std) in found[label].items():
            content[label][name] = {"mean": mean, **({"std": std[0]} if std else {})}
    print(f"{write_json(workdir / 'sweep.json', content)} compares the values")


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def _arrays(state: TrainState) -> tuple:
    return state.key, state.generator, state.discriminator, state.extra
