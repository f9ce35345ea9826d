"""WGAN-GP (Gulrajani et al. 2017): the DCGAN's networks, the critic without batch norm.

    python experiments/wgan_gp.py --workdir runs/wgan_gp

Five updates of the critic for each of the generator, as in the paper.
"""

import common
import dcgan
import optax

from jaxgan import networks


def get_config():
    config = dcgan.get_config()
    config.loss = "wasserstein"
    config.penalty = "gradient_penalty"
    config.generator_learning_rate = 1e-4
    config.discriminator_learning_rate = 1e-4
    config.disc_steps = 5
    return config


def make_players(config):
    generator, critic = networks.dcgan(
        config.image_size,
        config.channels,
        upsampling=config.upsampling,
        disc_batch_norm=False,
        dtype=common.DTYPES[config.dtype],
    )
    gen_tx = optax.adam(config.generator_learning_rate, b1=0.0, b2=0.9)
    critic_tx = optax.adam(config.discriminator_learning_rate, b1=0.0, b2=0.9)
    return generator, critic, gen_tx, critic_tx


if __name__ == "__main__":
    common.main(get_config, make_players)
