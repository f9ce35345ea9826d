"""A run of mlp_gan.py as a process, so small that it starts in seconds and a step takes one ms."""

import os
import socket
import subprocess
import threading
import time

import numpy as np
from PIL import Image
from scripts import QUICK, command

CONFIG = {
    "image_size": 8,
    "batch_size": 4,
    "num_steps": 100_000,
    "log_every": 5,
    "sample_every": 10,
    "eval_every": 100_000,
    "checkpoint_every": 10,
}


def make_images(folder):
    """Writes twenty images of noise, smaller than any digits."""
    rng = np.random.default_rng(0)
    for number in range(20):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def free_port():
    """A port of this machine that nobody listens to."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def pair_environments():
    """What the environments of two processes say, for them to train together on this machine."""
    shared = {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    return [{**shared, "JAX_PROCESS_ID": str(index)} for index in range(2)]


class SmallRun:
    """A started process.

    Attributes:
      process: the `Popen`.
      lines: what it has said on stderr so far, read as it comes.
    """

    def __init__(self, images, workdir, *arguments, environment=None, **config):
        config = {"dataset": f"folder:{images}", **CONFIG, **config}
        self.lines, self._times = [], []
        self._said = threading.Condition()
        self.process = subprocess.Popen(
            command("mlp_gan", workdir, *arguments, **config),
            # One device, as on a laptop: the eight of this suite are for the tests of sharding.
            env={**os.environ, **QUICK, **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def says(self, text):
        """Whether it has said so."""
        return any(text in line for line in self.lines)

    def said_at(self, text):
        """When it said so for the first time, by the monotonic clock."""
        return next(t for line, t in zip(self.lines, self._times, strict=False) if text in line)

    def wait_for(self, text):
        """Waits until it has said so; fails if it ends before."""
        with self._said:
            self._said.wait_for(lambda: self.says(text) or not self._reader.is_alive())
        assert self.says(text), "\n".join(self.lines)

    def end(self, timeout=300):
        """Waits for the end of the process and of its stderr; its status."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def kill(self):
        """Ends it at once, if it has not ended."""
        self.process.kill()
        self.end()
        self.process.stderr.close()

    def _read(self):
        for line in self.process.stderr:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._times.append(time.monotonic())
                self._said.notify_all()
        with self._said:
            self._said.notify_all()
