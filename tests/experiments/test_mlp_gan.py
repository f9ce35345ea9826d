"""The experiments as a user starts them: from the command line, killed, and with bad input."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pixel_images import lite
from scripts import AS_A_USER, EXPERIMENTS, SHORT, command, final_state, run

from jaxgan import UserError, load_generator
from jaxgan.commands import evaluate
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs.page import read_metrics
from jaxgan.training import adversarial, feature_metrics, generation
from jaxgan.training.config import check_config
from jaxgan.training.feature_metrics import TrainingMetrics

_FID = "eval/fid_lenet_2k"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Colour images of several sizes: something that is no MNIST."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index in range(20):
        size = (70 + index, 80, 3)
        pixels = rng.integers(0, 256, size, np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("mlp") / "run"
    result = run("mlp_gan", workdir, flags=AS_A_USER, **SHORT)
    assert result.returncode == 0, result.stderr
    return workdir, result


def test_mlp_gan_trains_and_tells(unbroken):
    workdir, result = unbroken
    assert "step 30/30" in result.stderr
    assert "Dense_0/kernel" in result.stderr
    assert "Dense_0/kernel" in (workdir / "parameters.txt").read_text()
    assert "jaxgan sample --workdir" in result.stdout
    steps = [row["step"] for row in read_metrics(workdir / "metrics.jsonl")]
    assert steps == [5, 10, 15, 20, 25, 30, 30]
    assert json.loads((workdir / "config.json").read_text())["latent_dim"] == 64


def test_killed_and_started_again_it_ends_bit_for_bit_the_same(unbroken, tmp_path):
    workdir = tmp_path / "run"
    process = subprocess.Popen(
        command("mlp_gan", workdir, **SHORT),
        env={**os.environ, **AS_A_USER},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (workdir / "checkpoints" / "10").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    saved = max(
        int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit()
    )
    result = run("mlp_gan", workdir, flags=AS_A_USER, **SHORT)
    assert result.returncode == 0, result.stderr
    assert f"goes on from the checkpoint of step {saved}\n" in result.stderr
    ours, theirs = final_state(workdir, 30), final_state(unbroken[0], 30)
    assert len(ours) == len(theirs) > 20
    assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))
    rows = [read_metrics(folder / "metrics.jsonl") for folder in (workdir, unbroken[0])]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]


def test_another_config_over_an_old_run_is_refused(unbroken):
    workdir, _ = unbroken
    before = sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*"))
    result = run("mlp_gan", workdir, **{**SHORT, "seed": 7})
    assert result.returncode == 2
    assert "seed was 0 and is 7" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*")) == before


def test_a_checkpoint_of_another_architecture_is_refused(unbroken):
    workdir, _ = unbroken
    before = sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*"))
    changed = {**SHORT, "latent_dim": 32}
    result = run("mlp_gan", workdir, "--change_config", **changed)
    assert result.returncode == 2
    assert "is of another architecture: generator/" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*")) == before


def test_sample_draws_a_grid(unbroken, tmp_path):
    workdir, _ = unbroken
    out = tmp_path / "grid.png"
    result = run("sample", workdir, "--num", "9", "--out", out, "--truncation", "0.7", "--no-ema")
    assert result.returncode == 0, result.stderr
    with Image.open(out) as image:
        assert image.size == (3 * 28 + 4 * 2, 3 * 28 + 4 * 2)
    generate = load_generator(workdir)
    images = np.asarray(generate(np.zeros((2, generate.inputs["latents"].dim), np.float32)))
    assert images.shape == (2, 28, 28, 1)
    assert 0 <= images.min() <= images.max() <= 1


def test_evaluate_measures_a_run(unbroken, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    workdir, _ = unbroken
    result = run("evaluate", workdir, "--num", "50", "--metrics", "fid,kid,is,prdc,modes")
    assert result.returncode == 0, result.stderr
    record = json.loads((workdir / "evaluation.json").read_text())
    generated, floor = record["generated"], record["floor"]
    names = ["fid", "kid", "kid_standard_error", "is", "precision", "recall", "density"]
    names = [f"{name}_lenet_50" for name in [*names, "coverage", "modes", "reverse_kl"]]
    assert list(generated) == list(floor) == names
    assert record["step"] == 30
    # Noise after 30 steps; real digits are nearer to real digits.
    assert generated["fid_lenet_50"] > 2 * floor["fid_lenet_50"] > 0
    assert floor["modes_lenet_50"] == 10
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["lenet,", "step", "30", "generated", "(50)", "floor", "(50)"]
    assert lines[1].split() == [
        "fid",
        f"{generated['fid_lenet_50']:.4f}",
        f"{floor['fid_lenet_50']:.4f}",
    ]
    events = [path.read_bytes() for path in (workdir / "tensorboard").iterdir()]
    assert any(b"evaluation/fid_lenet_50" in content for content in events)
    assert "<th>fid_lenet_50</th>" in (workdir / "index.html").read_text()
    assert len(list((tmp_path / ".cache/jaxgan/statistics").iterdir())) == 2


def test_evaluate_keeps_its_figures_where_nobody_reads_them(unbroken, tmp_path):
    workdir = shutil.copytree(unbroken[0], tmp_path / "run")
    (workdir / "evaluation.json").unlink(missing_ok=True)
    reader, writer = os.pipe()
    os.close(reader)  # as `evaluate.py ... | head -1` does sooner or later
    with os.fdopen(writer, "wb") as nobody:
        result = run("evaluate", workdir, "--num", "50", "--metrics", "fid", stdout=nobody)
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["evaluate.py: nobody reads its output any more"]
    record = json.loads((workdir / "evaluation.json").read_text())
    assert list(record["generated"]) == ["fid_lenet_50"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--num=9", "num: got 9, expected 10 or more"),
        ("--batch_size=0", "batch_size: got 0, expected 1 or more"),
        ("--seed=-1", "seed: got -1, expected 0 or more"),
        ("--step=7", "step: got 7, expected one of [10, 20, 30]"),
        ("--metrics=fid,psnr", "metrics: got 'psnr', expected some of fid, kid, is, prdc, modes"),
        ("--metrics=fid,accuracy", "metrics: got accuracy, but the run has no classes"),
        ("--metrics=,", "metrics: got none, expected some of fid"),
        ("--features=alexnet", "features: cannot read alexnet: No such file"),
        ("--features=inception --metrics=modes", "metrics: got modes with inception"),
        ("--features=lite0 --metrics=modes", "metrics: got modes with lite0"),
        ("--workdir=/nowhere", "workdir: /nowhere"),
    ],
)
def test_evaluate_refuses_in_one_line(unbroken, monkeypatch, arguments, message):
    workdir, _ = unbroken
    monkeypatch.setattr("sys.argv", ["evaluate.py", "--workdir", str(workdir), *arguments.split()])
    with pytest.raises(UserError) as caught:
        evaluate.main()
    assert str(caught.value).startswith(message)


def test_images_that_the_network_does_not_take_are_refused():
    with pytest.raises(UserError, match=r"features: lenet takes .*; expected lite0, lite1"):
        feature_metrics.load_network("lenet", ["fid"], (64, 64, 3))


def test_distances_in_features_of_pictures_are_called_fd(unbroken, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(feature_metrics, "load_lite", lite)
    workdir = shutil.copytree(unbroken[0], tmp_path / "run")
    given = ["--workdir", str(workdir), "--num", "50", "--metrics", "fid,prdc"]
    evaluate.main([*given, "--features", "lite1"])
    record = json.loads((workdir / "evaluation.json").read_text())
    assert next(iter(record["generated"])) == "fd_lite1_50"
    assert record["network"] == {"name": "lite1", "version": "0"}
    assert capsys.readouterr().out.splitlines()[1].startswith("fd  ")
    config = generation.default_config()
    config.metrics, config.keep_best, config.features = "fid", "fid", "lite0"
    assert TrainingMetrics(config, range(50), 20).keep_best() == ("fd_lite0_20", "min")


def test_weights_that_are_not_installed_are_told_of_the_flag(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^features: those of lite0 are not installed, expected "):
        feature_metrics.load_network("lite0", ["fid"], (64, 64, 3))


@pytest.mark.parametrize(
    ("metrics", "keep_best", "message"),
    [
        ("fid,fld", "", "metrics: got 'fld', expected some of fid"),
        ("fid", "fit", "keep_best: got 'fit', expected one of fid"),
        ("fid", "recall", "keep_best: recall needs prdc among metrics, got 'fid'"),
    ],
)
def test_metrics_of_training_are_checked_before_it_begins(metrics, keep_best, message):
    config = generation.default_config()
    config.metrics, config.keep_best = metrics, keep_best
    with pytest.raises(UserError) as error:
        TrainingMetrics(config, [], 10).keep_best()
    assert str(error.value).startswith(message)


def test_metrics_at_intervals_are_those_of_evaluate_and_the_best_is_kept(tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    intervals = {**SHORT, "eval_every": 10, "metrics": "fid,prdc", "keep_best": "coverage"}
    result = run("mlp_gan", workdir, **intervals)
    assert result.returncode == 0, result.stderr
    rows = {row["step"]: row for row in read_metrics(workdir / "metrics.jsonl") if _FID in row}
    assert list(rows) == [10, 20, 30]
    best = max(rows, key=lambda step: rows[step]["eval/coverage_lenet_2k"])
    kept = load_generator(workdir / "best")
    assert kept.step == best
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "--workdir", str(workdir), "--num", "2000"])
    evaluate.main()
    figures = json.loads((workdir / "evaluation.json").read_text())["generated"]
    assert figures["fid_lenet_2k"] == pytest.approx(rows[30][_FID], rel=1e-3)


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Dark and bright images, which anything can learn to tell apart."""
    root = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, low in (("bright", 160), ("dark", 0)):
            (root / split / name).mkdir(parents=True)
            for index in range(16):
                pixels = rng.integers(low, low + 96, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


def test_classifier_learns_any_labelled_data(two_classes, tmp_path):
    colour = {"dataset": f"folder:{two_classes}", "image_size": 8, "channels": 3}
    result = run("classifier", tmp_path / "run", **colour, batch_size=16, epochs=8)
    assert result.returncode == 0, result.stderr
    assert "epoch 8/8: 100.00% of test right" in result.stderr
    network = load_lenet(result.stdout.strip())
    dark, bright = np.full((1, 8, 8, 3), 0.15, np.float32), np.full((1, 8, 8, 3), 0.8, np.float32)
    assert np.argmax(network(np.concatenate([bright, dark]))["logits"], axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("size", [32, pytest.param(64, marks=pytest.mark.long)])
def test_dcgan_takes_colour_images_from_a_folder(size, folders, tmp_path):
    few = {**SHORT, "num_steps": 1, "batch_size": 2, "latent_dim": 8}
    colour = {"dataset": f"folder:{folders}", "image_size": size, "channels": 3}
    result = run("dcgan", tmp_path / "run", **few, **colour)
    assert result.returncode == 0, result.stderr
    generate = load_generator(tmp_path / "run")
    assert generate(np.zeros((1, 8), np.float32)).shape == (1, size, size, 3)
    # A folder without train/ and test/ has no held-out images to evaluate on.
    assert not any("eval/accuracy_real" in r for r in read_metrics(tmp_path / "run/metrics.jsonl"))


def test_help_lists_the_variants_and_the_settings():
    result = run("mlp_gan", "unused", "--help")
    assert result.returncode == 0
    text = result.stdout
    assert "--variant: <plain|dropout|batch_norm>" in text
    assert "generator_learning_rate: 0.0002" in text
    assert "--[no]distributed" in text


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.py")), ids=lambda path: path.stem)
def test_the_docstring_survives_the_help(path):
    # absl takes what follows a percent sign for a place to fill in.
    assert "%" not in ast.get_docstring(ast.parse(path.read_text()))


def test_a_batch_that_the_devices_do_not_divide_is_refused(tmp_path):
    arguments = command("dcgan", tmp_path / "run", batch_size=12)
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert result.returncode == 2
    assert "batch_size: got 12, expected a positive multiple of 8" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("batch_size", 0, "1 or more"),
        ("seed", -1, "a number from 0"),
        ("channels", 2, "1 (grey) or 3 (RGB)"),
        ("generator_learning_rate", float("nan"), "a finite number"),
        ("ema_decay", 1.0, "a number in [0, 1)"),
        ("latent", "gaussian", "normal or uniform"),
        ("loss", "hing", "one of minimax"),
        ("penalty", "r3", "some of r1, r2, gradient_penalty, dragan, joined by +"),
        ("penalty", "r1+", "some of r1"),
        ("penalty_weight", -1.0, "a number of at least 0"),
        ("penalty_interval", 0, "1 or more"),
        ("label_smoothing", 0.5, "a number in [0, 0.5)"),
        ("augment", "colour", "some of color, translation, cutout, ada, joined by commas"),
        ("instance_noise", float("inf"), "a finite number"),
        ("packing", 3, "a divisor of batch_size=100"),
        ("dtype", "float16", "one of float32"),
    ],
)
def test_values_out_of_range_are_named(field, value, expected):
    config = adversarial.default_config()
    config[field] = value

    def check():
        check_config(config)
        generation.check_latents(config)
        adversarial.check_config(config)

    with pytest.raises(UserError) as error:
        check()
    assert str(error.value).startswith(f"{field}: got {value!r}, expected {expected}")


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.py")), ids=lambda path: path.stem)
def test_experiments_are_wiring_only(path):
    assert len(path.read_text().splitlines()) < 125
    assert f"python experiments/{path.name}" in path.read_text()
