"""The GAN of dense layers (Goodfellow et al. 2014), in three variants of tutorials.

    python experiments/mlp_gan.py --workdir runs/mlp
    python experiments/mlp_gan.py --workdir runs/mlp_dropout --variant=dropout
    python experiments/mlp_gan.py --workdir runs/mlp_batch_norm --variant=batch_norm

Differs from the authors' code: it has a generator of 1200-1200 with ReLU and sigmoid, a maxout
discriminator of 240-240 with dropout, and stochastic gradient descent with momentum. The variants
here are those of tutorials, see `networks.mlp`.

Seen on MNIST: `plain`, after 100 epochs, digits of which most are read, some of them broken or
speckled; D(x) 0.74, D(G(z)) 0.27. `dropout`, after 50 epochs, digits of which most are read, some
of them smeared; D(x) 0.55, D(G(z)) 0.45. `batch_norm`, after 32 epochs, clean digits, nearly all
of them read at a glance; D(x) 0.72, D(G(z)) 0.28.
"""

import functools

import optax

from jaxgan import networks
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES

VARIANTS = ("plain", "dropout", "batch_norm")


def get_config(variant):
    config = adversarial.default_config()
    config.variant = variant
    config.num_steps = 60_000  # 100 epochs of MNIST, or 32 of batch_norm's small batches
    config.log_every = 100
    config.sample_every = 2_000
    config.eval_every = 6_000
    config.checkpoint_every = 3_000
    if variant == "plain":
        config.latent_dim = 64
    if variant == "dropout":
        config.num_steps = 30_000
    if variant == "batch_norm":
        config.batch_size = 32
        config.generator_learning_rate = config.discriminator_learning_rate = 1e-3
    return config


def make_players(config):
    generator, discriminator = networks.mlp(
        config.variant,
        (config.image_size, config.image_size, config.channels),
        dtype=DTYPES[config.dtype],
    )
    # With 0.9 the large discriminator of `dropout` wins at once and for good: after 3,700 steps
    # D(x) was 1.000 and the generator's loss 21. With 0.5 the game stays even from the start.
    b1 = 0.5 if config.variant == "dropout" else 0.9
    gen_tx = optax.adam(config.generator_learning_rate, b1=b1)
    disc_tx = optax.adam(config.discriminator_learning_rate, b1=b1)
    return generator, discriminator, gen_tx, disc_tx


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game, variants=VARIANTS)
