"""A whole training run's images a second beside those of the bare step.

    python benchmarks/loop.py
    python benchmarks/loop.py --num_steps 600

The run is `experiments/dcgan.py` as a user starts it, with its logging, pictures, evaluations and
checkpoints; its time is that of the whole process, start-up included. The bare step is the same
compiled step called in a loop on one batch, in a process of its own before and after the run,
since the speed of a shared machine drifts. Fewer steps than the default make start-up and the
last pictures weigh more.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jaxgan.runs.page import read_metrics

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
RATE = "train/images_per_second"


def bare_images_per_second(seconds: float = 30.0) -> float:
    """The step alone, in this process."""
    sys.path.insert(0, str(EXPERIMENTS))
    import dcgan
    import jax

    from jaxgan import cpu, data
    from jaxgan.training import adversarial, command_line

    # As the experiments' own processes are set up.
    cpu.keep_memory()
    command_line.keep_compilations()
    config = dcgan.get_config()
    game = adversarial.make_game(dcgan.make_players, config, data.mnist("train"), jax.random.key(0))
    options = cpu.compiler_options()
    step = jax.jit(game.step, donate_argnums=0, compiler_options=options)
    state = game.state
    shape = (config.batch_size, config.image_size, config.image_size, config.channels)
    batch = {"image": jax.random.uniform(jax.random.key(1), shape, minval=-1)}
    times = []
    state, _ = step(state, batch)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(5):
            state, metrics = step(state, batch)
        jax.block_until_ready((state, metrics))
        times.append((time.perf_counter() - start) / 5)
    return config.batch_size / statistics.median(times)


def run_images_per_second(num_steps: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, EXPERIMENTS / "dcgan.py", "--workdir", Path(folder) / "run"]
        begin = time.perf_counter()
        subprocess.run(
            [*command, f"--config.num_steps={num_steps}"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - begin
        rates = [row[RATE] for row in read_metrics(folder + "/run/metrics.jsonl") if RATE in row]
    images = num_steps * 100 / seconds
    share = 100 * images / statistics.median(rates)
    print(f"the run: {num_steps} steps in {seconds:.0f} s", flush=True)
    print(f"that is {share:.1f} % of the median rate while it trained", flush=True)
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num_steps", type=int, default=3000, help="of the run (3000)")
    parser.add_argument("--bare", action="store_true", help="measure the bare step alone")
    arguments = parser.parse_args()
    if arguments.bare:
        print(bare_images_per_second())
        return

    def bare() -> float:
        command = [sys.executable, __file__, "--bare"]
        images = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"the bare step: {images:.1f} images/s", flush=True)
        return images

    before = bare()
    run = run_images_per_second(arguments.num_steps)
    after = bare()
    mean = (before + after) / 2
    print(f"the run, end to end: {run:.1f} images/s, {100 * run / mean:.1f} % of the bare step's")


if __name__ == "__main__":
    main()
