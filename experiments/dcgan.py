r"""DCGAN (Radford et al. 2015) on MNIST, or on any images of 28, 32, 64 or 128 pixels.

    python experiments/dcgan.py --workdir runs/
    python experiments/dcgan.py --workdir runs/faces --config.dataset=folder:PATH
    python experiments/dcgan.py --workdir runs/emoji --variant=emoji

Seen after the default run, five epochs of MNIST (3,000 steps, 9 to 11 minutes on two cores): most
of 64 digits are read at a glance; D(x) 0.72, D(G(z)) 0.28; of 100 unseen test digits 74 are taken
for real, of 100 generated ones 9.
"""

import functools

import optax

from jaxgan import networks
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES, EMOJI, EMOJI_VARIANTS


def get_config(variant="digits"):
    config = adversarial.default_config()
    config.variant = variant
    config.upsampling = "transpose"  # or resize, against checkerboards
    if variant == "emoji":
        # So few pictures are learnt by heart without augmentation.
        config.update({**EMOJI, "batch_size": 64, "augment": "color,translation,cutout"})
        config.num_steps = 5_000
    return config


def make_players(config, b1=0.5, b2=0.999, **options):
    """The networks with further options of `networks.dcgan`, and Adam with these betas.

    Where the discriminator pays a penalty it has no batch norm, since its gradient is by one image.
    """
    generator, discriminator = networks.dcgan(
        config.image_size,
        config.channels,
        upsampling=config.upsampling,
        disc_batch_norm=not config.get("penalty"),
        dtype=DTYPES[config.dtype],
        **options,
    )
    gen_tx = optax.adam(config.generator_learning_rate, b1=b1, b2=b2)
    disc_tx = optax.adam(config.discriminator_learning_rate, b1=b1, b2=b2)
    return generator, discriminator, gen_tx, disc_tx


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game, variants=EMOJI_VARIANTS)
