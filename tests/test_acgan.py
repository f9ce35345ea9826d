"""The ACGAN as a user has it: trained by its script, drawn from by class, measured by class."""

import json
import sys

import acgan as experiment
import acgan_classifier
import evaluate
import numpy as np
import pytest
import sample
from PIL import Image
from test_experiments import run

from jaxgan import UserError, data, load_discriminator, load_generator
from jaxgan.report import read_metrics


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acgan") / "run"
    steps = ("num_steps", "log_every", "sample_every", "eval_every", "checkpoint_every")
    result = run("acgan", folder, **dict.fromkeys(steps, 2), batch_size=10, latent_dim=8)
    assert result.returncode == 0, result.stderr
    return folder


def call(monkeypatch, script, workdir, *arguments):
    name = f"{script.__name__}.py"
    monkeypatch.setattr(sys, "argv", [name, "--workdir", str(workdir), *map(str, arguments)])
    script.main()


def test_the_run_tells_of_both_heads_and_shows_every_class(workdir):
    rows = read_metrics(workdir / "metrics.jsonl")
    names = {name for row in rows for name in row}
    for kind in ("real", "fake"):
        assert {f"train/class_loss_{kind}", f"train/class_accuracy_{kind}"} <= names
        assert {f"eval/accuracy_{kind}", f"eval/class_accuracy_{kind}"} <= names
    with Image.open(workdir / "samples/samples_00000002.png") as grid:
        assert grid.size == (10 * 30 + 2, 7 * 30 + 2)  # a class a column, a latent a row


def test_the_networks_are_rebuilt_with_their_classes(workdir):
    generate, discriminate = load_generator(workdir), load_discriminator(workdir)
    assert generate.num_classes == 10
    images = generate(np.zeros((2, 8), np.float32), np.array([3, 4]))
    assert images.shape == (2, 28, 28, 1)
    assert np.any(images[0] != images[1])
    assert not discriminate.takes_labels
    logits, classes = discriminate(images)
    assert (logits.shape, classes.shape) == ((2,), (2, 10))
    assert discriminate.features(images).shape == (2, 4, 4, 128)
    with pytest.raises(UserError, match="labels: got class 10, expected 0 to 9"):
        generate(np.zeros((1, 8), np.float32), np.array([10]))


def test_sample_draws_one_class_or_all(workdir, monkeypatch, tmp_path):
    out = tmp_path / "grid.png"
    for arguments, columns in ((("--num", 20), 10), (("--num", 4, "--label", 9), 2)):
        call(monkeypatch, sample, workdir, *arguments, "--out", out)
        with Image.open(out) as grid:
            assert grid.size == (columns * 30 + 2, 2 * 30 + 2)
    for label in (10, -1):
        with pytest.raises(UserError, match=rf"^label: got {label}, expected 0 to 9$"):
            call(monkeypatch, sample, workdir, "--num", 4, "--label", label, "--out", out)


def test_evaluate_measures_each_class(workdir, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    metrics = ("--metrics", "fid,accuracy,class_fid", "--num", 200)
    call(monkeypatch, evaluate, workdir, *metrics, "--batch_size", 100)
    record = json.loads((workdir / "evaluation.json").read_text())
    accuracies = ["accuracy", *(f"accuracy_{k}" for k in range(10))]
    distances = ["class_fid", "class_fid_worst", *(f"class_fid_{k}" for k in range(10))]
    names = [f"{name}_lenet_200" for name in ["fid", *accuracies, *distances]]
    assert list(record["generated"]) == list(record["floor"]) == names
    # Real digits are read as what they are; the noise of two steps is all of one class.
    assert record["floor"]["accuracy_lenet_200"] > 0.95
    assert record["generated"]["accuracy_lenet_200"] < 0.5
    assert record["generated"]["class_fid_lenet_200"] > 2 * record["floor"]["class_fid_lenet_200"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--features inception --metrics accuracy", "metrics: got accuracy with inception"),
        (
            "--metrics recall",
            "metrics: got 'recall', expected some of fid, kid, is, prdc, modes, a",
        ),
        ("--num 10 --metrics class_fid", "num: got "),
    ],
)
def test_evaluate_refuses_in_one_line(workdir, monkeypatch, tmp_path, arguments, message):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError) as error:
        call(monkeypatch, evaluate, workdir, *arguments.split())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


class First:
    """The first images of a source."""

    def __init__(self, source, size):
        self.source, self.size, self.num_classes = source, size, source.num_classes

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return self.source[index]


def test_the_discriminator_is_compared_with_a_classifier(workdir, monkeypatch, capsys):
    load = data.load
    monkeypatch.setattr(data, "load", lambda *arguments: First(load(*arguments), 600))
    call(monkeypatch, acgan_classifier, workdir)
    record = json.loads((workdir / "classifiers.json").read_text())
    assert record["step"] == 2
    first, second = record["discriminator"], record["without generated images"]
    # Of the difference in all, each has its part alone.
    gap = (first["accuracy"] - second["accuracy"]) * 600
    assert gap == pytest.approx(first["right alone"] - second["right alone"])
    assert 0 < second["accuracy"] < 1
    assert "600 test images, 2 steps of training" in capsys.readouterr().out


def test_the_classifier_for_comparison_learns():
    config = experiment.get_config()
    config.batch_size, config.discriminator_learning_rate = 20, 1e-3
    look = {"image_size": 28, "channels": 1}
    arrays = data.load_arrays(First(data.mnist("train"), 100), **look)
    alone = acgan_classifier.train_alone(config, 10, arrays, 20)
    assert np.mean(acgan_classifier.find_right(alone, arrays)) > 0.8


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dataset", "folder:faces", "dataset: folder:faces has no classes, which this experiment"),
        ("class_weight", -1.0, "class_weight: got -1.0, expected a number of at least 0"),
        ("class_weight", float("inf"), "class_weight: got inf, expected a number of at least 0"),
        ("loss", "hing", "loss: got 'hing', expected one of minimax"),
    ],
)
def test_what_no_acgan_can_be_trained_with_is_refused(field, value, message):
    config = experiment.get_config()
    config[field] = value
    unlabelled = First(data.mnist("train"), 10)
    unlabelled.num_classes = None
    with pytest.raises(UserError) as error:
        experiment.make_game(config, unlabelled, None)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
