"""Toys with a known answer: Gaussians on a line, on a ring and on a grid.

python experiments/gaussians.py --workdir runs/gaussians --variant=ring
"""

from absl import flags
from ml_collections import config_dict

from jaxgan import UserError, cpu
from jaxgan.toys.gaussian_run import train
from jaxgan.training import command_line

VARIANTS = ("line", "ring", "grid")


def get_config(variant):
    config = config_dict.ConfigDict()
    config.variant = variant
    config.seed = 0
    config.trials = 10  # trained at once, alike but for their random numbers
    config.num_samples = 2_500  # of each trial, to measure
    config.batch_size = 128  # points
    config.packing = 1  # points that the discriminator judges at once
    config.num_steps = 64_000 if variant == "grid" else 32_000
    config.steps_per_call = 100
    config.latent_dim = 2
    config.latent = "uniform"  # in [-1, 1], or normal
    config.width = 64  # of the hidden layers of both networks
    config.layers = 4
    config.loss = "non_saturating"  # or another of jaxgan.losses
    config.penalty = "r1"  # or r2, gradient_penalty, dragan, a sum as r1+r2, or empty
    config.penalty_weight = 0.1  # at the start
    # At the end, reached by equal factors.
    config.final_penalty_weight = 3e-5 if variant == "grid" else 1e-4
    config.generator_learning_rate = 3e-3  # at the start; falls to 0 along a cosine
    config.discriminator_learning_rate = 3e-3
    config.disc_steps = 1
    config.ema_decay = 0.99  # of the generator's averaged parameters; 0 keeps none
    config.log_every = 100
    config.sample_every = 1_000
    config.eval_every = 1_000
    config.checkpoint_every = 2_000
    config.keep_checkpoints = 3
    config.on_nonfinite = "stop"  # or skip, rollback, as in common.py; a step is of all trials
    if variant == "line":
        config.latent_dim = 1  # so that the generator's density is known
        config.latent = "normal"
        config.ema_decay = 0.0
        # A penalty changes what the best discriminator is: at the end there is next to none.
        config.final_penalty_weight = 1e-5
        # The discriminator is to be near its best against a generator that moves on.
        config.generator_learning_rate = 3e-4
        config.disc_steps = 10
        config.layers = 3
        config.width = 32
        config.batch_size = 512
        config.num_steps = 3_000
    return config


def main():
    variant = command_line.read_variant(VARIANTS)
    flags.DEFINE_bool("change_config", False, "Go on with an old run under another config.")

    def with_variant(config, workdir):
        if config.variant != variant:
            raise UserError(f"config.variant: got {config.variant!r}, expected --variant=NAME")
        cpu.keep_memory()
        train(config, workdir, flags.FLAGS.change_config)

    names = ("variant", "change_config")
    command_line.run_with_config(get_config(variant), with_variant, names)


if __name__ == "__main__":
    command_line.reporting_errors(main)
