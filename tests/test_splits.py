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
from parts import captioned, common, generation, translation

from jaxgan import UserError, data


class Loaded(Exception):
    """All that a run reads is named."""


def of_images(make_game):
    return lambda config, workdir: generation.train(make_game, config, workdir, False)


def of_domains(make_game):
    return lambda config, workdir: translation.train(make_game, config, workdir, False)


EXPERIMENTS = {
    "dcgan": (dcgan.get_config, of_images(None), "load"),
    "acgan": (acgan.get_config, of_images(None), "load"),
    "sgan": (sgan.get_config, of_images(None), "load"),
    "stacked_mnist": (lambda: stacked_mnist.get_config("quick"), of_images(None), "load"),
    "classifier": (classifier.get_config, classifier.train, "load"),
    "cyclegan": (cyclegan.get_config, of_domains(None), "load_domains"),
    "discogan": (discogan.get_config, of_domains(None), "load_domains"),
    "stackgan": (
        stackgan.get_config,
        lambda config, workdir: stackgan.train(config, workdir, False, "both"),
        "load_captioned",
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize(
    ("evaluate_on", "expected"),
    [("test", ["train", "test"]), ("validation", ["train_part", "validation"])],
)
def test_it_reads_the_splits_of_its_config(name, evaluate_on, expected, monkeypatch, tmp_path):
    get_config, train, load = EXPERIMENTS[name]
    asked = []

    def record(dataset, split, data_dir):
        asked.append(split)
        if len(asked) == 2:
            raise Loaded

    monkeypatch.setattr(data, load, record)
    config = get_config()
    assert config.evaluate_on == "test"
    config.update({"evaluate_on": evaluate_on, "batch_size": 16})
    with pytest.raises(Loaded):
        train(config, str(tmp_path / "run"))
    if name == "stackgan":
        expected = [expected[0], captioned.UNSEEN[expected[1]]]
    assert asked == expected


def test_another_split_is_refused():
    config = dcgan.get_config()
    config.evaluate_on = "train"
    with pytest.raises(UserError, match=r"^evaluate_on: got 'train', expected test or validation$"):
        common.load_splits(data.load, config)
