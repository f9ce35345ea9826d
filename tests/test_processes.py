"""Two processes that train together, on this machine: the same result, and one way to stop."""

import os
import signal
import socket
import subprocess

import jax
import numpy as np
import pytest
from test_experiments import SHORT, command, final_state, run

from jaxgan.report import read_metrics


def start_two(workdir, **config):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "XLA_FLAGS": "",
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
    }
    return [
        subprocess.Popen(
            command("mlp_gan", workdir, "--distributed", **config),
            env={**environment, "JAX_PROCESS_ID": str(index)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


@pytest.fixture
def two():
    """Starts pairs of processes, none of which outlives the test."""
    started = []

    def start(*arguments, **config):
        started.extend(start_two(*arguments, **config))
        return started[-2:]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.long
def test_two_processes_stop_together_and_end_as_one_process_does(two, tmp_path):
    long = {**SHORT, "num_steps": 60, "sample_every": 30}
    first, second = two(tmp_path / "two", **long)
    for line in first.stderr:
        if "step 15/60" in line:
            break
    # One of them is told; both must save, the same step, and stop.
    second.send_signal(signal.SIGTERM)
    errors = [process.communicate(timeout=300)[1] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [1, 1], errors
    assert all("stopped by SIGTERM after step" in error for error in errors)

    processes = two(tmp_path / "two", **long)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert run("mlp_gan", tmp_path / "one", **long).returncode == 0
    steps = [
        [row["step"] for row in read_metrics(tmp_path / name / "metrics.jsonl")]
        for name in ("one", "two")
    ]
    assert steps[0] == steps[1]
    one, both = final_state(tmp_path / "one", 60), final_state(tmp_path / "two", 60)
    for ours, theirs in zip(both, one, strict=True):
        if jax.numpy.issubdtype(theirs.dtype, jax.numpy.floating):
            np.testing.assert_allclose(ours, theirs, atol=2e-3)
        else:
            np.testing.assert_array_equal(ours, theirs)
