"""A run of `gaussians.py`: trials trained at once, measured against what is known."""

from collections.abc import Callable

import grain
import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_dict

from jaxgan import cpu, networks
from jaxgan.errors import UserError
from jaxgan.files import write_json
from jaxgan.runs.recorder import Recorder
from jaxgan.runs.spread import over_seeds
from jaxgan.toys import gaussian_metrics
from jaxgan.toys.gaussian_trials import check_config, make_trials
from jaxgan.training import command_line, seeds
from jaxgan.training.experiment import origin
from jaxgan.training.loop import Checkpoints, Hook, fit, parameter_tables
from jaxgan.training.sweep import check_effect, with_fields
from jaxgan.training.workdir import check_workdir, open_workdir

SHOWN = 4
"""Of so many of several seeds the pictures are shown."""


def main(get_config: Callable, variants: tuple[str, ...]) -> None:
    """Runs the experiment from the command line."""
    with command_line.reporting_errors():
        variant = command_line.read_variant(variants)
        flags.DEFINE_bool("change_config", False, "Go on with an old run under another config.")
        names = ("variant", "change_config")
        config, workdir = command_line.read_config(get_config(variant), names)
        if config.variant != variant:
            raise UserError(f"config.variant: got {config.variant!r}, expected --variant=NAME")
        train(config, workdir, flags.FLAGS.change_config)


def train(config: config_dict.ConfigDict, workdir: str, change_config: bool) -> None:
    """Trains the trials as the config says; gaussians.json in the folder has what came of them."""
    check_config(config)
    singles = seeds.single_configs(config)
    for single in singles:
        check_config(single)
    check_workdir(workdir, config.to_dict(), change_config=change_config)
    count = seeds.count(config)
    several = count > 1
    if several:
        seeds.prepare_devices(count)
    cpu.keep_memory()
    check_effect(config, _one_step)
    all_trials = [make_trials(single) for single in singles]
    show = gaussian_metrics.Line if config.variant == "line" else gaussian_metrics.Plane
    all_shown = [show(*pair) for pair in zip(singles, all_trials, strict=True)]
    trials, shown = all_trials[0], all_shown[0]
    state, train_steps = trials.state, trials.train_steps
    if several:
        state, train_steps = _join(config, all_trials)
    folder = open_workdir(workdir, config.to_dict(), change_config=change_config)

    def measure_all(state):
        """For each seed a dictionary a trial."""
        states = [seeds.pick(state, n) for n in range(count)] if several else [state]
        return [own.measure(one) for own, one in zip(all_shown, states, strict=True)]

    def measure(state):
        flat = [gaussian_metrics.flatten(values) for values in measure_all(state)]
        if not several:
            return flat[0]
        # What is not known of a seed has no mean over them.
        names = [name for name in flat[0] if all(name in values for values in flat)]
        return over_seeds({name: [values[name] for values in flat] for name in names})

    def sample(state):
        if not several:
            return shown.sample(state)
        chosen = seeds.shown(config)[:SHOWN]
        pictures = [all_shown[n].sample(seeds.pick(state, n))["samples"] for n in chosen]
        return {"samples": np.concatenate(pictures)}

    summary = {"title": f"gaussians, {config.variant}", **origin()}
    description = {
        "generator": networks.describe(trials.generator),
        "discriminator": networks.describe(trials.discriminator),
        "config": config.to_dict(),
    }
    together = {"trainings": seeds.names(config)} if several else {}
    # The points are drawn on the device: a step needs but its number.
    numbers = iter(grain.MapDataset.range(2**31 - 1).to_iter_dataset())
    real = shown.real()
    if several:
        which = seeds.what_differs(config)
        summary |= {"layout": f"A picture a {which}; {SHOWN} at most.", **together}
    state = fit(
        state,
        train_steps,
        numbers,
        num_steps=config.num_steps,
        checkpoints=Checkpoints(
            folder,
            config.checkpoint_every,
            config.keep_checkpoints,
            {**description, **together},
        ),
        hooks=[
            Hook(config.sample_every, sample, at_start=True),
            Hook(config.eval_every, measure, waits=True),
        ],
        recorder=Recorder(folder, config.to_dict(), summary, real, seeds.labels(config)),
        log_every=config.log_every,
        steps_per_call=config.steps_per_call,
        images_per_step=count * config.trials * config.disc_steps * config.batch_size,
        rollback=config.on_nonfinite == "rollback",
    )
    values = measure_all(state)
    if several:
        for index, (single, name) in enumerate(zip(singles, seeds.names(config), strict=True)):
            own = seeds.pick(state, index)
            pictures = {"samples": all_shown[index].sample(own)["samples"]}
            position = numbers.get_state()
            told = parameter_tables(own)
            seeds.write_run(
                folder, name, single, index, own, position, description, told, pictures=pictures,
                real=all_shown[index].real(), use={},
            )  # fmt: skip
            _write(folder / name, single, values[index])
        seeds.write_sweep(folder, config)
    for index, label in enumerate(seeds.labels(config)):
        of_value = values[index * config.seeds : (index + 1) * config.seeds]
        summary = gaussian_metrics.summarize([trial for of_seed in of_value for trial in of_seed])
        print(f"{label}\n{gaussian_metrics.format_summary(summary)}")
    if config.sweep:
        print(f"{folder}/index.html shows the run")
        return
    summary, file = _write(folder, config, [trial for of_seed in values for trial in of_seed])
    print(gaussian_metrics.format_summary(summary))
    print(f"{file} has them; {folder}/index.html shows the run")


def _one_step(config):
    trials = make_trials(config)
    return trials.steps(trials.state, jnp.arange(1), trials.data_keys)


def _join(config, all_trials):
    """State and compiled steps of the trials of all seeds, for each value that is swept."""
    mesh = seeds.make_mesh(len(all_trials))

    def steps(state, numbers, own):
        data_keys, swept = own
        trials = make_trials(with_fields(config, **swept)) if swept else all_trials[0]
        return trials.steps(state, numbers, data_keys)

    joined = seeds.join_steps(steps, mesh)
    compiled = jax.jit(joined, donate_argnums=0, compiler_options=cpu.compiler_options())
    data_keys = jnp.stack([trials.data_keys for trials in all_trials])
    own = data_keys, seeds.swept_arrays(config)

    def train_steps(state, numbers):
        return compiled(seeds.place(state, mesh), numbers, own)

    return seeds.join_states([trials.state for trials in all_trials]), train_steps


def _write(folder, config, values):
    """Writes what was measured of trials; the summary of it and the file."""
    summary = gaussian_metrics.summarize(values)
    record = {"step": config.num_steps, "num_samples": config.num_samples}
    record |= {**summary, "trials": [gaussian_metrics.without_nan(trial) for trial in values]}
    return summary, write_json(folder / "gaussians.json", record)
