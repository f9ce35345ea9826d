"""SGAN (Odena 2016; Salimans et al. 2016): a classifier from a hundred labels.

    python experiments/sgan.py --workdir runs/sgan --config.labels=100

Of the training images so many keep their label, drawn by the seed, as many of each class; all of
them are shown without besides. The discriminator is the classifier. At its side the same network
learns from the same labelled batches alone, by the same optimiser. Of both, the share of test
images (or validation images, `--config.evaluate_on=validation`) that they put in their class is
measured at intervals, `accuracy` and `accuracy_supervised`; that at the end is printed and in
sgan.json. `benchmarks/experiments.py` runs it over several seeds.
"""

from jaxgan import networks
from jaxgan.methods import sgan
from jaxgan.training import generation, supervised
from jaxgan.training.config import DTYPES, expect_field, falling_adams
from jaxgan.training.reports import sgan_report
from jaxgan.training.sources import number_of_classes


def get_config():
    config = generation.default_config()
    config.labels = 100  # how many images keep their label
    config.labelled_batch_size = 20  # how many of them a batch has besides its batch_size others
    config.feature_matching = True  # or else the generator wants its images taken for real ones
    config.consistency = 1.0  # weight of judging an image alike twice, under other noise
    config.conditional = False  # the generator is given a class
    config.num_steps = 4_000
    config.generator_learning_rate = config.discriminator_learning_rate = 3e-3
    config.sample_every = config.eval_every = 400
    return config


def make_game(config, source, key):
    """Makes what is trained, as the config says."""
    expect_field(config, "labelled_batch_size", config.labelled_batch_size >= 1, "1 or more")
    expect_field(config, "consistency", config.consistency >= 0, "a number of at least 0")
    rules = {"num_classes": number_of_classes(config, source), "conditional": config.conditional}
    labelled = supervised.draw_labelled(config, source, rules["num_classes"])
    size = (config.image_size, config.channels)
    players = networks.sgan(*size, **rules, dtype=DTYPES[config.dtype])
    txs = falling_adams(config, config.num_steps)
    names = ("latent_dim", "feature_matching", "consistency")
    options = {"prior": config.latent, **{name: config[name] for name in names}}
    method = sgan(*players, **options, **rules)
    return supervised.few_labels_game(config, key, *players, method, *txs, labelled)


if __name__ == "__main__":
    generation.main(get_config, make_game, report=sgan_report.report)
