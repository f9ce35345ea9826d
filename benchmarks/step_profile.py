"""Where the time of a train step goes on CPU, by kind of operation, from a profile.

    python benchmarks/step_profile.py [mlp dcgan28 dcgan64] [--dtype float32] [--steps 10]

XLA's profiler times each operation on its own thread. It sees convolutions only begin, so theirs is
the rest of the step's time, and their rate the least operations of `flops.py` over it, beside that
of a large matrix product in the same process, the peak. Operations that overlap make the rest look
smaller than it is.
"""

import argparse
import collections
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import flops
import jax
import jax.numpy as jnp
import jaxgan_side
from games import GAMES, OF_CPU

import results

KINDS = (
    # What an operation's name, and then its line of HLO, says of it; the first that fits counts.
    ("moving data", r"^(transpose|copy|concatenate|bitcast|pad|slice)"),
    ("matrix products", r"^dot|^ynn.* f32\[\d+,\d+\]"),
    ("sums", r"^ynn|reduce"),
    ("elementwise", r"fusion|^wrapped|^call"),
)


def timed(step: Callable, wait: Callable, steps: int) -> float:
    """Median milliseconds of a step."""
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)[steps // 2]


def peak() -> float:
    """GFLOP/s of a product of two matrices that stay in cache."""
    size = 2048
    product = jax.jit(jnp.dot)
    matrix, last = jnp.ones((size, size)), []

    def step():
        last[:] = [product(matrix, matrix)]

    step()
    return 2e-6 * size**3 / timed(step, lambda: jax.block_until_ready(last), 9)


def operations(step: Callable, wait: Callable, steps: int) -> dict[str, float]:
    """Milliseconds a step of every operation that the profiler saw whole, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(steps):
                step()
            wait()
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(file))
    found = collections.Counter()
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events:
                if "hlo_op" in dict(event.stats):
                    found[event.name] += event.duration_ns / 1e6 / steps
    return found


def by_kind(found: dict[str, float], program: str) -> dict[str, float]:
    """Milliseconds of each of `KINDS`, the convolutions' beginnings left out."""
    shapes = dict(re.findall(r"%(\S+) = (\S+) ", program))
    totals = dict.fromkeys((kind for kind, _ in KINDS), 0.0)
    for name, milliseconds in found.items():
        text = f"{name} {shapes.get(name, '')}"
        for kind, pattern in KINDS:
            if re.search(pattern, text):
                totals[kind] += milliseconds
                break
    return totals


def profile(name: str, dtype: str, steps: int) -> dict[str, float]:
    """Prints one game's table, and returns the shares of the step."""
    game = GAMES[name]
    step, wait = jaxgan_side.prepare(dtype, jaxgan_side.make_start(game, "cpu"))
    for _ in range(3):
        step()
    wait()
    whole = timed(step, wait, steps)
    state, batch = jax.eval_shape(lambda: jaxgan_side.init(game)), jaxgan_side.batch_shapes(game)
    program = flops.compile_step(jaxgan_side.make_step(game, dtype), state, batch, "platform")
    totals = by_kind(operations(step, wait, steps), program.as_text())
    rest = "convolutions, and the rest"
    totals[rest] = max(whole - sum(totals.values()), 0.0)
    print(f"\n{name} {dtype}: {whole:.1f} ms a step")
    for kind, milliseconds in sorted(totals.items(), key=lambda item: -item[1]):
        print(f"{kind:28}{milliseconds:9.2f} ms{100 * milliseconds / whole:6.0f} %")
    if name != "mlp":
        least = flops.least_operations(
            *jaxgan_side.make_players(game), state, game.batch, game.latent_dim, game.image_shape
        )
        rate, most = least / totals[rest] / 1e6, peak()
        print(f"{rest}: {rate:.0f} GFLOP/s, of {most:.0f} at the peak ({100 * rate / most:.0f} %)")
    return {kind: milliseconds / whole for kind, milliseconds in totals.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"of {', '.join(OF_CPU)}; all unless given")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--json", type=Path, help="file to write the shares to")
    options = parser.parse_args()
    figures = {}
    for name in options.models or OF_CPU:
        if name not in OF_CPU:
            parser.error(f"got {name!r}, expected one of {', '.join(OF_CPU)}")
        figures[name] = profile(name, options.dtype, options.steps)
    if options.json:
        command = f"python benchmarks/step_profile.py --dtype {options.dtype}"
        results.write_benchmark(options.json, command, figures, steps=options.steps)


if __name__ == "__main__":
    main()
