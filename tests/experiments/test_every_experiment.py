"""Every experiment, started as the README says and ended after two steps: all of them still start.

What is in the suite otherwise calls their functions, whose configs no command line has read.
"""

import importlib.util

import numpy as np
import pytest
from PIL import Image
from scripts import run

from jaxgan.metrics.efficientnet import VARIANTS

FEW = {"num_steps": 2, "batch_size": 8, "log_every": 1}
NARROW = {**FEW, "width": 4}
PROJECTED = {**NARROW, "disc_width": 4, "metrics": ""}
NARROW_CRITIC = {**NARROW, "disc_width": 4}
SEEN_BY_LITE = ("projected_gan", "super_resolution", "tokenizer")
STACKGAN = {
    **NARROW,
    "matching_steps": 2,
    "matching_batch_size": 4,
    "stage_one_size": 16,
    "stage_one_steps": 2,
    "stage_one_width": 4,
    "stage_one_disc_width": 4,
    "image_size": 32,
    "disc_width": 4,
}
MULTIPLES = {"log_every": 100, "sample_every": 100, "eval_every": 100, "checkpoint_every": 100}
TOY = {"num_steps": 100, "steps_per_call": 100, "trials": 2, **MULTIPLES}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of images; the first has captions."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir()
        for number in range(8):
            pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    lines = [f"{number}.png\timage number {number}" for number in range(8)]
    (root / "a" / "captions.tsv").write_text("\n".join(lines))
    return root


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "arguments", "config"),
    [
        ("dcgan", (), FEW),
        ("lsgan", (), FEW),
        ("mlp_gan", (), FEW),
        ("mlp_gan", ("--variant=dropout",), FEW),
        ("mlp_gan", ("--variant=batch_norm",), FEW),
        ("wgan_gp", (), FEW),
        ("sngan", (), NARROW),
        ("r3gan", (), {**FEW, "width": 32}),
        (
            "r3gan",
            ("--variant=ffhq64",),
            {**FEW, "dataset": "folder:{0}/a", "image_size": 32, "width": 32},
        ),
        ("projected_gan", (), PROJECTED),
        ("projected_gan", ("--variant=plain",), PROJECTED),
        ("acgan", (), FEW),
        ("sgan", (), {**FEW, "labelled_batch_size": 2}),
        ("classifier", (), {"batch_size": 2000, "epochs": 1}),
        ("gaussians", ("--variant=line",), TOY),
        ("gaussians", ("--variant=ring",), TOY),
        ("gaussians", ("--variant=grid",), TOY),
        ("stacked_mnist", ("--variant=plain",), FEW),
        ("stacked_mnist", ("--variant=packed",), FEW),
        ("stacked_mnist", ("--variant=quick",), FEW),
        ("cyclegan", (), {**NARROW, "dataset": "folder:{0}/a,{0}/b", "image_size": 32}),
        ("discogan", (), {**NARROW, "dataset": "folder:{0}/a,{0}/b", "image_size": 32}),
        (
            "discogan",
            ("--variant=emoji",),
            {**NARROW, "dataset": "folder:{0}/a,{0}/b", "image_size": 32},
        ),
        ("infogan", (), FEW),
        ("pix2pix", (), {**NARROW, "dataset": "folder:{0}/a,{0}/b", "image_size": 32}),
        ("super_resolution", (), NARROW_CRITIC),
        ("tokenizer", (), NARROW_CRITIC),
        ("stackgan", (), {**STACKGAN, "dataset": "folder:{0}/a"}),
        ("one_step", (), {**NARROW, "teacher_steps": 2, "metrics": ""}),
    ],
)
def test_it_starts_and_ends(name, arguments, config, folders, tmp_path):
    installed = all(importlib.util.find_spec(variant.package) for variant in VARIANTS.values())
    if name in SEEN_BY_LITE and not arguments and not installed:
        pytest.skip("needs the extra `features`")
    config = {
        field: value.format(folders) if isinstance(value, str) else value
        for field, value in config.items()
    }
    result = run(name, tmp_path / "run", *arguments, **config)
    assert result.returncode == 0, result.stderr
    made = {"classifier": "mnist.msgpack"}.get(name, "**/index.html")
    assert list((tmp_path / "run").glob(made))
