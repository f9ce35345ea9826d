"""Several processes that train together: how they meet, and how each ends when another is gone.

What a process waits for, when another is gone, is an operation of all of them. It fails at once
where the network tells of the end, and JAX's exception is told in one line. Where it does not,
JAX ends the process itself, from C++, when the other one's heartbeats stay away, or at once when it
was the first one, the coordinator. Python cannot catch that: a watcher says the line in its place.
"""

import contextlib
import itertools
import os
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import jax
import orbax.checkpoint as ocp

from jaxgan.errors import UserError

HEARTBEAT_SECONDS = 30
"""A process that has not been heard of for so long is gone; JAX's default is 100."""
START_SECONDS = 300
"""So long the processes wait for each other at the start."""
_PATIENCE_SECONDS = 10
_LAST_WORDS_SECONDS = 5
_MEETING_MINUTES = 15
_KEPT = "the newest checkpoint is kept: start all of them again"
_WATCHER = "import sys; sys.stdin.buffer.read() or print(sys.argv[1], file=sys.stderr)"
_PROGRAM = os.path.basename(sys.argv[0])
_watcher: subprocess.Popen | None = None
_index: int | None = None
_meetings = itertools.count()


def join(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Joins the other processes.

    What is not given is taken from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID,
    or from the cluster: a TPU pod, Slurm, Open MPI and Kubernetes tell it JAX.

    Args:
      coordinator_address: host:port of the first process.
      num_processes: how many there are.
      process_id: which one this is, from 0.

    Raises:
      UserError: nobody tells it. Where they do not come within `START_SECONDS`, this process is
        ended with a line that says so.
    """
    global _watcher, _index
    numbers = {"num_processes": num_processes, "process_id": process_id}
    for argument, given in numbers.items():
        name = f"JAX_{argument.upper()}"
        try:
            if given is None and name in os.environ:
                numbers[argument] = int(os.environ[name])
        except ValueError:
            raise UserError(f"{name}: got {os.environ[name]!r}, expected a number") from None
    # It reads until this process has ended, and is quiet if that has said goodbye.
    line = (
        f"{_PROGRAM}: error: this process was ended: by JAX, if another one is gone, or from "
        f"outside; {_KEPT}"
    )
    _watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHER, line],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process alone
    )
    try:
        with _waiting_aloud(coordinator_address or os.environ.get("JAX_COORDINATOR_ADDRESS")):
            jax.distributed.initialize(
                coordinator_address,
                num_processes=numbers["num_processes"],
                process_id=numbers["process_id"],
                # Its own end of patience is an abort, with a page of addresses in C++.
                initialization_timeout=2 * START_SECONDS + 60,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            )
        _index = jax.process_index()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"distributed: {' '.join(str(error).split())}") from None


@contextlib.contextmanager
def _waiting_aloud(address: str | None) -> Iterator[None]:
    """Tells of a start that takes long, and ends the process where it takes too long."""
    where = f" at {address}" if address else ""

    def tell():
        line = f"waits for the other processes{where}, for at most {START_SECONDS} seconds"
        print(f"{_PROGRAM}: {line}", file=sys.stderr)

    def give_up():
        leave(
            f"{_PROGRAM}: error: distributed: the other processes did not come{where} within "
            f"{START_SECONDS} seconds, expected all of them to be started"
        )

    timers = [threading.Timer(_PATIENCE_SECONDS, tell), threading.Timer(START_SECONDS, give_up)]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


def joined() -> bool:
    """Whether this process has set out to join others, and not parted from them."""
    return _watcher is not None


def meet() -> None:
    """Waits until all are here, however long each of them compiled.

    The first exchange of data on CPU allows them 30 seconds, and a busy machine more than that.
    """
    if joined():
        key = f"jaxgan_meeting_{next(_meetings)}"
        ocp.multihost.get_barrier_sync_fn()(key=key, timeout_ms=_MEETING_MINUTES * 60_000)


def tell_failure(error: Exception) -> None:
    """Prints a line for an exception that nobody foresaw, after its traceback unless it is JAX's.

    JAX's most likely says that another process is gone.
    """
    what = " ".join(str(error).split())
    of_jax = re.match(r"[A-Z]+(_[A-Z]+)*: ", what)  # one of its runtime's status codes
    if not of_jax:
        traceback.print_exception(error)
    print(
        f"{_PROGRAM}: error: process {_index} cannot go on"
        f"{', as if another one was gone' if of_jax else ''} ({what[:200]}); {_KEPT}",
        file=sys.stderr,
    )


def part() -> None:
    """Ends in order, after waiting for the others to come to their end as well."""
    if joined():
        jax.distributed.shutdown()
        _say_goodbye()


def leave(status: int | str) -> None:
    """Ends as `sys.exit` does; if it has joined others, without waiting for them."""
    if not joined():
        sys.exit(status)
    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    _say_goodbye()
    if _index == 0:
        # Its end is the end of all; they may have to say why theirs has come.
        time.sleep(_LAST_WORDS_SECONDS)
    os._exit(status)


def _say_goodbye() -> None:
    global _watcher
    if _watcher is not None:
        _watcher.communicate(b".")  # and waits for its end
    _watcher = None
