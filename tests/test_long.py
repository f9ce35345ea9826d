"""Minutes long, and so run by a command of its own: `pytest -m long`."""

import os
import random
import signal
import subprocess

import pytest
from test_experiments import command, final_state, run

from jaxgan.report import read_metrics


@pytest.mark.long
def test_dcgan_killed_again_and_again_ends_bit_for_bit_the_same(tmp_path):
    """SIGKILL at random moments: compiling, stepping, drawing, saving a checkpoint."""
    config = {"num_steps": 60, "log_every": 5, "sample_every": 10, "eval_every": 30,
              "checkpoint_every": 10}  # fmt: skip
    unbroken = run("dcgan", tmp_path / "unbroken", **config)
    assert unbroken.returncode == 0, unbroken.stderr
    moments, kills = random.Random(0), 0
    for _ in range(4):
        process = subprocess.Popen(
            command("dcgan", tmp_path / "killed", **config),
            env={**os.environ, "XLA_FLAGS": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(moments.uniform(6, 20))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills > 1
    last = run("dcgan", tmp_path / "killed", **config)
    assert last.returncode == 0, last.stderr
    ours, theirs = final_state(tmp_path / "killed", 60), final_state(tmp_path / "unbroken", 60)
    assert len(ours) == len(theirs) > 50
    assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))
    steps = [
        [row["step"] for row in read_metrics(tmp_path / name / "metrics.jsonl")]
        for name in ("killed", "unbroken")
    ]
    assert steps[0] == steps[1]
