"""The semi-supervised experiment as a user starts it."""

import json

import jax
import numpy as np
import pytest
import sgan
from PIL import Image
from scripts import SHORT, run

from jaxgan import UserError, data, load_generator
from jaxgan.runs.page import read_metrics


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory):
    """Dark and bright images, which anything can learn to tell apart."""
    root = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, low in (("bright", 160), ("dark", 0)):
            (root / split / name).mkdir(parents=True)
            for index in range(16):
                pixels = rng.integers(low, low + 96, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


def test_it_learns_classes_of_which_few_have_labels(two_classes, tmp_path):
    colour = {"dataset": f"folder:{two_classes}", "image_size": 8, "channels": 3}
    few = {**SHORT, "labels": 4, "labelled_batch_size": 8, "conditional": True, **colour}
    result = run("sgan", tmp_path / "run", **few)
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "run/sgan.json").read_text())
    rows = read_metrics(tmp_path / "run/metrics.jsonl")
    (measured,) = [row for row in rows if "eval/accuracy" in row]
    assert figures["labels"] == 4
    for name in ("accuracy", "accuracy_supervised"):
        assert figures[name] == measured[f"eval/{name}"] == 1
    assert "4 labels: 100.00% of test images right, 100.00% without a GAN" in result.stdout
    generate = load_generator(tmp_path / "run")
    latents = np.zeros((2, generate.inputs["latents"].dim), np.float32)
    assert generate(latents, np.array([0, 1])).shape == (2, 8, 8, 3)
    # Once more it only tells what is there.
    again = run("sgan", tmp_path / "run", **few)
    assert "is finished" in again.stderr
    assert "4 labels: 100.00%" in again.stdout


class Unlabelled:
    num_classes = None

    def __len__(self):
        return 4


@pytest.mark.parametrize(
    ("source", "fields", "message"),
    [
        (data.mnist("test"), {"labels": 25}, "labels: got 25, expected a positive multiple of the"),
        (data.mnist("test"), {"labels": 0}, "labels: got 0, expected a positive multiple of the"),
        (data.mnist("test"), {"labels": 10_010}, "labels: got 10010, expected at most 10000"),
        (data.mnist("test"), {"labels": 10_000}, "labels: got 10000, expected at most 8920, since"),
        (data.mnist("test"), {"labelled_batch_size": 0}, "labelled_batch_size: got 0, expected 1"),
        (Unlabelled(), {"dataset": "folder:x"}, "dataset: folder:x has no classes, expected"),
    ],
)
def test_bad_input_is_one_line(source, fields, message):
    config = sgan.get_config()
    config.update(fields)
    with pytest.raises(UserError) as error:
        sgan.make_game(config, source, jax.random.key(0))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
