r"""Projected GAN (Sauer et al. 2021): the discriminator sees images by features of ImageNet.

    pip install 'jaxgan[features]'
    python experiments/projected_gan.py --workdir runs/emoji
    python experiments/evaluate.py --workdir runs/emoji --features lite1
    python experiments/latent.py --workdir runs/emoji --what neighbours --features lite1 --out n.png

By default on emoji of 64 pixels. The discriminator sees images by the feature maps of
EfficientNet-Lite0, which are never trained, and by their pixels, without which colours come last;
the judge is another network, Lite1. The generator is FastGAN's lighter one. With
`--variant=plain` the same generator plays against a discriminator of pixels alone, the residual one
under spectral norm, at a like cost.

Differs from the authors' code: there pixels have no discriminator (`--config.pixel_width=0`) and
colours are augmented, too; images are resized to 224 pixels for the features, here to
`feature_size`; the networks have 4 to 8 times the width; a batch has 64 images, and an update of
the generator draws latents of its own.
"""

import functools

import jax
import optax

from jaxgan import networks
from jaxgan.metrics.efficientnet import load_lite
from jaxgan.training import adversarial, generation
from jaxgan.training.config import DTYPES, expect_field

VARIANTS = ("projected", "plain")


def get_config(variant):
    config = adversarial.default_config()
    config.variant = variant
    config.dataset = "emoji"
    config.image_size = 64
    config.channels = 3
    config.loss = "hinge"
    config.augment = "translation,cutout"  # with colours the features see too little of them
    config.features = "lite1"
    config.metrics = "fid"
    config.latent_dim = 256
    config.width = 16  # of the generator, see networks.FastGANGenerator
    config.disc_width = 32  # channels of the discriminator's largest feature map
    if variant == "projected":
        config.feature_size = 64  # pixels a side of what the fixed network is given
        config.pixel_width = 32  # of a discriminator of the pixels besides; 0 for none
    if variant == "plain":
        config.disc_width = 24
    config.batch_size = 32
    # The paper's 2e-4 is for a hundred times as many images.
    config.generator_learning_rate = config.discriminator_learning_rate = 5e-4
    config.num_steps = 2_500
    config.eval_every = 500
    return config


def make_players(config):
    size, channels, dtype = config.image_size, config.channels, DTYPES[config.dtype]
    even = config.disc_width >= 2 and config.disc_width % 2 == 0
    expect_field(config, "disc_width", even, "an even number above 0")
    generator = networks.FastGANGenerator(size, config.width, channels, dtype=dtype)
    if config.variant == "plain":
        _, discriminator = networks.sn_resnet(size, channels, width=config.disc_width, dtype=dtype)
    else:
        features = lite0_features(config)
        expect_field(config, "pixel_width", config.pixel_width >= 0, "0 or more")
        discriminator = networks.ProjectedDiscriminator(
            features, config.disc_width, config.pixel_width, dtype=dtype
        )
    gen_tx = optax.adam(config.generator_learning_rate, b1=0.0, b2=0.99)
    disc_tx = optax.adam(config.discriminator_learning_rate, b1=0.0, b2=0.99)
    return generator, discriminator, gen_tx, disc_tx


def lite0_features(config):
    """Images in [-1, 1], (B, H, W, C) -> their feature maps by Lite0."""
    fair = not config.metrics or config.features != "lite0"
    expect_field(config, "features", fair, "another network than the discriminator sees by")
    size = config.feature_size
    expect_field(config, "feature_size", size >= 64, "64 or more")
    lite0 = load_lite("lite0")

    def features(images):
        shape = (len(images), size, size, images.shape[-1])
        return lite0.stages(jax.image.resize((images + 1) / 2, shape, "linear"))

    return features


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, make_players)
    generation.main(get_config, make_game, variants=VARIANTS)
