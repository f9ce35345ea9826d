"""Times a train step in jaxgan and in PyTorch, on CPU also in plain Flax.

    python benchmarks/step_time.py --platform cpu [--models mlp dcgan28 dcgan64] [--rounds 5]
    python benchmarks/step_time.py --platform gpu [--minutes 14] [--json results/step_time_gpu.json]
    python benchmarks/step_time.py --small

A platform is what JAX finds unless it is given. Every side runs in new processes of its own, and
does ten steps first from the same weights, whose losses have to be the same; then it is timed. On
CPU all are compared before any is timed; the sides take turns, and a time is the median of the
rounds. On a GPU each row is told, and written, as soon as it is there; what fails, for want of
memory, say, is a line, and so is what there is no time for. `--small` makes that table of tiny
games, on a CPU as well.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import checkout  # noqa: F401
import parity
from games import GAMES, OF_CPU, SMALL
from peaks import peak

import results

KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
}
"""To glibc, which both allocate with: memory once had is kept, and in large pages, where a step
else returns it and faults it in anew. jaxgan tells it the like by `cpu.keep_memory`."""

ENVIRONMENT = {"torch_tuned": KEEP_MEMORY}
JAX_PLATFORM = {"cpu": "cpu", "gpu": "cuda,cpu"}


class Table(NamedTuple):
    """What is timed, and how it is told.

    Attributes:
      models: names of games.
      dtypes: of the computation.
      sides: in turn; the first is jaxgan's.
      rounds: how often each is timed, unless it is said.
      of_accelerators: whether images a second, a share of the peak and memory are told.
    """

    models: tuple[str, ...]
    dtypes: tuple[str, ...]
    sides: tuple[str, ...]
    rounds: int
    of_accelerators: bool

    def columns(self) -> list[str]:
        """The names of the figures."""
        ratios = [f"ratio{side.removeprefix('torch')}" for side in self.torch()]
        if not self.of_accelerators:
            return [f"{side}_ms" for side in self.sides] + ratios
        each = ("images_per_s", "share_of_peak", "memory_mb")
        return [f"{side}_{name}" for name in each for side in self.sides] + ratios

    def rows(self) -> list[tuple[str, str]]:
        """(model, dtype); of accelerators, whose time is short, all games before the next dtype."""
        if self.of_accelerators:
            return [(model, dtype) for dtype in self.dtypes for model in self.models]
        return [(model, dtype) for model in self.models for dtype in self.dtypes]

    def torch(self) -> list[str]:
        return [side for side in self.sides if side.startswith("torch")]


OF_CPUS = Table(
    OF_CPU, ("float32", "bfloat16"), ("jaxgan", "flax", "torch", "torch_tuned"), 5, False
)
OF_ACCELERATORS = Table(
    tuple(SMALL),
    ("tf32", "bfloat16", "float32"),
    ("jaxgan", "jaxgan_scan", "torch", "torch_compiled"),
    1,
    True,
)


class Failed(Exception):
    """A side could not be run; its text is one line."""


class Runner(NamedTuple):
    """Starts the sides' processes.

    Attributes:
      platform: "cpu" or "gpu".
      small: whether games are those of `SMALL`.
      deterministic: whether jaxgan's steps are to be.
      folder: for compiled programs, and what the sides begin from.
      ends: when there is no more time, by `time.monotonic`; None for never.
    """

    platform: str
    small: bool
    deterministic: bool
    folder: Path
    ends: float | None

    def __call__(self, side: str, model: str, dtype: str, *more: str) -> dict[str, Any]:
        """What `time_side.py` finds.

        Raises:
          Failed: with the last line that the process wrote.
        """
        left = None if self.ends is None else self.ends - time.monotonic()
        if left is not None and left <= 0:
            raise Failed("no time is left")
        worker = Path(__file__).with_name("time_side.py")
        command = [sys.executable, worker, side, model, dtype, "--platform", self.platform, *more]
        command += ["--start", self.folder / f"{model}.npz", *(["--small"] if self.small else [])]
        command += ["--deterministic"] if self.deterministic else []
        environment = {
            **os.environ,
            "JAX_PLATFORMS": JAX_PLATFORM[self.platform],
            "JAX_COMPILATION_CACHE_DIR": str(self.folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            # Else a shared one, in which a process that was ended leaves files cut short.
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
            **ENVIRONMENT.get(side, {}),
        }
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=left
            )
        except subprocess.TimeoutExpired:
            raise Failed("no time was left to finish") from None
        if done.returncode:
            raise Failed(_reason(done.stderr, done.returncode))
        return json.loads(done.stdout.splitlines()[-1])


def _reason(stderr: str, status: int) -> str:
    """What a process says of its end, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in reversed(lines):
        if "out of memory" in line.lower() or "RESOURCE_EXHAUSTED" in line:
            return f"out of memory: {line[:200]}"
    return lines[-1][:200] if lines else f"exit status {status}"


