"""20,000 steps with pictures and checkpoints at every hundredth: nothing grows, nothing is left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WARM_UP = 5_000  # steps
MOST_GROWTH = 0.01


@pytest.mark.long
def test_memory_compilations_threads_and_files_after_many_steps(tmp_path):
    result = subprocess.run(
        [sys.executable, Path(__file__).parent / "endurance.py", tmp_path],
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    steps, memory, compilations = zip(*figures["measured"], strict=True)
    assert steps[-1] == 20_000
    warm = steps.index(WARM_UP)
    print([round(used / 2**20, 1) for used in memory])
    assert max(memory[warm + 1 :]) < (1 + MOST_GROWTH) * memory[warm]
    assert figures["steps_compiled"] == 1
    assert set(compilations) == {compilations[0]}  # of any program
    assert figures["threads"] == []
    assert figures["files"] == []
