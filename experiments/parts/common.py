"""What all experiments with images share: the config's vocabulary and its wiring into `fit`."""

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from absl import flags
from ml_collections import config_dict
from parts import command_line, processes

from jaxgan import cpu, data
from jaxgan.errors import UserError
from jaxgan.nonfinite import skip_nonfinite
from jaxgan.runs.provenance import provenance
from jaxgan.state import TrainState
from jaxgan.training import sharding
from jaxgan.training.loop import fit
from jaxgan.training.workdir import check_workdir

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
SCHEDULE = ("num_steps", "steps_per_call", "log_every", "sample_every", "eval_every",
            "checkpoint_every", "keep_checkpoints")  # fmt: skip
"""The fields that the loop is given."""
MOST_TOLD = 3
"""So many of the images that are left out are named."""


def base_config() -> config_dict.ConfigDict:
    """The fields of every experiment with images."""
    config = config_dict.ConfigDict()
    config.seed = 0
    config.dataset = "mnist"  # or folder:PATH, or a name of TensorFlow Datasets
    config.data_dir = config_dict.placeholder(str)  # where TFDS keeps its data sets
    # Or skip: all images are read once at the start, and bad ones left out and counted.
    config.on_bad_image = "stop"
    # Or validation, to choose settings by: put aside from the training data, not trained on.
    config.evaluate_on = "test"
    config.image_size = 28
    config.channels = 1
    config.device_data_mb = 512  # a data set of at most so many MB lives on the device
    config.batch_size = 100
    config.num_steps = 3_000  # five epochs of MNIST
    config.steps_per_call = 5  # of the compiled program, at most: a divisor of all intervals
    config.generator_learning_rate = 2e-4
    config.discriminator_learning_rate = 2e-4
    config.log_every = 20
    config.sample_every = 150
    config.eval_every = 600
    config.checkpoint_every = 300
    config.keep_checkpoints = 3
    config.dtype = "float32"  # of the computation; parameters stay float32
    # What becomes of numbers that are not finite: stop the run, skip the step (and go on from the
    # parameters before it), or rollback to the newest checkpoint and go on with other examples.
    config.on_nonfinite = "stop"
    return config


def run_experiment(
    get_config: Callable,
    train: Callable,
    variants: tuple[str, ...] = (),
    report: Callable | None = None,
    more_flags: tuple[str, ...] = (),
) -> None:
    """Runs an experiment from the command line.

    Args:
      get_config: () or (variant) -> config.
      train: (config, workdir, change_config) -> None.
      variants: names that `--variant` takes, the first being the default.
      report: (config, workdir) -> None, called when the run is finished, also if it was before.
      more_flags: names of flags of the experiment alone.
    """

    def begin() -> None:
        names = ("change_config", "distributed", *more_flags)
        if variants:
            variant, names = command_line.read_variant(variants), ("variant", *names)
        config = get_config(variant) if variants else get_config()
        flags.DEFINE_bool("change_config", False, "Go on with an old run under another config.")
        flags.DEFINE_bool(
            "distributed",
            False,
            "One of several processes that train together. Where a TPU pod, Slurm or Open MPI does "
            "not tell them, set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID.",
        )

        def run(config, workdir) -> None:
            if variants and config.variant != variant:
                raise UserError(f"config.variant: got {config.variant!r}, expected --variant=NAME")
            check_config(config)
            # Now, and not when minutes have gone into data and networks.
            check_workdir(workdir, config.to_dict(), change_config=flags.FLAGS.change_config)
            if flags.FLAGS.distributed:
                processes.join()
            cpu.keep_memory()
            train(config, workdir, flags.FLAGS.change_config)
            if report and jax.process_count() == 1:
                report(config, workdir)
            elif report and jax.process_index() == 0:
                print("The same command without --distributed ends with a report.")

        command_line.run_with_config(config, run, names)

    command_line.reporting_errors(begin)


