"""WGAN-GP (Gulrajani et al. 2017): the DCGAN's networks, the critic without batch norm.

    python experiments/wgan_gp.py --workdir runs/wgan_gp
    python experiments/wgan_gp.py --workdir runs/emoji --variant=emoji

Five updates of the critic for each of the generator, as in the paper.

Differs from the authors' code for MNIST: there the networks are twice as wide, the generator has no
batch norm either and ends in a sigmoid, latents have 128 entries, and Adam has b1 = 0.5; here it
has 0, as in the paper's algorithm 1.
"""

import functools

import dcgan

from jaxgan.training import adversarial, generation
from jaxgan.training.config import EMOJI_VARIANTS


def get_config(variant="digits"):
    config = dcgan.get_config(variant)
    config.loss = "wasserstein"
    config.penalty = "gradient_penalty"
    config.generator_learning_rate = 1e-4
    config.discriminator_learning_rate = 1e-4
    config.disc_steps = 5
    if variant == "emoji":  # as many steps as fit into twenty minutes
        config.update({"disc_steps": 3, "batch_size": 32, "num_steps": 4_000})
        config.generator_learning_rate = config.discriminator_learning_rate = 3e-4
    return config


make_players = functools.partial(dcgan.make_players, b1=0.0, b2=0.9)


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game, variants=EMOJI_VARIANTS)