def differences(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How far the losses of each other side are from jaxgan's."""
    ours = found["jaxgan"]["losses"]
    return {
        side: parity.largest_difference(one["losses"], ours)
        for side, one in found.items()
        if side != "jaxgan"
    }


def tell_differences(model: str, dtype: str, differ: dict[str, float]) -> None:
    text = ", ".join(f"{side} {value:.1e}" for side, value in differ.items())
    print(f"{model} {dtype}: losses of {parity.STEPS} steps differ by {text}", flush=True)


def leave_out_other_games(model: str, dtype: str, found: dict[str, dict[str, Any]]) -> None:
    """Tells how far losses differ, and takes out the sides that train another game."""
    if "jaxgan" not in found or len(found) == 1:
        return
    differ = differences(found)
    tell_differences(model, dtype, differ)
    for side, value in differ.items():
        if not value <= parity.TOLERANCE[dtype]:
            print(f"{model} {dtype} {side}: not the same game, left out", flush=True)
            del found[side]


def check(table: Table, run: Runner) -> None:
    """Ends the program where two sides do not train the same game."""
    for model, dtype in table.rows():
        try:
            found = {side: run(side, model, dtype, "--losses") for side in table.sides}
        except Failed as failed:
            sys.exit(f"{model} {dtype}: {failed}")
        differ = differences(found)
        tell_differences(model, dtype, differ)
        # Written so that a NaN fails as well.
        if not max(differ.values(), default=0.0) <= parity.TOLERANCE[dtype]:
            sys.exit(
                f"{model} {dtype}: losses differ from jaxgan's by more than "
                f"{parity.TOLERANCE[dtype]:g}, so the sides do not train the same game"
            )


def time_sides(table: Table, run: Runner, model: str, dtype: str) -> dict[str, dict[str, Any]]:
    """The medians of each side over the rounds; a side that fails is told of and left out."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in table.sides}
    for _ in range(table.rounds):
        for side in list(found):
            try:
                found[side].append(run(side, model, dtype))
            except Failed as failed:
                if not table.of_accelerators:
                    sys.exit(f"{model} {dtype} {side}: {failed}")
                print(f"{model} {dtype} {side}: {failed}", flush=True)
                del found[side]
    return {
        side: {**each[0], "ms": statistics.median(one["ms"] for one in each)}
        for side, each in found.items()
    }


def row_of(
    table: Table,
    found: dict[str, dict[str, Any]],
    images: int,
    operations: float | None,
    most: float | None,
) -> dict[str, float | None]:
    """The figures of one row by column; None where there is none.

    Args:
      found: of each side that ran.
      images: of a step.
      operations: of a step.
      most: operations a second of the device.
    """
    row: dict[str, float | None] = dict.fromkeys(table.columns())
    for side, one in found.items():
        seconds = one["ms"] / 1e3
        figures = {
            "ms": one["ms"],
            "images_per_s": images / seconds,
            "share_of_peak": operations / seconds / most if operations and most else None,
            "memory_mb": one["memory"] / 1e6,
        }
        row |= {f"{side}_{name}": figures[name] for name in figures if f"{side}_{name}" in row}
        if side in table.torch() and "jaxgan" in found:
            row[f"ratio{side.removeprefix('torch')}"] = one["ms"] / found["jaxgan"]["ms"]
    return row


def write(file: Path, rows: dict[str, dict[str, float | None]], options, device: str) -> None:
    """Writes the rows that there are."""
    flags = [f"--{name}" for name in ("small", "deterministic") if getattr(options, name)]
    command = " ".join(["python benchmarks/step_time.py", f"--platform {options.platform}", *flags])
    results.write_benchmark(
        file,
        command,
        rows,
        packages=("torch",),
        origin={} if options.platform == "cpu" else {"processor": device},
        minutes=options.minutes,
        rounds=options.rounds,
    )


def found_platform() -> str:
    """What JAX runs on here, asked of a process that ends, and holds no device, afterwards."""
    code = "import jax; print(jax.default_backend())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return found.stdout.split()[-1]


def read_options() -> tuple[argparse.Namespace, Table]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--platform", choices=tuple(JAX_PLATFORM), help="what JAX finds")
    parser.add_argument("--small", action="store_true", help="tiny games; the accelerators' table")
    parser.add_argument("--models", nargs="+", choices=list(GAMES))
    parser.add_argument("--dtypes", nargs="+", choices=list(parity.TOLERANCE))
    parser.add_argument("--sides", nargs="+", help="jaxgan and some of the others")
    parser.add_argument("--rounds", type=int, help="5 on CPU, 1 on a GPU")
    parser.add_argument("--minutes", type=float, help="begin nothing later than this")
    parser.add_argument(
        "--peak",
        nargs="+",
        default=[],
        metavar="DTYPE=TFLOPS",
        help="of the device, such as bfloat16=989, in place of the table's",
    )
    deterministic = "jaxgan's steps by --config.deterministic=True, to see what it costs"
    parser.add_argument("--deterministic", action="store_true", help=deterministic)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args()
    found = found_platform()
    options.platform = options.platform or found
    if options.platform not in JAX_PLATFORM:
        parser.error(f"--platform: JAX finds {found}, expected one of {', '.join(JAX_PLATFORM)}")
    if options.platform == "gpu" != found:
        parser.error(f"--platform: got gpu, but JAX finds {found} alone")
    accelerators = options.small or options.platform == "gpu"
    table = OF_ACCELERATORS if accelerators else OF_CPUS
    for name in ("models", "dtypes", "sides"):
        for value in getattr(options, name) or ():
            if value not in getattr(table, name):
                known = ", ".join(getattr(table, name))
                parser.error(f"--{name}: got {value}, expected some of {known}")
    options.rounds = table.rounds if options.rounds is None else options.rounds
    if options.rounds < 1:
        parser.error(f"--rounds: got {options.rounds}, expected 1 or more")
    try:
        options.peak = {
            dtype: 1e12 * float(value)
            for dtype, value in (given.split("=") for given in options.peak)
        }
        if not set(options.peak) <= set(parity.TOLERANCE):
            raise ValueError
    except ValueError:
        parser.error(f"--peak: expected DTYPE=TFLOPS, with {', '.join(parity.TOLERANCE)}")
    if options.sides and options.sides[0] != "jaxgan":
        parser.error(f"--sides: got {options.sides[0]} first, expected jaxgan, as the others start")
    names = ("models", "dtypes", "sides")
    chosen = {name: tuple(getattr(options, name)) for name in names if getattr(options, name)}
    return options, table._replace(rounds=options.rounds, **chosen)


def main() -> None:
    options, table = read_options()
    games = SMALL if options.small else GAMES
    ends = options.minutes and time.monotonic() + 60 * options.minutes
    rows: dict[str, dict[str, float | None]] = {}
    with tempfile.TemporaryDirectory(prefix="jaxgan-step-time-") as folder:
        run = Runner(options.platform, options.small, options.deterministic, Path(folder), ends)
        if not table.of_accelerators:
            check(table, run)
            columns = "".join(f"{column:>17}" for column in table.columns())
            print(f"\n{'model':9}{'dtype':10}{columns}")
        for model, dtype in table.rows():
            found = time_sides(table, run, model, dtype)
            if not found:
                continue
            device = next(iter(found.values()))["device"]
            operations = None
            if table.of_accelerators:
                leave_out_other_games(model, dtype, found)
                operations = _operations(games[model])
            most = options.peak.get(dtype) or peak(device, dtype)
            images = games[model].batch * (2 if model == "cyclegan" else 1)
            row = row_of(table, found, images, operations, most)
            rows[f"{model} {dtype}"] = row
            tell(table, model, dtype, row)
            if options.json:
                write(options.json, rows, options, device)


@functools.cache
def _operations(game) -> float:
    # Only here: of a GPU this process takes nothing, which others are to have.
    import jax

    jax.config.update("jax_platforms", "cpu")
    import flops

    return flops.counted(game)


def tell(table: Table, model: str, dtype: str, row: dict[str, float | None]) -> None:
    """Prints a row: on CPU a line, of the many figures else a line for each side."""
    if not table.of_accelerators:
        print(f"{model:9}{dtype:10}" + "".join(f"{row[c]:17.2f}" for c in row), flush=True)
        return
    for side in table.sides:
        rate = row[f"{side}_images_per_s"]
        if rate is None:
            continue
        share, ratio = row[f"{side}_share_of_peak"], row.get(f"ratio{side.removeprefix('torch')}")
        print(
            f"{model:10}{dtype:10}{side:15}{rate:12,.1f} images/s"
            f"{'' if share is None else f'{100 * share:8.2f} % of peak'}"
            f"{row[f'{side}_memory_mb']:10,.0f} MB"
            f"{'' if ratio is None else f'   jaxgan is {ratio:.2f} times as fast'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