def load(config: Mapping[str, Any], split: str, load: Callable | None = None):
    """The data that a config names, by its `on_bad_image`; tells which images are left out.

    Args:
      config: of an experiment or of an old run, which may know no `on_bad_image`.
      split: as for `data.load`.
      load: another function of the kind of `data.load`.

    Returns:
      What `load` gives: a source, or a tuple of them, or None.
    """
    dataset, policy = config["dataset"], config.get("on_bad_image", "stop")
    found = (load or data.load)(dataset, split, config["data_dir"], policy)
    for source in found if isinstance(found, tuple) else (found,):
        bad = bad_images(source)
        if bad and jax.process_index() == 0:
            more = f"; and {len(bad) - MOST_TOLD} more" if len(bad) > MOST_TOLD else ""
            print(
                f"warning: {len(bad)} of {len(bad) + len(source)} images of {dataset}, {split}, "
                f"are left out: {'; '.join(bad[:MOST_TOLD])}{more}",
                file=sys.stderr,
            )
    return found


def bad_images(*sources) -> tuple[str, ...]:
    """A line for each image that `load` left out of these sources."""
    return tuple(line for source in sources for line in getattr(source, "bad_images", ()))


def fit_images(
    config: config_dict.ConfigDict,
    state: TrainState,
    step: Callable,
    batches,
    workdir: Path,
    mesh,
    *,
    arrays,
    description: dict[str, Any],
    use: dict[str, str],
    layout: str = "",
    sources: tuple = (),
    **records,
) -> TrainState:
    """Runs the loop by the config's schedule, on all devices.

    Args:
      config: of the experiment.
      state: at step 0.
      step: (state, arrays, batch) -> (state, metrics), pure.
      batches: as for `fit`.
      workdir: the run's folder.
      mesh: of all devices.
      arrays: data that lives on the devices, any pytree.
      description: what checkpoints carry besides the config.
      use: what for -> a command, or Python; the first is printed at the end.
      layout: what the rows and the columns of the samples are, for the page.
      sources: the data, for the page to say how many images were left out.
      **records: the other arguments of `fit`.

    Returns:
      The state at the end.
    """
    processes.meet()
    arrays = sharding.replicate(arrays, mesh)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def train_steps(state, arrays, batches):
        one = guarded(config, lambda state, batch: step(state, arrays, batch))
        return jax.lax.scan(one, state, batches)

    state = fit(
        sharding.replicate(state, mesh),
        lambda state, batches: train_steps(state, arrays, batches),
        batches,
        workdir=workdir,
        to_device=lambda batches: sharding.shard_batch(batches, mesh, stacked=True),
        **{name: config[name] for name in SCHEDULE},
        description={**description, "config": config.to_dict()},
        config=config.to_dict(),
        summary={
            "title": f"{os.path.splitext(os.path.basename(sys.argv[0]))[0]} on {config.dataset}",
            "generator_parameters": _count(state.generator.params),
            "discriminator_parameters": _count(state.discriminator.params),
            "devices": f"{jax.device_count()} × {jax.devices()[0].device_kind}",
            "jax_version": jax.__version__,
            **origin(),
            "use": use,
            "layout": layout,
            **({"bad_images": len(bad_images(*sources))} if bad_images(*sources) else {}),
        },
        rollback=config.on_nonfinite == "rollback",
        **records,
    )
    if jax.process_index() == 0:
        purpose, command = next(iter(use.items()))
        print(f"\n{workdir}/index.html shows the run. {purpose}:\n  {command}")
    return state


def guarded(config: config_dict.ConfigDict, step: Callable) -> Callable:
    """A step (state, batch) -> (state, metrics) that does with NaN what the config says."""
    return skip_nonfinite(step) if config.on_nonfinite == "skip" else step


def origin() -> dict[str, Any]:
    """What a summary says of where a run came from: the command, the code and the machine."""
    return {"command": command_line.as_started(), **provenance()}


def splits_of(config: Mapping[str, Any]) -> tuple[str, str]:
    """The splits that a run, be it an old one, was trained on and is evaluated on."""
    held_out = config.get("evaluate_on", "test")
    return data.TRAIN_ON[held_out], held_out


