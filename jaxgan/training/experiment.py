"""An experiment from the command line to the loop."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from absl import flags
from jax.sharding import Mesh
from ml_collections import config_dict

from jaxgan import cpu, gpu
from jaxgan.errors import UserError
from jaxgan.nonfinite import skip_nonfinite
from jaxgan.runs.provenance import provenance
from jaxgan.runs.recorder import Recorder
from jaxgan.state import TrainState
from jaxgan.step import ObjectiveLike, make_train_step
from jaxgan.training import command_line, processes, seeds, sharding
from jaxgan.training.config import check_config, expect_field
from jaxgan.training.loop import Checkpoints, Hook, fit
from jaxgan.training.sources import bad_images
from jaxgan.training.workdir import check_workdir

JOINING = ("coordinator_address", "num_processes", "process_id")
"""The flags that tell a process of the others."""


def run_experiment(
    train: Callable,
    get_config: Callable,
    *parts: Any,
    variants: tuple[str, ...] = (),
    report: Callable | None = None,
    more_flags: tuple[str, ...] = (),
    fit_to_data: Callable | None = None,
) -> None:
    """Runs an experiment from the command line.

    Args:
      train: (*parts, config, workdir, change_config) -> None.
      get_config: () or (variant) -> config.
      parts: what the experiment gives to `train`.
      variants: names that `--variant` takes, the first being the default.
      report: (config, workdir) -> None, called when the run is finished, also if it was before.
      more_flags: names of flags of the experiment alone.
      fit_to_data: (config, fields that flags give, workdir) -> None; it may set other fields.
    """
    with command_line.reporting_errors():
        names = ("change_config", "distributed", *JOINING, *more_flags)
        if variants:
            variant, names = command_line.read_variant(variants), ("variant", *names)
        defaults = get_config(variant) if variants else get_config()
        flags.DEFINE_bool("change_config", False, "Go on with an old run under another config.")
        flags.DEFINE_bool(
            "distributed",
            False,
            "One of several processes that train together. A TPU pod, Slurm, Open MPI and "
            "Kubernetes tell of them; else give the flags below, or set JAX_COORDINATOR_ADDRESS, "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID.",
        )
        flags.DEFINE_string("coordinator_address", None, "Of the first process, as host:port.")
        flags.DEFINE_integer("num_processes", None, "How many there are.", lower_bound=1)
        flags.DEFINE_integer("process_id", None, "Which one this is, from 0.", lower_bound=0)
        config, workdir = command_line.read_config(defaults, names)
        if variants and config.variant != variant:
            raise UserError(f"config.variant: got {config.variant!r}, expected --variant=NAME")
        if fit_to_data:
            fit_to_data(config, command_line.given_fields(), workdir)
        check_config(config)
        # Now, and not when minutes have gone into data and networks.
        check_workdir(workdir, config.to_dict(), change_config=flags.FLAGS.change_config)
        several = seeds.count(config) > 1
        if several:
            for single in seeds.single_configs(config):
                check_config(single)
            name, alone = ("sweep", "none") if config.sweep else ("seeds", "1")
            expected = f"{alone} in several processes"
            expect_field(config, name, not flags.FLAGS.distributed, expected)
            seeds.prepare_devices(seeds.count(config))
        joining = {name: flags.FLAGS[name].value for name in JOINING}
        if flags.FLAGS.distributed:
            processes.join(**joining)
        for name, value in joining.items():
            if value is not None and not flags.FLAGS.distributed:
                raise UserError(f"{name}: got {value} without --distributed, expected both")
        cpu.keep_memory()
        train(*parts, config, workdir, flags.FLAGS.change_config)
        if report and several:
            of_each = zip(seeds.single_configs(config), seeds.names(config), strict=True)
            for single, name in of_each:
                report(single, Path(workdir) / name)
        elif report and jax.process_count() == 1:
            report(config, workdir)
        elif report and jax.process_index() == 0:
            print("The same command without --distributed ends with a report.")


def make_mesh(config: config_dict.ConfigDict) -> Mesh:
    """The mesh of all devices that a config asks for; refuses a batch that does not fit."""
    mesh = sharding.make_mesh(model=config.model_devices)
    sharding.check_batch_size(config.batch_size, mesh, config.micro_batches)
    return mesh


def make_step(
    config: config_dict.ConfigDict,
    objective: ObjectiveLike,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    **options: Any,
) -> Callable:
    """`make_train_step`, for micro-batches and a state on several devices as a config says."""
    if _is_cut(config):
        mesh = make_mesh(config)
        objective = sharding.share_parameters(objective, mesh, over_data=config.shard_state)
    return make_train_step(
        objective, gen_tx, disc_tx, micro_batches=config.micro_batches, **options
    )


def _is_cut(config: config_dict.ConfigDict) -> bool:
    """Whether a device has a part of the state only."""
    return config.shard_state or config.model_devices > 1


def fit_images(
    config: config_dict.ConfigDict,
    state: TrainState,
    step: Callable,
    batches,
    workdir: Path,
    mesh,
    *,
    arrays,
    sample: Callable,
    evaluate: Callable | None,
    real: np.ndarray,
    images_per_step: int,
    description: dict[str, Any],
    use: dict[str, str],
    layout: str = "",
    sources: tuple = (),
    keep_best: tuple[str, str] | None = None,
) -> TrainState:
    """Runs the loop by the config's schedule, on all devices.

    Args:
      config: of the experiment.
      state: at step 0.
      step: (state, arrays, batch) -> (state, metrics), pure; of a sweep it is given the value of
        its field besides, by name.
      batches: as for `fit`; of several seeds `JoinedBatches`.
      workdir: the run's folder.
      mesh: of all devices, or of those of the seeds.
      arrays: data that lives on the devices, any pytree.
      sample: state -> pictures, as of a `Hook`.
      evaluate: state -> numbers measured on held-out data, or None.
      real: images of the data in [0, 1], for comparison.
      images_per_step: examples that one step sees.
      description: what checkpoints carry besides the config.
      use: what for -> a command, or Python; the first is printed at the end.
      layout: what the rows and the columns of the samples are, for the page.
      sources: the data, for the page to say how many images were left out.
      keep_best: as `Checkpoints.best`.

    Returns:
      The state at the end.
    """
    processes.meet()
    arrays = sharding.replicate(arrays, mesh)
    count = seeds.count(config)
    several = count > 1
    places = None if several else sharding.shard_state(state, mesh, over_data=config.shard_state)
    swept = seeds.split(seeds.swept_arrays(config), mesh) if several else {}
    options = cpu.compiler_options()
    if config.deterministic:
        options |= gpu.deterministic_options()

    def one_training(state, arrays, own):
        batches, swept = own
        one = guarded(config, lambda state, batch: step(state, arrays, batch, **swept))
        return jax.lax.scan(one, state, batches)

    compiled = jax.jit(
        seeds.join_steps(one_training, mesh) if several else one_training,
        donate_argnums=0,
        out_shardings=(places, None) if _is_cut(config) else None,
        compiler_options=options,
    )

    def train_steps(state, batches):
        if several:
            state = seeds.place(state, mesh)
            return compiled(state, arrays, (seeds.shard_batches(batches, mesh), swept))
        return compiled(state, arrays, (sharding.shard_batch(batches, mesh, stacked=True), {}))

    def whole(state):
        """With parameters that this process can read, for what draws and measures."""
        return sharding.gather_parameters(state, mesh) if _is_cut(config) else state

    together = {"trainings": seeds.names(config)} if several else {}
    summary = {
        "title": f"{os.path.splitext(os.path.basename(sys.argv[0]))[0]} on {config.dataset}",
        "generator_parameters": _count(state.generator.params) // count,
        "discriminator_parameters": _count(state.discriminator.params) // count,
        "devices": f"{jax.device_count()} × {jax.devices()[0].device_kind}",
        "jax_version": jax.__version__,
        **origin(),
        "use": use,
        "layout": layout,
        **together,
        **({"bad_images": len(bad_images(*sources))} if bad_images(*sources) else {}),
    }
    hooks = [Hook(config.sample_every, lambda state: sample(whole(state)), at_start=True)]
    if evaluate:
        hooks.append(Hook(config.eval_every, lambda state: evaluate(whole(state)), waits=True))
    description = {**description, "config": config.to_dict(), **together}
    state = fit(
        state if several else sharding.place(state, places),
        train_steps,
        batches,
        num_steps=config.num_steps,
        checkpoints=Checkpoints(
            workdir, config.checkpoint_every, config.keep_checkpoints, description, keep_best
        ),
        hooks=hooks,
        recorder=Recorder(workdir, config.to_dict(), summary, real, seeds.labels(config)),
        log_every=config.log_every,
        steps_per_call=config.steps_per_call,
        images_per_step=images_per_step,
        rollback=config.on_nonfinite == "rollback",
    )
    if jax.process_index() == 0:
        print(f"\n{workdir}/index.html shows the run.")
        for purpose, command in use.items():
            if "\n" not in command:  # which is Python
                print(f"{purpose}:\n  {command}")
    return state


def guarded(config: config_dict.ConfigDict, step: Callable) -> Callable:
    """A step (state, batch) -> (state, metrics) that does with NaN what the config says."""
    return skip_nonfinite(step) if config.on_nonfinite == "skip" else step


def origin() -> dict[str, Any]:
    """What a summary says of where a run came from: the command, the code and the machine."""
    return {"command": command_line.as_started(), **provenance()}


def _count(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
