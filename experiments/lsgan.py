"""LSGAN (Mao et al. 2017): the DCGAN's networks under the least-squares loss.

    python experiments/lsgan.py --workdir runs/lsgan
    python experiments/lsgan.py --workdir runs/emoji --variant=emoji

Seen after its five epochs of MNIST (3,000 steps): nearly all of 64 digits are read at a glance;
D(x) 0.70, D(G(z)) 0.30; of 100 unseen test digits 89 are taken for real.

Differs from the authors' code: it has networks of its own for 112 pixels, uniform latents of 1,024
entries and Adam 1e-3, and sums the squares over the batch, where here is their mean.
"""

import functools

import dcgan

from jaxgan.training import adversarial, generation
from jaxgan.training.config import EMOJI_VARIANTS


def get_config(variant="digits"):
    config = dcgan.get_config(variant)
    config.loss = "least_squares"
    return config


if __name__ == "__main__":
    make_game = functools.partial(adversarial.make_game, dcgan.make_players)
    generation.main(get_config, make_game, variants=EMOJI_VARIANTS)
