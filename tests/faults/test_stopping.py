"""SIGTERM and SIGINT save and leave with a status of their own; one folder is one run's."""

import os
import signal
import sys

import pytest
from small_run import SmallRun, make_images

from jaxgan.training import command_line
from jaxgan.training.signals import Stopped


@pytest.fixture
def start(tmp_path):
    """Starts processes, none of which outlives the test."""
    (tmp_path / "images").mkdir()
    images, started = make_images(tmp_path / "images"), []

    def start(**config):
        started.append(SmallRun(images, tmp_path / "run", **config))
        return started[-1]

    yield start
    for run in started:
        run.kill()


def saved_steps(tmp_path):
    return sorted(int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir())


def test_a_second_run_is_refused_and_the_first_one_stops_when_asked(start, tmp_path):
    first = start()
    first.wait_for("step ")
    second = start()
    assert second.end() == 2
    assert len(second.lines) == 1, second.lines
    assert second.lines[0].startswith("mlp_gan.py: error: workdir: got ")
    assert "where another run is writing" in second.lines[0]

    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 75, first.lines
    step = saved_steps(tmp_path)[-1]
    said = f"stopped by SIGTERM after step {step}, which is saved; the same command goes on from"
    assert first.lines[-1] == f"mlp_gan.py: {said} there"

    again = start()
    again.wait_for(f"goes on from the checkpoint of step {step}")
    again.process.send_signal(signal.SIGINT)
    assert again.end() == 130, again.lines
    assert saved_steps(tmp_path)[-1] > step
    assert "stopped by SIGINT after step" in again.lines[-1]


@pytest.fixture
def status_of(monkeypatch):
    """Calls a function as a command does; the status that it leaves with."""
    monkeypatch.setattr(sys, "argv", ["command.py"])
    before = signal.getsignal(signal.SIGTERM)

    def call(function):
        with pytest.raises(SystemExit) as left, command_line.reporting_errors():
            function()
        return left.value.code

    yield call
    signal.signal(signal.SIGTERM, before)


def test_sigterm_between_the_loops_has_nothing_to_save(status_of, capsys):
    def measure():
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it goes on")

    assert status_of(measure) == 75
    assert capsys.readouterr().err.strip() == (
        "command.py: stopped by SIGTERM; what was saved is kept, and the same command goes on"
    )


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_loop_that_was_stopped_leaves_by_the_signal(status_of, name, code, capsys):
    def train():
        raise Stopped(name, "after step 5")

    assert status_of(train) == code
    assert capsys.readouterr().err == f"command.py: stopped by {name} after step 5\n"
