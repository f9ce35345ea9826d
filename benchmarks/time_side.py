"""Runs one side of `step_time.py`, in this process alone; the last line that it prints is JSON.

    python benchmarks/time_side.py SIDE MODEL DTYPE --start FILE --platform {cpu,gpu} [--small]

{"losses": of the first ten steps, "ms": milliseconds a step, "memory": bytes, "device": its kind}.
The file is what all sides begin from; jaxgan, which is the first to run, makes it.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import checkout  # noqa: F401
import numpy as np
import parity
from games import GAMES, SMALL

PER_CALL = {"jaxgan": 1, "jaxgan_scan": 5}
"""How many steps one call of the program does: the experiments scan over five."""

WARM_UP = 1.0
MEASURED = 3.0
"""Seconds, of at least two and three steps."""


def prepare(
    side: str, dtype: str, start: parity.Start, deterministic: bool
) -> tuple[Callable, Callable]:
    """(does one step, waits for all)."""
    # Only here: each side without the libraries of the others.
    if side in PER_CALL:
        import jaxgan_side

        return jaxgan_side.prepare(dtype, start, PER_CALL[side], deterministic)
    if side == "flax":
        import flax_reference

        return flax_reference.prepare(dtype, start)
    import torch_reference

    return torch_reference.prepare(side, dtype, start)


def milliseconds(step: Callable, wait: Callable, warm_up: float, measured: float) -> float:
    """A call's time, of as many calls as fill `measured` seconds, timed as a whole."""
    count, start = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - start < warm_up:
        step()
        wait()
        count += 1
    steps = max(3, round(measured * count / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return 1e3 * (time.perf_counter() - start) / steps


def memory(side: str, platform: str) -> int:
    """The most bytes that the side has held of the device's memory; on CPU, the process."""
    if platform == "cpu":
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if side.startswith("torch"):
        import torch

        return torch.cuda.max_memory_allocated()
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"]


def device_kind(side: str, platform: str) -> str:
    """The name of the device."""
    if side.startswith("torch"):
        import torch

        return torch.cuda.get_device_name() if platform == "gpu" else "cpu"
    import jax

    return jax.devices()[0].device_kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side")
    parser.add_argument("model")
    parser.add_argument("dtype")
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--platform", choices=("cpu", "gpu"), required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--losses", action="store_true", help="no time, the losses alone")
    parser.add_argument("--deterministic", action="store_true", help="jaxgan's steps")
    options = parser.parse_args()
    game = (SMALL if options.small else GAMES)[options.model]
    if not options.start.exists():
        import jaxgan_side

        jaxgan_side.make_start(game, options.platform).save(options.start)
    start = parity.Start.load(options.start, game, options.platform)
    step, wait = prepare(options.side, options.dtype, start, options.deterministic)
    per_call, losses = PER_CALL.get(options.side, 1), []
    for number in range(0, parity.STEPS, per_call):
        each = [np.asarray(loss.tolist()).reshape(per_call) for loss in step(number)]
        losses += np.stack(each, axis=1).tolist()
    found = {"losses": losses, "device": device_kind(options.side, options.platform)}
    if not options.losses:
        shares = 0.1 if options.small else 1.0
        of_call = milliseconds(step, wait, shares * WARM_UP, shares * MEASURED)
        found["ms"] = of_call / per_call
        found["memory"] = memory(options.side, options.platform)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
