"""From process start to the first finished steps of the default DCGAN, cold and warm.

    python benchmarks/startup.py --rounds 3

Cold: nothing compiled before. Warm: started again, in a new folder, with the programs that the
cold start left in JAX's persistent cache, which every experiment keeps. The time runs until the
first line of progress, at step 5, which is one call of the compiled step; those five steps are
part of it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "dcgan.py"


def start(folder: Path, cache: Path) -> float:
    command = [sys.executable, EXPERIMENT, "--workdir", folder, "--config.log_every=5"]
    begin = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)},
    )
    for line in process.stderr:
        if line.startswith("step"):
            break
    seconds = time.perf_counter() - begin
    process.kill()
    process.communicate()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="cold and warm starts each (3)")
    rounds = parser.parse_args().rounds
    times = {"cold": [], "warm": []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name in times:
                seconds = start(Path(folder) / name, Path(folder) / "cache")
                times[name].append(seconds)
                print(f"round {number + 1} of {rounds}: {name} {seconds:.1f} s", flush=True)
    for name, seconds in times.items():
        print(f"{name} start to the first five steps: {statistics.median(seconds):.1f} s")


if __name__ == "__main__":
    main()
