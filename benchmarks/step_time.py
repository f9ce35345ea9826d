"""Times a train step in jaxgan, in plain Flax and in PyTorch.

    python benchmarks/step_time.py [--models mlp dcgan28 dcgan64] [--dtypes float32 bfloat16]
                                   [--rounds 5] [--json results/step_time.json]

It first checks that all compute the same losses from the same weights for ten steps. Then the
sides take turns, each time in a new process; a time is the median of the rounds. PyTorch is timed
as its users write it, and tuned: channels-last, no gradients that are not used, the fused Adam, and
an allocator that keeps the memory it has, as jaxgan's experiments set theirs. A ratio is PyTorch's
time over jaxgan's.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import parity
from games import GAMES

import results
from jaxgan.runs.provenance import provenance

KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
}
"""To glibc, which both allocate with: memory once had is kept, and in large pages, where a step
else returns it and faults it in anew. jaxgan tells it the like by `cpu.keep_memory`."""

SIDES = {
    "jaxgan": ("jaxgan", {}),
    "flax": ("flax", {}),
    "torch": ("torch", {}),
    "torch_tuned": ("torch_tuned", KEEP_MEMORY),
}


def check(models: list[str], dtypes: list[str]) -> None:
    """Ends the program where two sides do not train the same game."""
    for model in models:
        for dtype in dtypes:
            differences = parity.largest_difference(model, dtype)
            text = ", ".join(f"{side} {value:.1e}" for side, value in differences.items())
            print(f"{model} {dtype}: losses of {parity.STEPS} steps differ by {text}", flush=True)
            # Written so that a NaN fails as well.
            if not max(differences.values()) <= parity.TOLERANCE[dtype]:
                sys.exit(
                    f"{model} {dtype}: losses differ from jaxgan's by more than "
                    f"{parity.TOLERANCE[dtype]:g}, so the sides do not train the same game"
                )


def run(side: str, model: str, dtype: str, cache: str) -> float:
    """Milliseconds a step, in a process of its own."""
    worker, environment = SIDES[side]
    command = [sys.executable, Path(__file__).with_name("time_side.py"), worker, model, dtype]
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        **environment,
    }
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return float(output.stdout.split()[-1])


def measure(model: str, dtype: str, rounds: int, cache: str) -> dict[str, str | float]:
    """One row of the table."""
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, record in times.items():
            record.append(run(side, model, dtype, cache))
    medians = {f"{side}_ms": statistics.median(record) for side, record in times.items()}
    return {
        "model": model,
        "dtype": dtype,
        **medians,
        "ratio": medians["torch_ms"] / medians["jaxgan_ms"],
        "ratio_tuned": medians["torch_tuned_ms"] / medians["jaxgan_ms"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(GAMES), choices=list(GAMES))
    dtypes = list(parity.TOLERANCE)
    parser.add_argument("--dtypes", nargs="+", default=dtypes, choices=dtypes)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds: got {options.rounds}, expected 1 or more")
    check(options.models, options.dtypes)

    columns = [f"{side}_ms" for side in SIDES] + ["ratio", "ratio_tuned"]
    print(f"\n{'model':9}{'dtype':10}" + "".join(f"{column:>17}" for column in columns))
    rows = []
    with tempfile.TemporaryDirectory(prefix="jaxgan-compiled-") as cache:
        for model in options.models:
            for dtype in options.dtypes:
                row = measure(model, dtype, options.rounds, cache)
                rows.append(row)
                values = "".join(f"{row[column]:17.2f}" for column in columns)
                print(f"{model:9}{dtype:10}{values}", flush=True)
    if options.json:
        labels = ("model", "dtype")
        figures = {
            " ".join(row[label] for label in labels): {
                name: value for name, value in row.items() if name not in labels
            }
            for row in rows
        }
        command = "python benchmarks/step_time.py"
        run = {"seed": None, "command": command, "split": None, **provenance("torch")}
        budget = {"steps": None, "examples": None, "minutes": None, "rounds": options.rounds}
        runs = [{**run, "budget": budget, "figures": figures}]
        results.write(options.json.stem, command, runs, options.json.parent)


if __name__ == "__main__":
    main()
