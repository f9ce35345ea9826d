"""20,000 steps, pictures at every hundredth, checkpoints as often: nothing grows or is left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NUM_STEPS, WARM_UP = 20_000, 5_000
MOST_GROWTH = 0.01
LOST_A_CHECKPOINT = 100 * 2**10
"""Bytes, not ours: a loop that does nothing but save 30 arrays by Orbax grows by 33 KiB each time
(Orbax 0.12.8; TensorStore 0.1.86, whose KvStore.Spec.to_json loses 0.2 KiB a call), and by more
where other threads allocate in between.
"""


@pytest.mark.long
@pytest.mark.parametrize("saved_every", [100, NUM_STEPS])
def test_memory_compilations_threads_and_files_after_many_steps(tmp_path, saved_every):
    result = subprocess.run(
        [sys.executable, Path(__file__).parent / "endurance.py", tmp_path, str(saved_every)],
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    steps, memory, compilations = zip(*figures["measured"], strict=True)
    assert steps[-1] == NUM_STEPS
    warm = steps.index(WARM_UP)
    print([round(used / 2**20, 1) for used in memory])
    for step, used in zip(steps[warm + 1 :], memory[warm + 1 :], strict=True):
        lost = (step - WARM_UP) // saved_every * LOST_A_CHECKPOINT
        assert used < (1 + MOST_GROWTH) * memory[warm] + lost, step
    assert figures["steps_compiled"] == 1
    assert set(compilations) == {compilations[0]}  # of any program
    assert figures["threads"] == []
    assert figures["files"] == []
