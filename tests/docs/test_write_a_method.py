"""The page on writing a method: all that it shows is done, as a reader does it."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from scripts import QUICK, final_state

from jaxgan import UserError
from jaxgan.commands import evaluate, sample
from jaxgan.runs.page import read_metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write_a_method.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FILE = [block for block in BLOCKS if block.startswith("# mode_seeking.py")]
QUOTED = [block for block in BLOCKS if block.startswith("# from ")]
SCRIPT = [block for block in BLOCKS if block not in FILE + QUOTED]
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
RUN = "runs/mode_seeking"
TINY = {"num_steps": 8, "batch_size": 8, "log_every": 1, "steps_per_call": 1,
        "sample_every": 8, "eval_every": 8, "checkpoint_every": 4}  # fmt: skip


def start(folder, workdir):
    """The page's first command, with few steps, in another folder of a run."""
    python, *arguments, run = shlex.split(COMMANDS[0])
    assert (python, arguments, run) == ("python", ["mode_seeking.py", "--workdir"], RUN)
    flags = [f"--config.{name}={value}" for name, value in TINY.items()]
    result = subprocess.run(
        [sys.executable, *arguments, workdir, *flags],
        cwd=folder,
        env={**os.environ, **QUICK, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The reader's folder, with the page's file and a run by the page's command."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "mode_seeking.py").write_text("\n\n".join(FILE))
    # What the run says to be done next is the page's second command.
    assert f"Sample from this run:\n  {COMMANDS[1]}\n" in start(folder, RUN).stdout
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("mode_seeking", None)


def test_every_block_is_run_or_quoted():
    assert len(FILE) == 2
    assert len(QUOTED) == 4
    assert len(SCRIPT) == 3
    assert PAGE.count("```") == 2 * (len(BLOCKS) + 1)


def test_what_is_quoted_stands_in_the_file():
    for block in QUOTED:
        first, code = block.split("\n", 1)
        text = (ROOT / first.removeprefix("# from ")).read_text()
        assert any(textwrap.indent(code, indent) in text for indent in ("    ", "        ")), first


def test_the_blocks_run_in_their_order(trained, monkeypatch):
    monkeypatch.chdir(trained)
    names = {}
    for number, block in enumerate(SCRIPT):
        exec(compile(block, f"write_a_method.md, block {number}", "exec"), names)
        if number == 1:
            assert names["images"].shape == (16, 28, 28, 1)
    assert names["images"].shape == (4, 16, 16, 3)
    assert np.all((names["images"] >= 0) & (names["images"] <= 1))
    assert names["metrics"]["l1"] > 0


def test_the_run_is_one_like_any_other(trained, monkeypatch):
    rows = read_metrics(trained / RUN / "metrics.jsonl")
    assert all(np.isfinite(row["train/mode_seeking"]) for row in rows)
    assert "mode_seeking" in (trained / RUN / "index.html").read_text()
    monkeypatch.chdir(trained)
    for module, command, more in (
        (sample, COMMANDS[1], []),
        (evaluate, COMMANDS[2], ["--num", "64"]),
    ):
        monkeypatch.setattr("sys.argv", [*shlex.split(command)[1:], *more])
        module.main()
    assert (trained / "grid.png").is_file()
    assert (trained / RUN / "evaluation.json").is_file()


def test_it_goes_on_bit_for_bit(trained):
    """From its middle, as if it had been killed before its second checkpoint."""
    unbroken, broken = trained / RUN, trained / "runs" / "broken"
    shutil.copytree(unbroken, broken)
    shutil.rmtree(broken / "checkpoints" / "8")
    assert "goes on from the checkpoint of step 4" in start(trained, "runs/broken").stderr
    for one, other in zip(final_state(unbroken, 8), final_state(broken, 8), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_wrong_weight_is_refused(trained):
    preset = importlib.import_module("mode_seeking")
    config = preset.get_config()
    config.seeking_weight = -1.0
    line = r"^seeking_weight: got -1.0, expected 0 or more"
    with pytest.raises(UserError, match=line):
        preset.make_game(config, None, None)
