"""The README's own block, run as it stands."""

import re
from pathlib import Path

import jax.numpy as jnp

README = Path(__file__).parents[1] / "README.md"


def test_the_block_for_ones_own_code_runs():
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(compile(block, str(README), "exec"), names)
    assert int(names["state"].step) == 8
    assert names["metrics"]["generator_loss"].shape == (4,)
    assert bool(jnp.all(jnp.isfinite(names["metrics"]["generator_loss"])))
    assert names["images"].shape == (64, 28, 28, 1)


def test_the_commands_name_files_that_are_there():
    scripts = set(re.findall(r"(?:experiments|benchmarks)/\w+\.py", README.read_text()))
    assert "experiments/dcgan.py" in scripts
    assert all((README.parent / script).is_file() for script in scripts)
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text())
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
