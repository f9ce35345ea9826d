r"""DiscoGAN (Kim et al. 2017): relations between two domains of images, without pairs.

    python experiments/discogan.py --workdir runs/discogan
    python experiments/discogan.py --workdir runs/emoji --variant=emoji
    python experiments/discogan.py --workdir runs/shoes --config.dataset=folder:BAGS,SHOES \
        --config.image_size=64 --config.batch_size=200

Beside `cyclegan.py`: generators through a narrow middle, no pool and no identity loss, features
matched, and a reconstruction that counts little until images look real. By default from white
digits to coloured ones, where the right answer is known; the run ends with a table of how near it
came.
"""

import functools

import optax

from jaxgan import methods, networks
from jaxgan.training import translation
from jaxgan.training.config import DTYPES, EMOJI, EMOJI_VARIANTS, expect_field


def get_config(variant="digits"):
    config = translation.default_config()
    config.variant = variant
    config.width = 64  # channels of the first layer of both networks
    config.rate = 0.5  # the share of reconstruction in a generator's loss
    config.starting_rate = 0.01  # the same during the curriculum
    config.curriculum = 1_000  # steps; the authors' 10,000
    config.batch_size = 64
    config.num_steps = 4_500
    if variant == "emoji":  # from Google's drawings to Twitter's
        config.update({**EMOJI, "batch_size": 32, "curriculum": 700, "num_steps": 3_000})
    return config


def make_game(config, key):
    expect_field(config, "width", config.width >= 1, "1 or more")
    modules = networks.discogan(
        config.image_size,
        config.channels,
        width=config.width,
        dtype=DTYPES[config.dtype],
    )
    method = methods.discogan(
        *translation.make_both(*modules),
        rate=config.rate,
        starting_rate=config.starting_rate,
        curriculum=config.curriculum,
    )
    rates = (config.generator_learning_rate, config.discriminator_learning_rate)
    decay = functools.partial(optax.add_decayed_weights, 1e-5)  # as in the authors' code
    txs = (optax.chain(decay(), optax.adam(rate, b1=0.5)) for rate in rates)
    return translation.game_of(config, key, modules, method, *txs)


if __name__ == "__main__":
    translation.main(get_config, make_game, variants=EMOJI_VARIANTS)
