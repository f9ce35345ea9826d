"""CI: what it runs on which Python, by `.ci/run` with commands that only say they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"
# Of an environment, its name and what was called; where a suite is to be red, it ends with 1.
TOLD = """#!/bin/sh
echo "$(basename "$VIRTUAL_ENV"): $(basename "$0") $*" >> "$TOLD"
test "$(basename "$VIRTUAL_ENV"): $(basename "$0") $*" != "$RED"
"""
PYTHON = """#!/bin/sh
case "$1 $2" in
    "-m venv")
        mkdir -p "$3/bin"
        echo "export VIRTUAL_ENV=$3 PATH=$3/bin:$PATH" > "$3/bin/activate"
        cp "$COMMANDS/told" "$3/bin/pip"
        cp "$COMMANDS/told" "$3/bin/mkdocs"
        cp "$COMMANDS/told" "$3/bin/pytest"
        ;;
esac
"""
pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="it is a script of bash")


@pytest.fixture
def ci(tmp_path):
    """Runs it; (its status, the calls of pytest)."""
    for name in ("told", "ruff", "mypy"):
        (tmp_path / name).write_text(TOLD)
    for path in (tmp_path / "python3", tmp_path / "python3.13"):
        path.write_text(PYTHON)
    for path in tmp_path.iterdir():
        path.chmod(0o755)

    def run(red=""):
        names = {"COMMANDS": tmp_path, "TOLD": tmp_path / "calls", "RED": red}
        names["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(["bash", SCRIPT], capture_output=True, env={**os.environ, **names})
        calls = (tmp_path / "calls").read_text().splitlines()
        return result.returncode, [call.strip() for call in calls if ": pytest" in call]

    return run


def test_the_suite_runs_on_the_default_python_and_on_the_newest_and_the_long_tests_on_that(ci):
    status, calls = ci()
    assert status == 0
    assert calls[0] == "default: pytest"
    assert sorted(calls[1:]) == ["newest: pytest", "newest: pytest -m long"]


@pytest.mark.parametrize("red", ["default: pytest ", "newest: pytest ", "newest: pytest -m long"])
def test_a_suite_that_fails_fails_it(ci, red):
    assert ci(red)[0] == 1
