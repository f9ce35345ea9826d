"""ACGAN (Odena et al. 2017) on MNIST, or on any labelled images: the DCGAN's networks with classes.

    python experiments/acgan.py --workdir runs/acgan
    python experiments/acgan.py --workdir runs/emoji --variant=emoji
    python experiments/sample.py --workdir runs/acgan --label 7 --out sevens.png

The run ends with a report: how often the classifier of digits reads the class that was asked for
and FID class by class, of pictures in colour what Lite1's features say of both, and whether the
generator's images made of the discriminator a better classifier of test images. Called again, a
finished run reports again.
"""

import dcgan
from ml_collections import config_dict

from jaxgan.methods import acgan
from jaxgan.training import adversarial, generation
from jaxgan.training.config import EMOJI, EMOJI_VARIANTS, expect_number
from jaxgan.training.reports import acgan_report
from jaxgan.training.sources import number_of_classes


def get_config(variant: str = "digits") -> config_dict.ConfigDict:
    config = generation.default_config()
    config.variant = variant
    config.loss = "non_saturating"  # or minimax, least_squares, wasserstein, hinge, relativistic
    config.num_steps = 5_000  # the classes asked for are learnt later than the digits
    config.class_weight = 1.0  # of telling the class beside telling real from generated
    config.upsampling = "transpose"  # or resize, against checkerboards
    if variant == "emoji":
        config.update({**EMOJI, "batch_size": 64, "num_steps": 4_000})
    return config


def make_game(config: config_dict.ConfigDict, source, key) -> generation.Game:
    """Makes what is trained, as the config says."""
    loss = adversarial.loss_of(config)
    expect_number(config, "class_weight", 0)
    num_classes = number_of_classes(config, source)
    generator, discriminator, gen_tx, disc_tx = dcgan.make_players(config, num_classes=num_classes)
    method = acgan(
        generator,
        discriminator,
        latent_dim=config.latent_dim,
        num_classes=num_classes,
        loss=loss,
        prior=config.latent,
        class_weight=config.class_weight,
    )
    return generation.game_of(config, key, generator, discriminator, method, gen_tx, disc_tx)


if __name__ == "__main__":
    generation.main(get_config, make_game, variants=EMOJI_VARIANTS, report=acgan_report.report)
