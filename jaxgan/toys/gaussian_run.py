"""A run of `gaussians.py`: trials trained at once, measured against what is known."""

from collections.abc import Callable

import grain
from absl import flags
from ml_collections import config_dict

from jaxgan import cpu, networks
from jaxgan.errors import UserError
from jaxgan.files import write_json
from jaxgan.runs.recorder import Recorder
from jaxgan.toys import gaussian_metrics
from jaxgan.toys.gaussian_trials import check_config, make_trials
from jaxgan.training import command_line
from jaxgan.training.experiment import origin
from jaxgan.training.loop import Checkpoints, Hook, fit
from jaxgan.training.workdir import check_workdir, open_workdir


def main(get_config: Callable, variants: tuple[str, ...]) -> None:
    """Runs the experiment from the command line."""
    with command_line.reporting_errors():
        variant = command_line.read_variant(variants)
        flags.DEFINE_bool("change_config", False, "Go on with an old run under another config.")
        names = ("variant", "change_config")
        config, workdir = command_line.read_config(get_config(variant), names)
        if config.variant != variant:
            raise UserError(f"config.variant: got {config.variant!r}, expected --variant=NAME")
        cpu.keep_memory()
        train(config, workdir, flags.FLAGS.change_config)


def train(config: config_dict.ConfigDict, workdir: str, change_config: bool) -> None:
    """Trains the trials as the config says; gaussians.json in the folder has what came of them."""
    check_config(config)
    check_workdir(workdir, config.to_dict(), change_config=change_config)
    trials = make_trials(config)
    shown = (gaussian_metrics.Line if config.variant == "line" else gaussian_metrics.Plane)(
        config, trials
    )
    folder = open_workdir(workdir, config.to_dict(), change_config=change_config)

    def measure(state):
        return gaussian_metrics.flatten(shown.measure(state))

    summary = {"title": f"gaussians, {config.variant}", **origin()}
    description = {
        "generator": networks.describe(trials.generator),
        "discriminator": networks.describe(trials.discriminator),
        "config": config.to_dict(),
    }
    state = fit(
        trials.state,
        trials.train_steps,
        # The points are drawn on the device: a step needs but its number.
        iter(grain.MapDataset.range(2**31 - 1).to_iter_dataset()),
        num_steps=config.num_steps,
        checkpoints=Checkpoints(
            folder, config.checkpoint_every, config.keep_checkpoints, description
        ),
        hooks=[
            Hook(config.sample_every, shown.sample, at_start=True),
            Hook(config.eval_every, measure, waits=True),
        ],
        recorder=Recorder(folder, config.to_dict(), summary, shown.real()),
        log_every=config.log_every,
        steps_per_call=config.steps_per_call,
        images_per_step=config.trials * config.disc_steps * config.batch_size,
        rollback=config.on_nonfinite == "rollback",
    )
    values = shown.measure(state)
    summary = gaussian_metrics.summarize(values)
    record = {"step": config.num_steps, "num_samples": config.num_samples}
    record |= {**summary, "trials": [gaussian_metrics.without_nan(trial) for trial in values]}
    file = write_json(folder / "gaussians.json", record)
    print(gaussian_metrics.format_summary(summary))
    print(f"{file} has them; {folder}/index.html shows the run")
