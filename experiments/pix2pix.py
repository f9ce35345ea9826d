r"""pix2pix (Isola et al. 2017): from one image to another, learnt from pairs.

    python experiments/pix2pix.py --workdir runs/pix2pix
    python experiments/pix2pix.py --workdir runs/maps --config.dataset=folder:PATH_A,PATH_B \
        --config.image_size=256 --config.load_size=286 --config.flip=True --config.width=64 \
        --config.batch_size=1 --config.num_steps=100000

By default from Google's emoji to Twitter's, with a narrower network than the paper's. The run ends
with how near held-out emoji come, beside the same generator trained by the L1 error alone.
"""

from jaxgan import methods, networks
from jaxgan.training import translation
from jaxgan.training.config import DTYPES, expect_field, falling_adams


def get_config():
    config = translation.default_config()
    config.dataset = "emoji"  # or digits, or folder:PATH_A,PATH_B with files of the same names
    config.image_size = 64
    config.width = 32  # channels of the first layer of both networks; the paper's are 64
    config.l1_weight = 100.0
    config.num_steps = 4_000
    return config


def make_game(config, key):
    expect_field(config, "width", config.width >= 1, "1 or more")
    expect_field(config, "l1_weight", config.l1_weight >= 0, "0 or more")
    modules = networks.pix2pix(
        config.image_size, config.channels, width=config.width, dtype=DTYPES[config.dtype]
    )
    method = methods.pix2pix(*modules, channels=config.channels, l1_weight=config.l1_weight)
    txs = falling_adams(config, config.num_steps)
    return translation.game_of(config, key, modules, method, *txs)


if __name__ == "__main__":
    translation.main(get_config, make_game, paired=True)
