"""The command `jaxgan`, which is the scripts by other names."""

import contextlib
import os
import subprocess
import sys

import pytest
from scripts import EXPERIMENTS, QUICK

from jaxgan import UserError, cli


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["/bin/jaxgan", *arguments])
    monkeypatch.setattr(cli, "reporting_errors", contextlib.nullcontext)
    cli.main()


def test_every_script_has_its_command():
    scripts = {path.stem for path in EXPERIMENTS.glob("*.py")}
    assert set(cli.experiments()) | set(cli.COMMANDS.values()) == scripts
    assert "dcgan" in cli.experiments()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("trian",), "command: got 'trian', expected one of train, sample, evaluate, translate"),
        (("train",), "experiment: got none, expected one of acgan, classifier, cyclegan, dcgan"),
        (("train", "dcgna"), "experiment: got 'dcgna', expected one of acgan"),
    ],
)
def test_another_word_is_refused(monkeypatch, arguments, line):
    with pytest.raises(UserError, match=f"^{line}"):
        call(monkeypatch, *arguments)


def test_a_command_is_given_the_rest_of_the_line(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"^out: got 'grid.jpg', expected a file name ending in"):
        call(monkeypatch, "sample", "--workdir", str(tmp_path), "--out", "grid.jpg")
    assert sys.argv[0] == "jaxgan sample"


def test_train_runs_the_script_that_it_names(tmp_path):
    command = [sys.executable, "-m", "jaxgan.cli", "train", "dcgan", "--workdir", str(tmp_path)]
    run = subprocess.run(
        [*command, "--config.latent_dmi=3"],
        env={**os.environ, **QUICK},
        capture_output=True,
        text=True,
        check=False,
    )
    line = "config.latent_dmi: there is no such field; did you mean latent_dim?"
    assert (run.returncode, run.stderr.strip()) == (2, f"dcgan.py: error: {line}")


def test_without_a_word_it_says_what_there_is(monkeypatch, capsys):
    call(monkeypatch)
    said = capsys.readouterr().out
    assert "jaxgan train dcgan --workdir runs/" in said
    assert "infogan" in said
