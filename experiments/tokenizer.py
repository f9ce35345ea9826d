r"""An image tokenizer (VQGAN, Esser et al. 2021): 8 x 8 tokens, with and without a critic.

    pip install 'jaxgan[features]'
    python experiments/tokenizer.py --workdir runs/tokens
    python experiments/tokenizer.py --workdir runs/plain --config.adversarial_weight=0
    python experiments/translate.py --workdir runs/tokens --input FOLDER --output FOLDER

By default emoji of 64 pixels, with 256 tokens. The loss is an L1 error, a distance in Lite0's
feature maps, what makes codebook and encoder agree, and the term of a critic of patches
(`adversarial_critic`); the distance by which it is judged is in the features of another network,
Lite1.

Differs from the authors' code: features are Lite0's in place of VGG's; the critic's term is weighed
by the gradients at the images, and the critic has instance norm; networks are narrower; codes are
compared by direction (Yu et al. 2022): as published, 12 of 256 were in use after 400 steps.
"""

import jax
import jax.numpy as jnp
import optax

from jaxgan import adversarial_critic, losses, networks
from jaxgan.training import reconstruction
from jaxgan.training.config import DTYPES, expect_field, falling


def get_config():
    config = reconstruction.default_config()
    config.width = 24  # of the autoencoder at the full side; 2, 2 and 4 times as many below
    config.codes = 256
    config.code_dim = 16
    config.disc_width = 32
    config.adversarial_weight = 0.4
    config.adversarial_start = 800
    config.generator_learning_rate = 1e-3
    config.num_steps = 3_200
    return config


def make_task(config):
    for name in ("width", "codes", "code_dim", "disc_width"):
        expect_field(config, name, config[name] >= 1, "1 or more")
    expect_field(config, "image_size", config.image_size % 8 == 0, "a multiple of 8")
    dtype, width = DTYPES[config.dtype], config.width
    network = networks.VQAutoencoder(
        config.channels,
        widths=(width, 2 * width, 2 * width, 4 * width),
        dim=config.code_dim,
        codes=config.codes,
        directions=True,
        dtype=dtype,
    )
    critic = adversarial_critic(
        networks.PatchDiscriminator(tuple(config.disc_width * n for n in (1, 2, 4)), dtype),
        optax.adam(config.discriminator_learning_rate, b1=0.5),
        loss=losses.hinge,
        start=config.adversarial_start,
    )
    tx = optax.adam(falling(config.generator_learning_rate, config.num_steps), b1=0.5, b2=0.9)

    def apply(variables, real, key):
        made, quantized = network.apply(variables, real, method="reconstruct")
        return made, quantized.loss, {}, {"quantization": quantized.loss}

    @jax.jit
    def tokens_of(variables, images):
        return network.apply(variables, images, method="encode").tokens

    def measure(variables, images):
        """How many of the codes stand somewhere in the images."""
        return {"codes_used": len(jnp.unique(tokens_of(variables, images)))}

    rows = "Rows: images, what is made of their tokens, the images again."
    task = reconstruction.Task(network, apply, lambda images: images, rows, measure)
    return task, critic, tx


if __name__ == "__main__":
    reconstruction.main(get_config, make_task)
