"""The README's own block, run as it stands."""

import re
from pathlib import Path

import jax.numpy as jnp
from PIL import Image

from jaxgan.data.load import load

README = Path(__file__).parents[1] / "README.md"


def test_the_block_for_ones_own_code_runs():
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(compile(block, str(README), "exec"), names)
    assert int(names["state"].step) == 8
    assert names["metrics"]["generator_loss"].shape == (4,)
    assert bool(jnp.all(jnp.isfinite(names["metrics"]["generator_loss"])))
    images, generator = 2 * names["images"] - 1, names["generator"]
    assert images.shape == (64, 28, 28, 1)
    # Drawn by statistics of the averaged parameters' own, near to those of this very batch.
    variables, latents = names["state"].generator.ema_variables, names["latents"]
    expected, _ = generator.apply(variables, latents, train=True, mutable="batch_stats")
    stale = generator.apply(variables, latents, train=False)
    assert jnp.mean(jnp.abs(images - expected)) < 0.3 * jnp.mean(jnp.abs(stale - expected))


def test_a_folder_has_the_classes_and_splits_that_it_says(tmp_path):
    (claim,) = re.findall(r"`folder:PATH` is .*?\.(?=\s)", README.read_text(), re.DOTALL)
    claim = " ".join(claim.split())
    for name in ("train/cat/1.png", "train/dog/deep/2.png", "test/dog/3.png", "bare/4.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        Image.new("L", (4, 4)).save(path)
    train, test = (load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert ("sub-folders `train` and `test` are the splits" in claim) == (len(test) == 1)
    assert ("sub-folders, those of the first level are the classes" in claim) == (
        train.num_classes == 2 and int(test[0]["label"]) == 1
    )
    without = load(f"folder:{tmp_path}/bare", "train").num_classes is None
    assert ("where all of them lie in sub-folders" in claim) == without


def test_it_is_short_and_begins_with_the_two_commands():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    first, second = [line for line in text.splitlines() if line.startswith("    ")][:2]
    assert first == "    pip install -e . && python experiments/dcgan.py --workdir runs/"
    assert second == "    pip install -e '.[test]' && pytest"


def test_the_commands_name_files_that_are_there():
    scripts = set(re.findall(r"(?:experiments|benchmarks)/\w+\.py", README.read_text()))
    assert "experiments/dcgan.py" in scripts
    assert all((README.parent / script).is_file() for script in scripts)
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text())
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
