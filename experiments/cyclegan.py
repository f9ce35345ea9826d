r"""CycleGAN (Zhu et al. 2017): from one domain of images to another and back, without pairs.

    python experiments/cyclegan.py --workdir runs/cyclegan
    python experiments/cyclegan.py --workdir runs/emoji --variant=emoji
    python experiments/cyclegan.py --workdir runs/zebras --config.dataset=cycle_gan/horse2zebra \
        --config.image_size=256 --config.load_size=286 --config.flip=True --config.width=64 \
        --config.blocks=9 --config.batch_size=1

By default from white digits to coloured ones, where the right answer is known, with narrower
networks than the paper's. The run ends with a table of how near it came.
"""

from jaxgan import methods, networks
from jaxgan.training import translation
from jaxgan.training.config import DTYPES, EMOJI, EMOJI_VARIANTS, expect_field, falling_adams


def get_config(variant="digits"):
    config = translation.default_config()
    config.variant = variant
    config.width = 24  # channels of the first layer of both networks; the paper's are 64
    config.blocks = 4  # residual blocks of the generators; the paper's are 9
    config.cycle_weight = 10.0
    config.identity_weight = 0.5  # of that; the paper's 0.5 where colours are to be kept, else 0
    config.pool_size = 50  # past images that either discriminator is shown
    config.num_steps = 4_000
    if variant == "emoji":  # from Google's drawings to Twitter's
        config.update({**EMOJI, "num_steps": 2_800})
    return config


def make_game(config, key):
    for name, right, expected in (
        ("width", config.width >= 1, "1 or more"),
        ("blocks", config.blocks >= 0, "0 or more"),
        ("pool_size", config.pool_size >= 1, "1 or more"),
    ):
        expect_field(config, name, right, expected)
    modules = networks.cyclegan(
        config.image_size,
        config.channels,
        width=config.width,
        blocks=config.blocks,
        dtype=DTYPES[config.dtype],
    )
    method = methods.cyclegan(
        *translation.make_both(*modules),
        cycle_weight=config.cycle_weight,
        identity_weight=config.identity_weight,
        pool_size=config.pool_size,
    )
    txs = falling_adams(config, config.num_steps)
    return translation.game_of(config, key, modules, method, *txs)


if __name__ == "__main__":
    translation.main(get_config, make_game, variants=EMOJI_VARIANTS)
