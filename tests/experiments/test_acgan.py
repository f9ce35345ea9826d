"""The ACGAN as a user has it: trained by its script, drawn from by class, measured by class."""

import contextlib
import io
import json
import shutil
import sys

import acgan as experiment
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from pixel_images import lite

from jaxgan import UserError, data, load_discriminator, load_generator, networks
from jaxgan.commands import evaluate, sample
from jaxgan.evaluation.features import Features
from jaxgan.evaluation.probe import fit_class_probe
from jaxgan.metrics.efficientnet import load_lite
from jaxgan.metrics.lenet import LeNet, load_lenet, pack_lenet
from jaxgan.runs.page import read_metrics
from jaxgan.training import feature_metrics, generation
from jaxgan.training.reports import acgan_report

CLASSES, COUNT = ("bright", "dark", "grey"), 8


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three shades, eight images of each in either split."""
    root = tmp_path_factory.mktemp("shades")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, low in zip(CLASSES, (190, 0, 95), strict=True):
            (root / split / name).mkdir(parents=True)
            for index in range(COUNT):
                pixels = rng.integers(low, low + 60, (28, 28), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def config(images):
    steps = ("num_steps", "log_every", "sample_every", "eval_every", "checkpoint_every")
    small = {"batch_size": 16, "latent_dim": 8, "dataset": f"folder:{images}"}
    config = experiment.get_config()
    config.update(dict.fromkeys(steps, 2) | small)
    return config


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("acgan") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        generation.train(experiment.make_game, config, str(workdir), False)
        acgan_report.report(config, workdir)
    return workdir, printed.getvalue()


@pytest.fixture
def workdir(finished):
    return finished[0]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A network of three classes, untrained."""
    file = tmp_path_factory.mktemp("classifier") / "shades.msgpack"
    variables = LeNet(3).init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
    file.write_bytes(pack_lenet(variables, (28, 28, 1)))
    return file


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
    with Image.open(workdir / "samples/samples_000002.png") as grid:
        assert grid.size == (3 * 30 + 2, 22 * 30 + 2)  # a class a column, a latent a row


def test_the_run_ends_with_the_discriminator_s_reading_of_test_images(finished):
    workdir, printed = finished
    record = json.loads((workdir / "classifiers.json").read_text())
    assert record["step"] == 2
    first, second = record["discriminator"], record["trained without generator"]
    # Of the difference in all, each has its part alone.
    gap = (first["accuracy"] - second["accuracy"]) * 24
    assert gap == pytest.approx(first["right alone"] - second["right alone"])
    assert "of 24 test images, classified correctly" in printed
    assert f"trained without generator   {second['accuracy']:.2%}" in printed


def test_the_networks_are_rebuilt_with_their_classes(workdir):
    generate, discriminate = load_generator(workdir), load_discriminator(workdir)
    assert generate.inputs["labels"] == (3,)
    images = generate(np.zeros((2, 8), np.float32), np.array([0, 2]))
    assert images.shape == (2, 28, 28, 1)
    assert np.any(images[0] != images[1])
    assert not discriminate.takes_labels
    logits, classes = discriminate(images)
    assert (logits.shape, classes.shape) == ((2,), (2, 3))
    assert discriminate.features(images).shape == (2, 4, 4, 128)
    with pytest.raises(UserError, match="labels: got class 3, expected 0 to 2"):
        generate(np.zeros((1, 8), np.float32), np.array([3]))


def test_sample_draws_one_class_or_all(workdir, monkeypatch, tmp_path):
    out = tmp_path / "grid.png"
    for arguments, columns in ((("--num", 6), 3), (("--num", 4, "--label", 2), 2)):
        call(monkeypatch, sample, workdir, *arguments, "--out", out)
        with Image.open(out) as grid:
            assert grid.size == (columns * 30 + 2, 2 * 30 + 2)
    for label in (3, -1):
        with pytest.raises(UserError, match=rf"^label: got {label}, expected 0 to 2$"):
            call(monkeypatch, sample, workdir, "--num", 4, "--label", label, "--out", out)


