"""Every experiment trains on what its `evaluate_on` leaves, and is evaluated on the rest."""

import acgan
import classifier
import cyclegan
import dcgan
import discogan
import pytest
import sgan
import stacked_mnist
import stackgan

from jaxgan import UserError, data
from jaxgan.training import (
    captioned,
    classifying,
    generation,
    sources,
    stackgan_stages,
    translation,
)
from jaxgan.training.sources import load_splits


class Loaded(Exception):
    """All that a run reads is named."""


def of_images(make_game):
    return lambda config, workdir: generation.train(make_game, config, workdir, False)


def of_domains(make_game):
    return lambda config, workdir: translation.train(make_game, config, workdir, False)


EXPERIMENTS = {
    "dcgan": (dcgan.get_config, of_images(None)),
    "acgan": (acgan.get_config, of_images(None)),
    "sgan": (sgan.get_config, of_images(None)),
    "stacked_mnist": (lambda: stacked_mnist.get_config("quick"), of_images(None)),
    "classifier": (classifier.get_config, classifying.train),
    "cyclegan": (cyclegan.get_config, of_domains(None)),
    "discogan": (discogan.get_config, of_domains(None)),
    "stackgan": (
        stackgan.get_config,
        lambda config, workdir: stackgan_stages.train(config, workdir, False, "both"),
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize(
    ("evaluate_on", "expected"),
    [("test", ["train", "test"]), ("validation", ["train_part", "validation"])],
)
def test_it_reads_the_splits_of_its_config(name, evaluate_on, expected, monkeypatch, tmp_path):
    get_config, train = EXPERIMENTS[name]
    asked = []

    def record(config, split, *load):
        asked.append(split)
        if len(asked) == 2:
            raise Loaded

    monkeypatch.setattr(sources, "load_split", record)
    config = get_config()
    assert config.evaluate_on == "test"
    config.update({"evaluate_on": evaluate_on, "batch_size": 16})
    with pytest.raises(Loaded):
        train(config, str(tmp_path / "run"))
    assert asked == expected


def test_scenes_are_evaluated_on_combinations_that_training_never_had(monkeypatch):
    monkeypatch.setattr(data, "load_captioned", lambda dataset, split, *rest: split)
    splits = [captioned.load("scenes", split, None, "stop") for split in ("train", *data.TRAIN_ON)]
    assert splits == ["train", captioned.UNSEEN["test"], captioned.UNSEEN["validation"]]
    assert captioned.load("folder:PATH", "test", None, "stop") == "test"


def test_another_split_is_refused():
    config = dcgan.get_config()
    config.evaluate_on = "train"
    with pytest.raises(UserError, match=r"^evaluate_on: got 'train', expected test or validation$"):
        load_splits(config)
