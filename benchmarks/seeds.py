"""Times several seeds in one program against one after another, and against PyTorch.

    python benchmarks/seeds.py [--seeds 8] [--rounds 3] [--steps 300] [--what bare commands]
                               [--json results/seeds.json]

`bare`: a step of all seeds, as `--config.seeds=8` compiles it, and as many single ones, in turn and
each time in a new process: of the MLP (batch 100, averaged parameters) and of two Gaussian trials
on a ring. Where PyTorch is there, its step of the same MLP is timed, too, as its users write it and
tuned. `commands`: `mlp_gan.py` and `gaussians.py` with `--config.seeds=8` and the runs one after
another, each of `--steps` steps, whole processes, compiled programs kept from one to the next.

Times are medians of the rounds. `ratio` is the time of one after another over that of all at once.
`work_ratio` compares seconds of all cores together, which on an otherwise idle machine tells what
is saved in work, and the rest of `ratio` what is gained by keeping every core busy.
"""

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import step_time

import results

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
CALL = 5
"""Steps of one call of the compiled program, as in the experiments with images."""
BARE = {"mlp": 60_000, "ring": 32_000}
"""The games, and the steps of a training by the experiments' own configs."""
COMMANDS = {
    "mlp_gan": ["mlp_gan.py"],
    "gaussians": ["gaussians.py", "--variant=ring", "--config.trials=2"],
}


def prepare(name: str, seeds: int) -> tuple[Callable, Callable]:
    """(does `CALL` steps of all seeds, waits for them); one seed's as its own run does them."""
    from jaxgan.training import seeds as together

    if seeds > 1:
        together.prepare_devices(seeds)
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxgan import cpu

    cpu.keep_memory()
    sys.path.insert(0, str(EXPERIMENTS))
    if name == "mlp":
        import mlp_gan

        from jaxgan import data
        from jaxgan.training import adversarial

        config = mlp_gan.get_config("plain")
        images = np.random.default_rng(0).integers(0, 256, (10_000, 28, 28, 1), np.uint8)
        order = np.arange(CALL * config.batch_size).reshape(CALL, -1).astype(np.int32)

        def game_of(seed):
            key = jax.random.key(seed)
            return adversarial.make_game(mlp_gan.make_players, config, None, key)

        games = [game_of(seed) for seed in range(seeds)]
        states = [game.state for game in games]

        def steps(state, images, order):
            def one(state, index):
                return games[0].step(state, data.take_batch({"image": images}, index))

            return jax.lax.scan(one, state, order)

        shared, own = jnp.asarray(images), order
        owns = np.stack([order] * seeds)
    else:
        import gaussians

        from jaxgan.toys.gaussian_trials import make_trials

        config = gaussians.get_config(name)
        config.trials = 2
        singles = [make_trials(config) for _ in range(seeds)]
        states, steps = [trials.state for trials in singles], singles[0].steps
        shared, own = np.arange(CALL), singles[0].data_keys
        owns = jnp.stack([trials.data_keys for trials in singles])
    options = {"donate_argnums": 0, "compiler_options": cpu.compiler_options()}
    if seeds == 1:
        compiled, state = jax.jit(steps, **options), states[0]
    else:
        mesh = together.make_mesh(seeds)
        compiled = jax.jit(together.join_steps(steps, mesh), **options)
        state, own = together.place(together.join_states(states), mesh), owns
        shared = together.sharding.replicate(jnp.asarray(shared), mesh)
    now = state, None

    def step():
        nonlocal now
        now = compiled(now[0], shared, own)

    return step, lambda: jax.block_until_ready(now)


def measure_bare(name: str, seeds: int, seconds: float = 3.0) -> None:
    """Prints milliseconds of a step of `seeds` trainings: by the clock, and of all cores."""
    step, wait = prepare(name, seeds)
    for _ in range(2):  # compiles
        step()
        wait()
    start, work, calls = time.perf_counter(), time.process_time(), 0
    while calls < 3 or time.perf_counter() - start < seconds:
        step()
        wait()
        calls += 1
    for now, before in ((time.perf_counter(), start), (time.process_time(), work)):
        print(1e3 * (now - before) / (calls * CALL))


def in_a_process(*command: object) -> list[float]:
    """The numbers that a command prints last."""
    process = subprocess.run(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, check=True, text=True
    )
    return [float(word) for word in process.stdout.split()[-2:]]


