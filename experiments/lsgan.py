"""LSGAN (Mao et al. 2017): the DCGAN's networks under the least-squares loss.

python experiments/lsgan.py --workdir runs/lsgan
"""

import common
import dcgan


def get_config():
    config = dcgan.get_config()
    config.loss = "least_squares"
    return config


if __name__ == "__main__":
    common.main(get_config, dcgan.make_players)
