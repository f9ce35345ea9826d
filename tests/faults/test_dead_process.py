"""One of two processes is gone, or frozen: the other ends with a line, whatever it waits for."""

import signal

import pytest
from small_run import SmallRun, make_images, pair_environments

CONFIG = {"checkpoint_every": 50, "sample_every": 50, "log_every": 50}
MOST_SECONDS = 60


@pytest.fixture
def start_two(tmp_path):
    """Starts pairs of processes on one folder, none of which outlives the test."""
    (tmp_path / "images").mkdir()
    images, started = make_images(tmp_path / "images"), []

    def start():
        for environment in pair_environments():
            arguments = (images, tmp_path / "run", "--distributed")
            started.append(SmallRun(*arguments, environment=environment, **CONFIG))
        return started[-2:]

    yield start
    for run in started:
        run.kill()


@pytest.mark.long
@pytest.mark.parametrize(
    ("gone", "name", "when"),
    [
        (0, "SIGKILL", " 100/100000"),  # the coordinator
        (1, "SIGKILL", " 100/100000"),
        (1, "SIGKILL", "compiling"),
        # The network says nothing of this one's end.
        (0, "SIGSTOP", " 100/100000"),
    ],
)
def test_the_other_one_ends_with_a_line(start_two, gone, name, when):
    runs = start_two()
    runs[0].wait_for(when)  # the second one is quiet
    runs[gone].process.send_signal(getattr(signal, name))
    survivor = runs[1 - gone]
    assert survivor.end(timeout=MOST_SECONDS) not in (0, None)
    lines = [line for line in survivor.lines if line.startswith("mlp_gan.py: error: ")]
    assert lines, "\n".join(survivor.lines)
    assert lines[0].endswith("the newest checkpoint is kept: start all of them again")
    assert not any(line.startswith("Traceback") for line in survivor.lines)
    if (gone, name, when) == (1, "SIGKILL", " 100/100000"):
        again = start_two()
        again[0].wait_for("goes on from the checkpoint of step")
        again[0].wait_for("step ")
        again[1].process.send_signal(signal.SIGTERM)
        assert [run.end() for run in again] == [75, 75]
