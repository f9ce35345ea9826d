"""Bad input on the command line: one line that names the field, exit status 2, nothing written.

All commands run in one process, `many_commands.py`, none of them as far as a network; a few run as
they would by hand.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts import QUICK, run

DRIVER = Path(__file__).with_name("many_commands.py")
EXPERIMENTS = {
    **dict.fromkeys(("dcgan", "sngan", "r3gan", "acgan", "sgan", "cyclegan", "discogan"), ()),
    **dict.fromkeys(("stackgan", "classifier", "infogan", "pix2pix"), ()),
    "mlp_gan": ("plain",),
    "stacked_mnist": ("quick",),
    "gaussians": ("ring",),
}
MAY_BE_ZERO = (
    *(
        "seed",
        "device_data_mb",
        "load_size",
        "curriculum",
        "blocks",
        "residual_blocks",
        "shift",
        "codes",
        "burn_in_images",
        "ema_half_life",
    ),
)
MAY_BE_ANY_TEXT = ("data_dir", "features")  # the latter where no metrics are asked for


def fields():
    """(script, its arguments, the field that they are wrong in), for each field of each config."""
    for name, variant in EXPERIMENTS.items():
        flags = [f"--variant={name}" for name in variant]
        config = importlib.import_module(name).get_config(*variant)
        for field, value in config.items():
            if isinstance(value, bool):
                bad = ["maybe"]
            elif isinstance(value, int):
                bad = ["-1", "1.5", "many", str(2**63)]
                bad += ["0"] if field not in MAY_BE_ZERO else []
            elif isinstance(value, float):
                bad = ["-1", "nan", "inf", "1e300", "much"]
            elif isinstance(value, str) and field not in MAY_BE_ANY_TEXT:
                bad = ["nonsense"]
            else:
                bad = []
            for text in bad:
                yield name, [*flags, f"--config.{field}={text}"], field


# (what the line begins with, the script, its arguments); {0} is a folder of files for them.
OTHERS = [
    ("config.batchsize: there is no such field; did you mean batch_size", "dcgan",
     "--config.batchsize=3"),
    ("config.xyz: there is no such field; expected one of", "gaussians", "--config.xyz=3"),
    ("Unknown command line flag 'steps'", "dcgan", "--steps=5"),
    ("Unknown command line flag 'distributed'", "classifier", "--distributed"),
    ("num_processes: got 2 without --distributed, expected both", "dcgan", "--num_processes=2"),
    ("flag --process_id=-1", "dcgan", "--process_id=-1"),
    ("Unknown command line flag 'pdb'", "dcgan", "--pdb"),
    ("Unknown command line flag 'batch_size'; did you mean --config.batch_size?", "dcgan",
     "--batch_size=64"),
    ("got the argument '5'", "dcgan", "5"),
    ("variant: got 'large', expected one of plain", "mlp_gan", "--variant=large"),
    ("variant: got no name, expected one of plain", "mlp_gan", "--variant"),
    ("config.variant: got 'dropout', expected --variant", "mlp_gan", "--config.variant=dropout"),
    ("flag --stage=3", "stackgan", "--stage=3"),
    ("stage: 2 needs a finished Stage I", "stackgan", "--stage=2"),
    ("workdir: got ", "dcgan", "--workdir={0}/flat/1.png"),
    ("workdir: got ", "gaussians", "--workdir={0}/flat/1.png"),
    ("workdir: got an empty path", "gaussians", "--workdir="),
    ("workdir: {0}/old holds a run with another config", "gaussians", "--workdir={0}/old"),
    ("dataset: '{0}/nowhere' is not there", "dcgan", "--config.dataset=folder:{0}/nowhere"),
    ("dataset: '{0}/flat/1.png' is a file", "dcgan", "--config.dataset=folder:{0}/flat/1.png"),
    ("dataset: got an empty path", "dcgan", "--config.dataset=folder:"),
    ("dataset: no image in '{0}/texts'", "dcgan", "--config.dataset=folder:{0}/texts"),
    ("dataset: '{0}/climbing.zip' has '../1.png', expected paths within", "dcgan",
     "--config.dataset=folder:{0}/climbing.zip"),
    ("dataset: cannot read '{0}/no.zip' (File is not a zip file)", "dcgan",
     "--config.dataset=folder:{0}/no.zip"),
    ("dataset: '1' is in one folder alone", "pix2pix",
     "--config.dataset=folder:{0}/flat,{0}/broken"),
    ("dataset: got 'mnits', expected", "dcgan", "--config.dataset=mnits"),
    ("dataset: folder:{0}/flat has no classes", "sngan", "--config.dataset=folder:{0}/flat"),
    ("dataset: folder:{0}/flat has no classes", "classifier", "--config.dataset=folder:{0}/flat"),
    ("dataset: cannot read '{0}/broken/a/1.png'", "classifier",
     "--config.dataset=folder:{0}/broken"),
    ("dataset: no image of folder('{0}/broken', 1 images) is whole", "dcgan",
     "--config.dataset=folder:{0}/broken", "--config.on_bad_image=skip"),
    ("dataset: got 'folder:{0}/flat', expected two folders", "cyclegan",
     "--config.dataset=folder:{0}/flat"),
    ("dataset: domain a has 3 channels and domain b 1", "cyclegan",
     "--config.dataset=folder:{0}/flat,{0}/grey"),
    ("captions: no file in '{0}/flat'", "stackgan", "--config.dataset=folder:{0}/flat"),
    ("captions: line 2 of", "stackgan", "--config.dataset=folder:{0}/bad_captions"),
    ("embeddings: cannot read '{0}/flat/1.png'", "stackgan",
     "--config.dataset=folder:{0}/flat", "--config.embeddings={0}/flat/1.png"),
    ("embeddings: got float32 of shape (7, 3), expected", "stackgan",
     "--config.dataset=folder:{0}/flat", "--config.embeddings={0}/seven.npy"),
    ("on_bad_image: got 'skip', expected stop where embeddings", "stackgan",
     "--config.embeddings={0}/seven.npy", "--config.on_bad_image=skip"),
    ("labels: got 15, expected a positive multiple of the 10 classes", "sgan",
     "--config.labels=15"),
    ("labels: got 12, expected at most 4", "sgan", "--config.labels=12",
     "--config.dataset=folder:{0}/classes"),
    ("image_size: got 30, expected 28, 32, 64 or 128", "dcgan", "--config.image_size=30"),
    ("packing: got 3, expected a divisor of batch_size=100", "dcgan", "--config.packing=3"),
    ("packing: got 2, expected 1 where classes", "sngan", "--config.packing=2"),
    ("width: got 20, which gives", "r3gan", "--config.width=20"),
    ("generator_learning_rate: got -1.0, expected a positive number", "dcgan",
     "--config.sweep=generator_learning_rate=-1,1"),
    ("penalty_weight: got -1.0, expected a positive number", "gaussians", "--variant=ring",
     "--config.sweep=penalty_weight=-1,1"),
    ("sweep: got 'gan_weight=0.0,1.0', expected none", "one_step",
     "--config.sweep=gan_weight=0.0,1.0"),
    ("keep_best: fid needs fid among metrics", "dcgan", "--config.keep_best=fid"),
    ("metrics: got ", "dcgan", "--config.metrics=fid,fidd"),
    ("features: cannot read {0}/nowhere", "dcgan", "--config.metrics=fid",
     "--config.features={0}/nowhere"),
    ("num: got 3, expected 10 or more", "evaluate", "--num=3"),
    ("batch_size: got 0, expected 1", "evaluate", "--batch_size=0"),
    ("metrics: got ", "evaluate", "--metrics=fidd"),
    ("workdir: {0}/nowhere has no checkpoints", "evaluate", "--workdir={0}/nowhere"),
    ("argument --num: invalid int value: 'ten'", "sample", "--out=a.png", "--num=ten"),
    ("num: got 0, expected 1 or more", "sample", "--out=a.png", "--num=0"),
    ("out: got 'a.jpg', expected a file name ending in .png", "sample", "--out=a.jpg"),
    ("workdir: {0}/nowhere has no checkpoints", "sample", "--out=a.png", "--workdir={0}/nowhere"),
    ("what: got 'dance', expected one of", "latent", "--what=dance", "--out=a.png"),
    ("digits: got 11, expected 0 to 9", "latent", "--what=grid", "--out=a.png", "--digits",
     "7", "11"),
    ("workdir: {0}/nowhere has no checkpoints", "translate", "--input=a", "--output=b",
     "--workdir={0}/nowhere"),
    ("formats: got 'pickle', expected some of safetensors, program", "export", "--to=a",
     "--formats=pickle"),
    ("workdir: {0}/nowhere has no checkpoints", "export", "--to=a", "--workdir={0}/nowhere"),
    ("num: got 0, expected 1 or more", "stackgan_sample", "--caption=a", "--num=0"),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    for place, shape in (("flat", (9, 9, 3)), ("grey", (9, 9)), ("classes/a", (9, 9)),
                         ("classes/b", (9, 9)), ("bad_captions", (9, 9, 3))):  # fmt: skip
        (root / place).mkdir(parents=True)
        for number in (1, 2):
            Image.fromarray(np.zeros(shape, np.uint8)).save(root / place / f"{number}.png")
    for place in ("texts", "broken/a", "old"):
        (root / place).mkdir(parents=True)
    (root / "texts" / "1.txt").write_text("no image")
    (root / "broken" / "a" / "1.png").write_text("no image")
    (root / "bad_captions" / "captions.tsv").write_text("1.png\tone\n3.png\tthree\n")
    (root / "no.zip").write_text("no archive")
    with zipfile.ZipFile(root / "climbing.zip", "w") as archive:
        archive.write(root / "flat" / "1.png", "../1.png")
    (root / "old" / "config.json").write_text('{"seed": 1}')
    np.save(root / "seven.npy", np.zeros((7, 3), np.float32))
    return root


def commands(root, workdir):
    """(script, arguments, what the line has to begin with), for all of the above."""
    for name, arguments, field in fields():
        line = rf"((flag --)?config\.)?{field}(:|=)"
        yield name, ["--workdir", str(workdir), *arguments], line
    for line, name, *arguments in OTHERS:
        arguments = [argument.format(root) for argument in arguments]
        if not any(argument.startswith("--workdir") for argument in arguments):
            arguments = ["--workdir", str(workdir), *arguments]
        yield name, arguments, re.escape(line.format(root))


def is_refused(name, answer, line):
    status, told = answer
    # Of wrong types of arguments argparse tells after how the script is used.
    lines = [text for text in told.splitlines() if not re.match(r"usage:|\s", text)]
    return status == 2 and len(lines) == 1 and re.match(rf"{name}\.py: error: {line}", lines[0])


def test_each_is_refused_in_one_line_and_nothing_is_written(root, tmp_path, tally):
    asked = list(commands(root, tmp_path / "run"))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    result = subprocess.run(
        [sys.executable, DRIVER],
        input=json.dumps([[name, *arguments] for name, arguments, _ in asked]),
        capture_output=True,
        text=True,
        env={**os.environ, **QUICK},
    )
    assert result.returncode == 0, result.stderr
    wrong = [
        (name, arguments, answer)
        for (name, arguments, line), answer in zip(asked, json.loads(result.stdout), strict=True)
        if not is_refused(name, answer, line)
    ]
    tally("bad inputs refused", len(asked) - len(wrong), len(asked))
    assert not wrong, "\n".join(map(str, wrong[:20]))
    assert len(asked) > 900
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    # StackGAN asks for its folder before it knows that a stage is missing.
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    ("name", "arguments", "config", "line"),
    [
        ("gaussians", (), {"ema_decay": 1.5}, "ema_decay: got 1.5, expected a number in [0, 1)"),
        ("dcgan", ("--workdir=",), {}, "workdir: got an empty path"),
        ("sngan", (), {"dataset": "folder:nowhere"}, "dataset: 'nowhere' is not there"),
    ],
)
def test_by_hand(name, arguments, config, line, tmp_path, tally):
    result = run(name, tmp_path / "run", *arguments, **config)
    right = result.returncode == 2 and result.stderr.startswith(f"{name}.py: error: {line}")
    right = right and result.stderr.count("\n") == 1 and not (tmp_path / "run").exists()
    tally("bad inputs refused", right, 1)
    assert right, result.stderr
