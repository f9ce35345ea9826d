"""Times one side of `step_time.py`, in this process alone; prints milliseconds a step.

python benchmarks/time_side.py {jaxgan,flax,torch,torch_tuned} MODEL DTYPE
"""

import sys
import time
from collections.abc import Callable

WARM_UP = 1.0
MEASURED = 3.0
"""Seconds, of at least two and three steps."""


def prepare(side: str, name: str, dtype: str) -> tuple[Callable, Callable]:
    """(does one step, waits for all)."""
    # Only here: each side without the libraries of the others.
    if side == "jaxgan":
        import jaxgan_side

        return jaxgan_side.prepare(name, dtype)
    if side == "flax":
        import flax_reference

        return flax_reference.prepare(name, dtype)
    import torch_reference

    return torch_reference.prepare(name, dtype, tuned=side == "torch_tuned")


def milliseconds(step: Callable, wait: Callable) -> float:
    """A step's time, of as many steps as fill `MEASURED` seconds, timed as a whole."""
    step()  # compiles
    wait()
    count, start = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - start < WARM_UP:
        step()
        wait()
        count += 1
    steps = max(3, round(MEASURED * count / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return 1e3 * (time.perf_counter() - start) / steps


if __name__ == "__main__":
    print(milliseconds(*prepare(*sys.argv[1:])))
