"""A whole training run's images a second beside those of the bare step.

    python benchmarks/loop.py [--platform cpu] [--num_steps 3000] [--data device files]

A run is `experiments/dcgan.py` as a user starts it, with its logging, pictures, evaluations and
checkpoints; its time is that of the whole process, start-up included. Its data lives on the device,
as that of small data sets does, or is read from image files as it trains: digits, written to a
folder before. The bare step is the same compiled step called in a loop on one batch, in a process
of its own before and after each run, since the speed of a shared machine drifts. Fewer steps than
the default make start-up and the last pictures weigh more. A platform is what JAX finds unless it
is given.

    python benchmarks/loop.py --loading

measures instead how fast batches are read from a folder of 64-pixel PNG files, and from a zip
archive of them, with nothing else to do: a step that takes more images a second waits for its data.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import checkout  # noqa: F401

from jaxgan.runs.page import read_metrics

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
RATE = "train/images_per_second"
JAX_PLATFORM = {"cpu": "cpu", "gpu": "cuda,cpu", "tpu": "tpu,cpu"}
FILES = 2_000


def bare_images_per_second(seconds: float) -> float:
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


def write_files(folder: Path) -> None:
    """Digits as a folder of images."""
    from PIL import Image

    from jaxgan import data

    source = data.mnist("train")
    folder.mkdir()
    for i in range(FILES):
        Image.fromarray(source[i]["image"].squeeze()).save(folder / f"{i}.png")


def loading_images_per_second(path: Path, seconds: float) -> float:
    """Batches of a folder or an archive of 64-pixel images, by the threads of `train_iterator`."""
    from jaxgan import data

    look = {"batch_size": 100, "image_size": 64, "channels": 3}
    batches = data.train_iterator(data.folder(path), **look, seed=0)
    for _ in range(8):  # what is read ahead
        next(batches)
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        next(batches)
        count += 100
    return count / (time.perf_counter() - begin)


def print_loading(seconds: float) -> None:
    """Both of them, in turn, three times."""
    from PIL import Image

    from jaxgan import data

    source = data.emoji("train")
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "emoji"
        files.mkdir()
        for i in range(FILES):
            Image.fromarray(source[i]["image"]).save(files / f"{i}.png")
        paths = {"folder": files, "archive": shutil.make_archive(str(files), "zip", files)}
        rates: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(3):
            for name, path in paths.items():
                rates[name].append(loading_images_per_second(path, seconds / 3))
    for name, found in rates.items():
        print(
            f"read from the {name}: {statistics.median(found):,.0f} images/s, 64 pixels", flush=True
        )


def run_images_per_second(num_steps: int, data: str, environment: dict[str, str]) -> float:
    """A run with data from "device" or from "files"."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "run"
        command = [sys.executable, EXPERIMENTS / "dcgan.py", "--workdir", workdir]
        command += [f"--config.num_steps={num_steps}"]
        if data == "files":
            write_files(Path(folder) / "digits")
            dataset = f"--config.dataset=folder:{folder}/digits"
            command += [dataset, "--config.device_data_mb=0"]
        begin = time.perf_counter()
        subprocess.run(
            command,
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - begin
        rates = [row[RATE] for row in read_metrics(workdir / "metrics.jsonl") if RATE in row]
    images = num_steps * 100 / seconds
    share = 100 * images / statistics.median(rates)
    print(f"the run, data from {data}: {num_steps} steps in {seconds:.0f} s", flush=True)
    print(f"that is {share:.1f} % of the median rate while it trained", flush=True)
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--platform", choices=tuple(JAX_PLATFORM), help="what JAX finds")
    parser.add_argument("--num_steps", type=int, default=3000, help="of a run (3000)")
    known = ("device", "files")
    parser.add_argument("--data", nargs="+", choices=known, default=known, help="both")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the bare step (30)")
    parser.add_argument("--bare", action="store_true", help="measure the bare step alone")
    parser.add_argument("--loading", action="store_true", help="measure the reading of files alone")
    options = parser.parse_args()
    environment = dict(os.environ)
    if options.platform:
        environment["JAX_PLATFORMS"] = JAX_PLATFORM[options.platform]
    if options.loading:
        print_loading(options.seconds)
        return
    if options.bare:
        print(bare_images_per_second(options.seconds))
        return

    def bare() -> float:
        command = [sys.executable, __file__, "--bare", f"--seconds={options.seconds}"]
        output = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
        images = float(output.stdout.split()[-1])
        print(f"the bare step: {images:.1f} images/s", flush=True)
        return images

    before = bare()
    for data in options.data:
        run = run_images_per_second(options.num_steps, data, environment)
        after = bare()
        share = 100 * run / ((before + after) / 2)
        print(
            f"the run, data from {data}, end to end: {run:.1f} images/s, "
            f"{share:.1f} % of the bare step's",
            flush=True,
        )
        before = after


if __name__ == "__main__":
    main()
