"""Two processes that train together, on this machine: the same result, and one way to stop."""

import os
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from scripts import final_state
from small_run import SmallRun, free_port, make_images, pair_environments

from jaxgan.runs.page import read_metrics
from jaxgan.training import processes

# Many checkpoints, so that a run that is told to stop while it compiles is not at its end before.
CONFIG = {
    "num_steps": 60,
    "batch_size": 16,
    "sample_every": 30,
    "eval_every": 60,
    "checkpoint_every": 5,
}


@pytest.fixture
def start(tmp_path):
    """Starts processes, none of which outlives the test."""
    (tmp_path / "images").mkdir()
    images, started = make_images(tmp_path / "images"), []

    def start(name, *arguments, environments=({},)):
        for environment in environments:
            run = SmallRun(images, tmp_path / name, *arguments, environment=environment, **CONFIG)
            started.append(run)
        return started[-len(environments) :]

    yield start
    for run in started:
        run.kill()


def test_one_of_several_leaves_with_a_text_as_sys_exit_does(monkeypatch, capsys):
    left = []
    monkeypatch.setattr(processes, "joined", lambda: True)
    monkeypatch.setattr(processes, "_say_goodbye", lambda: None)
    monkeypatch.setattr(os, "_exit", left.append)
    processes.leave("no such variant")
    assert left == [1]
    assert capsys.readouterr().err == "no such variant\n"


@pytest.mark.parametrize("index", [0, 1])
def test_a_process_that_waits_in_vain_ends_with_a_line(index, tmp_path):
    """The coordinator, and one that finds none."""
    script = tmp_path / "alone.py"
    script.write_text(
        "from jaxgan.training import processes\n"
        "processes._PATIENCE_SECONDS, processes.START_SECONDS = 0.5, 2\n"
        f"processes.join('localhost:{free_port()}', 2, {index})\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("alone.py: ")]
    assert ended.returncode == 1
    assert len(lines) == 2
    assert re.match(r"alone.py: waits for the other processes at localhost:\d+, for .*", lines[0])
    assert lines[1].endswith("within 2 seconds, expected all of them to be started")
    assert "Check failure" not in ended.stderr
    assert "this process was ended" not in ended.stderr


@pytest.mark.long
def test_two_processes_stop_together_and_end_as_one_process_does(start, tmp_path):
    def start_two():
        return start("two", "--distributed", environments=pair_environments())

    first, second = start_two()
    first.wait_for("step 15/60")
    # One of them is told; both must save, the same step, and stop.
    second.process.send_signal(signal.SIGTERM)
    assert [run.end() for run in (first, second)] == [75, 75], first.lines + second.lines
    assert all(run.says("stopped by SIGTERM after step") for run in (first, second))

    runs = [*start_two(), *start("one")]
    assert [run.end() for run in runs] == [0, 0, 0], [run.lines[-20:] for run in runs]
    compare(tmp_path / "one", tmp_path / "two")


@pytest.mark.long
def test_a_run_goes_on_with_as_many_processes_as_are_there(start, tmp_path):
    """Two that share the state, then one that has it whole; and the other way round."""

    def start_two(name):
        cut = ("--distributed", "--config.shard_state=True")
        return start(name, *cut, environments=pair_environments())

    begun = []
    for runs in (start_two("joined"), start("parted")):
        begun += runs
        # One alone would soon be at the end. The other one of two is told.
        runs[0].wait_for("compiling")
        runs[0].process.send_signal(signal.SIGTERM)
    assert [run.end() for run in begun] == [75, 75, 75], [run.lines[-20:] for run in begun]
    runs = [*start("joined"), *start_two("parted"), *start("one")]
    assert [run.end() for run in runs] == [0, 0, 0, 0], [run.lines[-20:] for run in runs]
    assert all(run.says("goes on from the checkpoint of step") for run in runs[:2])
    for name in ("joined", "parted"):
        compare(tmp_path / "one", tmp_path / name)


def compare(one, other):
    """Two runs of the same steps and, to rounding, of the same end."""
    steps = [
        [row["step"] for row in read_metrics(workdir / "metrics.jsonl")] for workdir in (one, other)
    ]
    assert steps[0] == steps[1]
    for ours, theirs in zip(final_state(other, 60), final_state(one, 60), strict=True):
        if jax.numpy.issubdtype(theirs.dtype, jax.numpy.floating):
            # By its own scale: second moments are as small as 3e-6. Seen: 1e-6 of it.
            scale = np.abs(theirs).max()
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * scale)
        else:
            np.testing.assert_array_equal(ours, theirs)