def load_splits(config: config_dict.ConfigDict, load_split: Callable | None = None) -> tuple:
    """What a run is trained on and what it is evaluated on, as the config says.

    Args:
      config: of the experiment.
      load_split: another function of the kind of `data.load`.

    Returns:
      What `load` gives for either split; the second may be None.
    """
    known = config.evaluate_on in data.TRAIN_ON
    expect_field(config, "evaluate_on", known, " or ".join(data.TRAIN_ON))
    return tuple(load(config, split, load_split) for split in splits_of(config))


def falling(rate: float, num_steps: int) -> optax.Schedule:
    """A learning rate that falls to zero, in a straight line, through the second half of a run."""
    half = num_steps // 2
    return optax.linear_schedule(rate, 0.0, num_steps - half, half)


def falling_adams(
    config: config_dict.ConfigDict, num_steps: int
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Adam for the generator and for the discriminator, by rates that are `falling`."""
    rates = (config.generator_learning_rate, config.discriminator_learning_rate)
    return tuple(optax.adam(falling(rate, num_steps), b1=0.5) for rate in rates)


def fits_on_device(
    config: config_dict.ConfigDict, num_images: int, image_size: int | None = None
) -> bool:
    """Whether so many images, of the config's size or another, are to live on the device."""
    size = image_size or config.image_size
    return num_images * size**2 * config.channels <= config.device_data_mb * 2**20


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses values that no run can have, naming the field."""
    check_numbers(config)
    expect = functools.partial(expect_field, config)
    for name in ("image_size", "batch_size", *SCHEDULE):
        expect(name, config[name] >= 1, "1 or more")
    expect("device_data_mb", config.device_data_mb >= 0, "0 or more")
    for name in ("generator_learning_rate", "discriminator_learning_rate"):
        expect(name, config[name] > 0 and math.isfinite(config[name]), "a positive number")
    expect("seed", 0 <= config.seed < 2**31, "a number from 0 to 2^31 - 1")
    expect("channels", config.channels in (1, 3), "1 (grey) or 3 (RGB)")
    expect("dtype", config.dtype in DTYPES, f"one of {', '.join(DTYPES)}")
    expect("on_bad_image", config.on_bad_image in ("stop", "skip"), "stop or skip")
    expect_policy(config)


def check_numbers(config: config_dict.ConfigDict) -> None:
    """Refuses numbers that the device's int32 and float32 cannot hold, NaN among them."""
    for name, value in config.items():
        if isinstance(value, int):
            expect_field(config, name, abs(value) < 2**31, "a whole number below 2^31")
        if isinstance(value, float):
            right = abs(value) <= float(jnp.finfo(jnp.float32).max)
            expect_field(config, name, right, "a finite number, of at most 3.4e38")


def expect_policy(config: config_dict.ConfigDict) -> None:
    """Refuses another `on_nonfinite` than there is."""
    known = ("stop", "skip", "rollback")
    expect_field(config, "on_nonfinite", config.on_nonfinite in known, "stop, skip or rollback")


def expect_field(config: config_dict.ConfigDict, name: str, right: bool, expected: str) -> None:
    """Refuses a field that is not right."""
    if not right:
        raise UserError(f"{name}: got {config[name]!r}, expected {expected}")


def image_shape(config: config_dict.ConfigDict) -> tuple[int, int, int]:
    """(H, W, C) of the images."""
    return config.image_size, config.image_size, config.channels


def _count(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def number_of_classes(config: config_dict.ConfigDict, source) -> int:
    """How many classes the data has, which it must."""
    if not source.num_classes:
        hint = ", or --config.conditional=False" if "conditional" in config else ""
        raise UserError(
            f"dataset: {config.dataset} has no classes, expected labelled images, such as mnist, a "
            f"folder with a sub-folder a class or a labelled set of TensorFlow Datasets{hint}"
        )
    return source.num_classes
