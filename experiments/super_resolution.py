r"""Super-resolution (Real-ESRGAN, Wang et al. 2021): four times larger, with and without a critic.

    pip install 'jaxgan[features]'
    python experiments/super_resolution.py --workdir runs/large
    python experiments/super_resolution.py --workdir runs/plain --config.adversarial_weight=0
    python experiments/translate.py --workdir runs/large --input FOLDER --output FOLDER

By default emoji of 64 pixels from 16, which were blurred, made small, noisy and compressed, see
`data.degradation`. The loss is an L1 error, a distance in Lite0's feature maps, and the term of a
U-Net that judges every pixel (`adversarial_critic`); the distance by which it is judged is in the
features of another network, Lite1.

Differs from the authors' code: features are Lite0's in place of VGG's; the critic's term is weighed
by the gradients at the images; the generator is the compact one, with a quarter of the layers.
"""

import jax
import jax.numpy as jnp
import optax

from jaxgan import adversarial_critic, losses, networks
from jaxgan.data.degradation import degrade
from jaxgan.step import apply_train
from jaxgan.training import reconstruction
from jaxgan.training.config import DTYPES, expect_field, falling

SCALE = 4


def get_config():
    config = reconstruction.default_config()
    config.width = 48  # channels of the generator
    config.depth = 8  # convolutions in between
    config.disc_width = 16  # channels of the critic's first layer
    config.generator_learning_rate = 5e-4
    config.num_steps = 4_000
    return config


def make_task(config):
    for name in ("width", "depth", "disc_width"):
        expect_field(config, name, config[name] >= 1, "1 or more")
    whole = config.image_size % (8 * SCALE) == 0
    expect_field(config, "image_size", whole, f"a multiple of {8 * SCALE}")
    dtype = DTYPES[config.dtype]
    network = networks.SRVGGNet(config.channels, config.width, config.depth, SCALE, dtype)
    critic = adversarial_critic(
        networks.UNetDiscriminator(config.disc_width, dtype),
        optax.adam(config.discriminator_learning_rate, b1=0.5),
        loss=losses.non_saturating,
        start=config.adversarial_start,
    )
    tx = optax.adam(falling(config.generator_learning_rate, config.num_steps), b2=0.99)

    def apply(variables, real, key):
        small = 2 * degrade((1 + real) / 2, key, scale=SCALE) - 1
        made, model_state = apply_train(network, variables, small, key=key)
        return made, jnp.zeros(()), model_state, {}

    def degrade_always_alike(images):
        return degrade(images, jax.random.key(0), scale=SCALE)

    rows = "Rows: small images, what is made of them, what they were."
    return reconstruction.Task(network, apply, degrade_always_alike, rows), critic, tx


if __name__ == "__main__":
    reconstruction.main(get_config, make_task)
