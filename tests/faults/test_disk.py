"""A disk that is full, a folder that turns read-only: one line, and nothing that was saved is lost.

The disks are small file systems in memory, which only root may mount; where that is not allowed, a
limit on the size of files stands in for them.
"""

import contextlib
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import looped
import pytest
import tiny
from PIL import Image
from scripts import QUICK, command

from jaxgan import UserError, load_generator
from jaxgan.checkpoints import digests
from jaxgan.files import write_atomically
from jaxgan.training import command_line


@contextlib.contextmanager
def disk(folder, size):
    """Mounts an empty disk of some bytes on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# TensorStore's threads still answer Orbax, which has stopped listening at the first error.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def fill(folder, free):
    """Leaves so many bytes free."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(folder / "filler", os.path.getsize(folder / "filler") - free)


def make_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


@pytest.fixture(scope="module")
def step():
    return tiny.steps()


@pytest.fixture(scope="module")
def unbroken(step, tmp_path_factory):
    return looped.train(tmp_path_factory.mktemp("unbroken") / "run", step)


def fails(workdir, step, action, reason):
    """The run ends by one line when an action comes in between the checkpoints of steps 4 and 8."""

    def act():
        while not (workdir / "checkpoints" / "4" / "SHA256SUMS").exists():
            time.sleep(0.01)
        action()

    with pytest.raises(UserError) as error:
        looped.train(workdir, looped.interrupting(step, 6, act))
    assert str(error.value) == f"workdir: cannot write {workdir}: {reason}"
    assert digests.check_files(workdir / "checkpoints" / "4") is None
    assert not (workdir / "checkpoints" / "8").exists()


@pytest.mark.parametrize("free", [0, 4096, 40960, 81920])
def test_a_disk_that_is_full_of_checkpoints(step, unbroken, tmp_path, free):
    """Whether nothing can be made, or a folder, or some of the arrays."""
    workdir = tmp_path / "run"
    with disk(workdir / "checkpoints", "1m") as checkpoints:
        full = "No space left on device"
        fails(workdir, step, lambda: fill(checkpoints, free), full)
        (checkpoints / "filler").unlink()
        summary = json.loads((workdir / "summary.json").read_text())
        assert summary["status"] == f"stopped: workdir: cannot write {workdir}: {full}"
        assert tiny.difference(looped.train(workdir, step), unbroken) == 0
        assert sorted(path.name for path in checkpoints.iterdir()) == ["12", "8"]


def test_a_folder_of_checkpoints_that_turns_read_only(step, tmp_path):
    workdir = tmp_path / "run"
    with disk(workdir / "checkpoints", "1m") as checkpoints:
        fails(workdir, step, lambda: make_read_only(checkpoints), "Read-only file system")


@pytest.mark.parametrize("free", [0, 40960])
def test_a_disk_that_is_full_of_anything(step, unbroken, tmp_path, free):
    """Of pictures and records as well, which are written in the background."""
    with disk(tmp_path / "disk", "2m") as folder:
        workdir = folder / "run"
        fails(workdir, step, lambda: fill(folder, free), "No space left on device")
        (folder / "filler").unlink()
        assert tiny.difference(looped.train(workdir, step), unbroken) == 0


def test_a_run_on_a_disk_that_is_full_does_not_start(step, tmp_path):
    with disk(tmp_path / "disk", "1m") as folder:
        fill(folder, 0)
        with pytest.raises(UserError, match=r"workdir: cannot write .*: No space left on device"):
            looped.train(folder / "run", step)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    with disk(tmp_path / "disk", "64k") as folder:
        path = write_atomically(folder / "a.txt", b"old")
        with pytest.raises(OSError, match="No space left on device"):
            write_atomically(path, bytes(100_000))
        assert path.read_bytes() == b"old"
        assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG", "EROFS"])
def test_what_a_command_writes_beside_runs_is_told_of_too(name, monkeypatch, capsys):
    """Pictures by sample.py, say, and the weights of a classifier."""
    number = getattr(errno, name)
    monkeypatch.setattr(sys, "argv", ["command.py"])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as left, command_line.reporting_errors():
            raise OSError(number, os.strerror(number), "grid.png")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert left.value.code == 2
    told = f"command.py: error: cannot write grid.png: {os.strerror(number)}\n"
    assert capsys.readouterr().err == told


def end(workdir, images, *arguments, limit=None, **config):
    """Status and stderr of a short run of mlp_gan.py, whose files may have so many bytes."""
    config = {"dataset": f"folder:{images}", "image_size": 8, "batch_size": 4, **config}

    def limited():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    run = subprocess.run(
        command("mlp_gan", workdir, *arguments, **config),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **QUICK},
        preexec_fn=limited,
    )
    return run.returncode, run.stderr


@pytest.mark.long
def test_the_command_ends_by_one_line(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(8):
        Image.new("RGB", (8, 8), (number * 30, 99, 0)).save(images / f"{number}.png")
    workdir = tmp_path / "run"
    every = {"log_every": 2, "sample_every": 4, "eval_every": 100, "checkpoint_every": 4}
    assert end(workdir, images, num_steps=4, **every)[0] == 0
    status, told = end(workdir, images, "--change_config", limit=300_000, num_steps=8, **every)
    assert status == 2, told
    assert "Traceback" not in told
    errors = [line for line in told.splitlines() if "error" in line.lower()]
    assert errors == [f"mlp_gan.py: error: workdir: cannot write {workdir}: File too large"]
    assert load_generator(workdir).step == 4
