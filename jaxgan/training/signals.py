"""SIGINT and SIGTERM: the step under way is finished and saved, and the exit status tells it."""

import contextlib
import signal
import sys
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgan.errors import UserError

__all__ = ["EXIT_CODES", "Stopped", "catch_signals", "signal_anywhere"]

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 75}
"""With what status a stopped process leaves: the shell's own for Ctrl-C; for SIGTERM, which is how
machines are taken back, EX_TEMPFAIL of sysexits.h: the same command goes on."""


class Stopped(UserError):
    """A signal asked to stop; what was reached is saved, and the same command goes on from there.

    Attributes:
      exit_code: the process's status, 75 after SIGTERM and 130 after SIGINT.
    """

    def __init__(self, name: str, reached: str):
        super().__init__(f"stopped by {name} {reached}")
        self.exit_code = EXIT_CODES[name]


@contextlib.contextmanager
def catch_signals() -> Iterator[list[str]]:
    """A list that gets the name of SIGINT or SIGTERM when one comes; the old handlers return.

    A second signal raises `KeyboardInterrupt`. Outside the main thread nothing is caught.

    Examples:
      >>> with catch_signals() as caught:
      ...     signal.raise_signal(signal.SIGTERM)
      >>> caught
      ['SIGTERM']
    """
    caught: list[str] = []

    def catch(number, frame):
        if caught:  # the second one means it
            raise KeyboardInterrupt
        caught.append(signal.Signals(number).name)
        print(
            f"\n{caught[0]}: stops after the steps under way and saves them; "
            "once more to leave at once",
            file=sys.stderr,
            flush=True,
        )

    try:
        old = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are somebody else's
        old = {}
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def signal_anywhere(caught: list[str]) -> str | None:
    """The signal that this process got, or, for all processes alike, that any of them got.

    Args:
      caught: what `catch_signals` gave. Where there are several processes all must call this, and
        they wait for each other.

    Returns:
      Its name, None where there was none.

    Examples:
      >>> signal_anywhere(["SIGTERM"])
      'SIGTERM'
    """
    if jax.process_count() == 1:
        return caught[0] if caught else None
    own = np.int32(signal.Signals[caught[0]] if caught else 0)
    number = int(multihost_utils.process_allgather(own).max())
    return signal.Signals(number).name if number else None