def torch_sides(model: str) -> dict[str, float]:
    """Milliseconds of PyTorch's step, as its users write it and tuned."""
    with tempfile.TemporaryDirectory(prefix="jaxgan-seeds-") as folder:
        run = step_time.Runner("cpu", False, False, Path(folder), None)
        run("jaxgan", model, "float32", "--losses")  # makes what all sides begin from
        return {side: run(side, model, "float32")["ms"] for side in ("torch", "torch_tuned")}


def bare(name: str, seeds: int, rounds: int) -> dict[str, float]:
    """A row of bare steps."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for at_once, column in ((1, "one_after_another"), (seeds, "at_once")):
            wall, work = in_a_process(__file__, "--worker", name, "--seeds", at_once)
            times.setdefault(f"{column}_ms", []).append(wall * seeds / at_once)
            times.setdefault(f"{column}_work_ms", []).append(work * seeds / at_once)
        if name == "mlp" and importlib.util.find_spec("torch"):
            for side, found in torch_sides(name).items():
                times.setdefault(f"{side}_ms", []).append(found * seeds)
    return summary(times, seeds, hours=BARE[name] / 3.6e6)


def commands(name: str, seeds: int, rounds: int, steps: int) -> dict[str, float]:
    """A row of whole commands."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="jaxgan-seeds-") as folder:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/compiled"}
        for number in range(rounds):
            script, *arguments = COMMANDS[name]
            command = [sys.executable, EXPERIMENTS / script, *arguments]
            command += [f"--config.num_steps={steps}"]
            alone = [[f"--config.seed={seed}"] for seed in range(seeds)]
            for column, runs in (
                ("one_after_another", alone),
                ("at_once", [[f"--config.seeds={seeds}"]]),
            ):
                start, work = time.perf_counter(), _work_of_children()
                for index, fields in enumerate(runs):
                    workdir = f"{folder}/{column}/{number}/{index}"
                    subprocess.run(
                        [*command, "--workdir", workdir, *fields],
                        env=environment,
                        check=True,
                        capture_output=True,
                    )
                times.setdefault(f"{column}_ms", []).append(1e3 * (time.perf_counter() - start))
                work = _work_of_children() - work
                times.setdefault(f"{column}_work_ms", []).append(1e3 * work)
    return summary(times, seeds, hours=1 / 3.6e6)


def summary(times: dict[str, list[float]], seeds: int, hours: float) -> dict[str, float]:
    """Medians, trainings an hour, and ratios; `hours` of a training for each ms in `times`."""
    row = {name: statistics.median(values) for name, values in times.items()}
    for column in ("one_after_another", "at_once"):
        row[f"{column}_an_hour"] = seeds / (row[f"{column}_ms"] * hours)
    row["ratio"] = row["one_after_another_ms"] / row["at_once_ms"]
    row["work_ratio"] = row["one_after_another_work_ms"] / row["at_once_work_ms"]
    for side in ("torch", "torch_tuned"):
        if f"{side}_ms" in row:
            row[f"ratio_{side}"] = row[f"{side}_ms"] / row["at_once_ms"]
    return row


def _work_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="of each whole command")
    kinds = ["bare", "commands"]
    parser.add_argument("--what", nargs="+", default=kinds, choices=kinds)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--worker", choices=list(BARE), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measure_bare(options.worker, options.seeds)
        return
    if options.seeds < 2 or options.rounds < 1:
        parser.error("expected --seeds of 2 or more and --rounds of 1 or more")
    rows = {}
    for what in options.what:
        for name in BARE if what == "bare" else COMMANDS:
            if what == "bare":
                row = bare(name, options.seeds, options.rounds)
            else:
                row = commands(name, options.seeds, options.rounds, options.steps)
            rows[f"{what} {name}"] = row
            print(f"{what} {name}:", flush=True)
            for column, value in row.items():
                print(f"    {column:30}{value:12.3f}", flush=True)
    if options.json:
        command = f"python benchmarks/seeds.py --seeds {options.seeds}"
        spent = {"steps": options.steps, "rounds": options.rounds}
        results.write_benchmark(options.json, command, rows, packages=("torch",), **spent)


if __name__ == "__main__":
    main()
