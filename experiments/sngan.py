r"""SNGAN with projection (Miyato et al. 2018): residual networks, spectral norm, the hinge loss.

    python experiments/sngan.py --workdir runs/sngan
    python experiments/sngan.py --workdir runs/emoji --variant=emoji
    python experiments/sngan.py --workdir runs/cifar --config.dataset=cifar10 \
        --config.image_size=32 --config.channels=3 --config.width=256 --config.batch_size=64
    python experiments/sample.py --workdir runs/sngan --label 7 --out sevens.png

Conditional batch norm in the generator and projection in the discriminator are given the classes of
labelled data; without them, `--config.conditional=False`. The paper updates the discriminator five
times for each update of the generator, for 100,000 of those.

Differs from the authors' code: generated images have the classes of the batch, there classes drawn
alike often; there the generator is updated first, with 128 images where the discriminator has 64,
and the learning rates fall to 0 in a straight line.
"""

import functools

import optax

from jaxgan import networks
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES, EMOJI, EMOJI_VARIANTS


def get_config(variant="digits"):
    config = adversarial.default_config()
    config.variant = variant
    config.loss = "hinge"
    config.conditional = True  # on the classes of the data
    config.width = 32  # channels in the generator; half of them in the discriminator
    config.latent_dim = 128
    config.disc_steps = 2
    config.num_steps = 1_500
    # The paper's 2e-4 does not come to tell the classes apart in so few steps.
    config.generator_learning_rate = config.discriminator_learning_rate = 1e-3
    if variant == "emoji":
        # So few pictures are learnt by heart without augmentation.
        config.update({**EMOJI, "batch_size": 64, "augment": "color,translation,cutout"})
        config.generator_learning_rate = config.discriminator_learning_rate = 5e-4
        config.num_steps = 4_500
    return config


def make_players(config, num_classes):
    generator, discriminator = networks.sn_resnet(
        config.image_size,
        config.channels,
        width=config.width,
        num_classes=num_classes,
        dtype=DTYPES[config.dtype],
    )
    gen_tx = optax.adam(config.generator_learning_rate, b1=0.0, b2=0.9)
    disc_tx = optax.adam(config.discriminator_learning_rate, b1=0.0, b2=0.9)
    return generator, discriminator, gen_tx, disc_tx


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game, variants=EMOJI_VARIANTS)
