"""Runs of mlp_gan within the process of the tests, of a few steps on images of noise."""

import functools

import mlp_gan
from small_run import make_images

from jaxgan.training import adversarial, generation

TINY = {
    "image_size": 8,
    "latent_dim": 4,
    "batch_size": 8,
    "num_steps": 12,
    "log_every": 2,
    "sample_every": 6,
    "eval_every": 6,
    "checkpoint_every": 4,
    "steps_per_call": 2,
    "seed": 5,
}


def make_splits(folder):
    """Images for training and for evaluation."""
    for split in ("train", "test"):
        (folder / split).mkdir()
        make_images(folder / split)
    return folder


def config_of(images, **changes):
    """That of a run."""
    config = mlp_gan.get_config("plain")
    config.update(dataset=f"folder:{images}", **{**TINY, **changes})
    return config


def train(config, workdir):
    """Trains as the experiment does; the run's folder."""
    make_game = functools.partial(adversarial.make_game, mlp_gan.make_players)
    generation.train(make_game, config, workdir, False)
    return workdir
