"""WGAN-GP (Gulrajani et al. 2017): the DCGAN's networks, the critic without batch norm.

    python experiments/wgan_gp.py --workdir runs/wgan_gp

Five updates of the critic for each of the generator, as in the paper.
"""

import functools

import dcgan
from parts import adversarial


def get_config():
    config = dcgan.get_config()
    config.loss = "wasserstein"
    config.penalty = "gradient_penalty"
    config.generator_learning_rate = 1e-4
    config.discriminator_learning_rate = 1e-4
    config.disc_steps = 5
    return config


make_players = functools.partial(dcgan.make_players, b1=0.0, b2=0.9)


if __name__ == "__main__":
    adversarial.main(get_config, make_players)
