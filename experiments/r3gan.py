r"""R3GAN (Huang et al. 2024): no normalisation, grouped convolutions, relativistic loss, R1 and R2.

    python experiments/r3gan.py --workdir runs/r3gan
    python experiments/r3gan.py --workdir runs/cifar --config.dataset=cifar10 \
        --config.image_size=32 --config.channels=3 --config.width=768 --config.blocks=2

With classes: `--config.conditional=True`. The paper has a batch of 512 and lets learning rates,
penalty and b2 follow schedules; here they are constant.

Differs from the authors' code: there the generator's update has real images and latents of its own,
here those of the discriminator's; and there images are augmented, here with `--config.augment`.
"""

import functools

import optax

from jaxgan import networks
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES


def get_config():
    config = adversarial.default_config()
    config.loss = "relativistic"
    config.penalty = "r1+r2"
    config.penalty_weight = 0.5  # half of the paper's gamma
    config.conditional = False  # on the classes of the data
    config.width = 64  # channels of the smallest feature map
    config.blocks = 1  # residual blocks for each side
    config.latent_dim = 64
    config.batch_size = 64
    # The paper begins with 2e-4, which so small networks learn from too slowly.
    config.generator_learning_rate = config.discriminator_learning_rate = 1e-3
    config.num_steps = 1_500
    return config


def make_players(config, num_classes):
    generator, discriminator = networks.r3gan(
        config.image_size,
        config.channels,
        width=config.width,
        blocks=config.blocks,
        num_classes=num_classes,
        dtype=DTYPES[config.dtype],
    )
    gen_tx = optax.adam(config.generator_learning_rate, b1=0.0, b2=0.99)
    disc_tx = optax.adam(config.discriminator_learning_rate, b1=0.0, b2=0.99)
    return generator, discriminator, gen_tx, disc_tx


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game)
