"""Toys with a known answer: Gaussians on a line, on a ring and on a grid.

python experiments/gaussians.py --workdir runs/gaussians --variant=ring
"""

from ml_collections import config_dict

from jaxgan.toys.gaussian_run import main

VARIANTS = ("line", "ring", "grid")


def get_config(variant):
    config = config_dict.ConfigDict()
    config.variant = variant
    config.seed = 0
    config.seeds = 1  # so many at once, from seed on, each with all of its trials
    config.sweep = ""  # or for each value of a field, as penalty_weight=0.01,0.1
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
    # At the start; they fall to 0 along a cosine.
    config.generator_learning_rate = config.discriminator_learning_rate = 3e-3
    config.disc_steps = 1
    config.ema_decay = 0.99  # of the generator's averaged parameters; 0 keeps none
    config.log_every = 100
    config.sample_every = 1_000
    config.eval_every = 1_000
    config.checkpoint_every = 2_000
    config.keep_checkpoints = 3
    config.on_nonfinite = "stop"  # or skip, rollback; a step is of all trials
    if variant == "line":
        # One latent, and no average: so the generator's density is known.
        config.update(latent_dim=1, latent="normal", ema_decay=0.0)
        # A penalty changes what the best discriminator is: at the end there is next to none. And it
        # is to be near its best against a generator that moves on.
        config.update(final_penalty_weight=1e-5, generator_learning_rate=3e-4, disc_steps=10)
        config.update(layers=3, width=32, batch_size=512, num_steps=3_000)
    return config


if __name__ == "__main__":
    main(get_config, VARIANTS)