def test_evaluate_measures_each_class(workdir, images, classifier, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = ("--metrics", "accuracy,class_fid", "--num", 24, "--batch_size", 24)
    call(monkeypatch, evaluate, workdir, *given, "--features", classifier)
    record = json.loads((workdir / "evaluation.json").read_text())
    names = ["accuracy", *(f"accuracy_{k}" for k in range(3))]
    names += ["class_fid", "class_fid_worst", *(f"class_fid_{k}" for k in range(3))]
    names = [f"{name}_shades_24" for name in names]
    assert list(record["generated"]) == list(record["floor"]) == names
    network = load_lenet(classifier)
    test = data.load_arrays(data.folder(images, "test"), image_size=28, channels=1)
    read = np.argmax(network(test["image"] / np.float32(255))["logits"], axis=1)
    shares = [np.mean(read[test["label"] == k] == k) for k in range(3)]
    assert [record["floor"][name] for name in names[:4]] == [np.mean(shares), *shares]
    generate = load_generator(workdir)
    labels = np.arange(24) % 3
    latents = jax.random.normal(jax.random.key(0), (24, 8))
    read = np.argmax(network(generate(latents, labels))["logits"], axis=1)
    assert record["generated"][names[0]] == pytest.approx(np.mean(read == labels))
    assert record["reference"] == "24 training images"


def test_classes_that_the_features_do_not_know_are_read_by_a_probe(
    workdir, images, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    # Of which the probe learns what does not hold for other images.
    network = lite("lite1", lambda images: np.sin(40 * np.asarray(images)))
    monkeypatch.setattr(feature_metrics, "load_lite", lambda variant: network)
    given = ("--metrics", "fid,accuracy", "--num", 24, "--features", "lite1")
    for split in ("train", "test"):
        call(monkeypatch, evaluate, workdir, *given, "--split", split)
        record = json.loads((workdir / "evaluation.json").read_text())
        names = ["fd", "accuracy", *(f"accuracy_{k}" for k in range(3))]
        assert list(record["generated"]) == [f"{name}_lite1_24" for name in names]
        # Of real images it is that of those which the probe has not seen.
        real, generate = record["floor"], load_generator(workdir)
        learnt, unseen = (
            data.load_arrays(data.folder(images, part), image_size=28, channels=1)
            for part in ("train", "test")
        )
        features = [network(x / np.float32(255)) for x in (learnt["image"], unseen["image"])]
        accuracy = fit_class_probe(Features(**features[0], labels=learnt["label"]), range(3))
        shares = accuracy(Features(**features[1], labels=unseen["label"]))
        assert {name[:-9]: real[name] for name in list(real)[1:]} == pytest.approx(shares)
        assert shares["accuracy"] < 1
        labels = np.arange(24) % 3
        made = generate(jax.random.normal(jax.random.key(0), (24, 8)), labels)
        made = accuracy(Features(**network(made), labels=labels))
        assert record["generated"]["accuracy_lite1_24"] == pytest.approx(made["accuracy"])


def test_evaluate_measures_against_images_that_training_never_had(
    workdir, images, classifier, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = ("--metrics", "accuracy,class_fid", "--num", 24, "--features", classifier)
    records = {}
    for split in ("train", "test"):
        call(monkeypatch, evaluate, workdir, *given, "--split", split)
        records[split] = json.loads((workdir / "evaluation.json").read_text())
    assert records["test"]["reference"] == "24 test images"
    name = "class_fid_shades_24"
    # The distance between the splits is the same from either; that of the run is not.
    floors = [record["floor"][name] for record in records.values()]
    assert floors[0] == pytest.approx(floors[1], rel=1e-4)
    assert records["train"]["generated"][name] != records["test"]["generated"][name]
    # The floor's accuracy is that of the images that are not the reference.
    network = load_lenet(classifier)
    train = data.load_arrays(data.folder(images, "train"), image_size=28, channels=1)
    read = np.argmax(network(train["image"] / np.float32(255))["logits"], axis=1)
    assert records["test"]["floor"]["accuracy_shades_24"] == np.mean(read == train["label"])
    with pytest.raises(UserError, match=r"^split: got validation, which the run was trained on"):
        call(monkeypatch, evaluate, workdir, *given, "--split", "validation")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--features inception --metrics modes", "metrics: got modes with inception"),
        ("--metrics accuracy", "features: lenet tells 10 classes apart, the run has 3; expected a"),
        (
            "--metrics recall",
            "metrics: got 'recall', expected some of fid, kid, is, prdc, modes, a",
        ),
    ],
)
def test_evaluate_refuses_in_one_line(workdir, monkeypatch, arguments, message):
    with pytest.raises(UserError) as error:
        call(monkeypatch, evaluate, workdir, *arguments.split())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_of_digits_the_report_has_the_shipped_classifier_s_reading(workdir, monkeypatch, capsys):
    measured = []
    monkeypatch.setattr(
        acgan_report, "evaluate_run", lambda *given, **options: measured.append((given, options))
    )
    monkeypatch.setattr(acgan_report, "compare_classifiers", lambda *_: None)
    monkeypatch.setattr(acgan_report.feature_metrics, "load_lite", lite)
    config = experiment.get_config()
    acgan_report.report(config, workdir)
    assert measured == [((workdir, ("fid", "accuracy", "class_fid")), {"split": "test"})]
    # Pictures are judged by Lite1, and what neither can judge is not.
    config.dataset = "emoji"
    acgan_report.report(config, workdir)
    assert len(measured) == 1
    config.channels = 3
    acgan_report.report(config, workdir)
    metrics = ("fid", "kid", "prdc", "accuracy")
    assert measured[1:] == [((workdir, metrics), {"split": "test", "num": 3_000})]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(acgan_report.feature_metrics, "load_lite", load_lite)
    acgan_report.report(config, workdir)
    assert len(measured) == 2
    assert capsys.readouterr().out.splitlines()[-1].startswith("not measured: those of lite1 are")


def discriminator():
    return networks.dcgan(28, 1, num_classes=3)[1]


def test_the_network_that_the_discriminator_is_compared_with_learns(images):
    config = experiment.get_config()
    config.batch_size, config.num_steps, config.discriminator_learning_rate = 8, 200, 1e-3
    splits = (
        data.load_arrays(data.folder(images, split), image_size=28, channels=1)
        for split in ("train", "test")
    )
    train, test = splits
    classifier = acgan_report.train_alone(config, discriminator(), (-1, 1), train)
    assert np.all(acgan_report.find_right(*classifier, test, (-1, 1), size=10))


def test_both_are_judged_with_statistics_of_real_images_alone(images):
    config = experiment.get_config()
    train, test = (
        data.load_arrays(data.folder(images, split), image_size=28, channels=1)
        for split in ("train", "test")
    )
    config.batch_size, config.num_steps, config.discriminator_learning_rate = 8, 100, 1e-3
    module, variables = acgan_report.train_alone(config, discriminator(), (-1, 1), train)
    # As if generated images had been in the batches.
    mixed = jax.tree.map(lambda x: 3 * x + 2, variables["batch_stats"])
    mixed = {**variables, "batch_stats": mixed}
    of_real = [
        acgan_report.real_statistics(module, of, train["image"], (-1, 1))
        for of in (variables, mixed)
    ]
    for first, second in zip(*map(jax.tree.leaves, of_real), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)
    right = [acgan_report.find_right(module, of, test, (-1, 1)) for of in (mixed, of_real[1])]
    assert right[0].sum() < right[1].sum()


def test_the_report_judges_both_by_those(config, workdir, monkeypatch, tmp_path):
    copy, of_real = shutil.copytree(workdir, tmp_path / "run"), "of real images"
    monkeypatch.setattr(acgan_report, "train_alone", lambda *_: (None, {}))
    monkeypatch.setattr(acgan_report, "real_statistics", lambda *_: of_real)
    monkeypatch.setattr(
        acgan_report, "find_right", lambda module, variables, *_: np.array([variables == of_real])
    )
    acgan_report.report(config, copy)
    record = json.loads((copy / "classifiers.json").read_text())
    for name in ("discriminator", "trained without generator"):
        assert record[name]["accuracy"] == 1
        assert record[name]["accuracy, statistics of training"] == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dataset", "folder:faces", "dataset: folder:faces has no classes, expected labelled"),
        ("class_weight", -1.0, "class_weight: got -1.0, expected a number of at least 0"),
        ("class_weight", float("inf"), "class_weight: got inf, expected a number of at least 0"),
        ("loss", "hing", "loss: got 'hing', expected one of minimax"),
    ],
)
def test_what_no_acgan_can_be_trained_with_is_refused(field, value, message, images):
    config = experiment.get_config()
    config[field] = value
    unlabelled = data.folder(images / "train" / "dark", "train")
    with pytest.raises(UserError) as error:
        experiment.make_game(config, unlabelled, None)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
