"""InfoGAN (Chen et al. 2016) on MNIST: classes of digits found without labels.

    python experiments/infogan.py --workdir runs/infogan
    python experiments/sample.py --workdir runs/infogan --out codes.png

A column of the pictures is one value of the categorical code. The run ends with how well the codes
that the discriminator reads in held-out digits are their classes, after the best assignment of one
to the other; in infogan.json. Of other data there have to be labels for that, and for nothing else.
"""

import dcgan

from jaxgan import losses
from jaxgan.methods import infogan
from jaxgan.training import generation
from jaxgan.training.config import expect_field, expect_number
from jaxgan.training.reports import infogan_report


def get_config():
    config = generation.default_config()
    config.latent, config.latent_dim = "uniform", 16
    config.codes = 2  # of the latents, which the discriminator reads as well
    config.categories = 10
    config.class_weight = 3.0
    config.code_weight = 0.1
    config.generator_learning_rate = 1e-3
    config.num_steps = 6_000
    config.upsampling = "transpose"  # or resize, against checkerboards
    return config


def make_game(config, source, key):
    for name, least in (("categories", 2), ("codes", 0), ("class_weight", 0), ("code_weight", 0)):
        expect_number(config, name, least)
    expect_field(config, "codes", config.codes < config.latent_dim, "less than latent_dim")
    classes, codes = config.categories, config.codes
    generator, _, *txs = dcgan.make_players(config, num_classes=classes)
    discriminator = dcgan.make_players(config, num_classes=classes + codes)[1]
    names = ("latent_dim", "class_weight", "code_weight")
    options = {"num_classes": classes, "num_codes": codes, "loss": losses.non_saturating}
    options |= {"prior": config.latent, **{name: config[name] for name in names}}
    method = infogan(generator, discriminator, **options)
    return generation.game_of(config, key, generator, discriminator, method, *txs)


if __name__ == "__main__":
    generation.main(get_config, make_game, report=infogan_report.report)
