"""What the report of `one_step.py` measures: students of one step beside their teacher's steps."""

import functools
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import cpu
from jaxgan.errors import UserError
from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.features import collect_features, evaluate_features, generated_batches
from jaxgan.inference.load import load_generator
from jaxgan.inputs import Generate, Latents
from jaxgan.methods import integrate
from jaxgan.runs.evaluations import format_table, write_evaluation
from jaxgan.runs.pictures import image_grid, save_image
from jaxgan.step import apply_eval
from jaxgan.training import distillation
from jaxgan.training.config import image_shape
from jaxgan.training.feature_metrics import load_network, reference_and_floor
from jaxgan.training.sources import load_split
from jaxgan.training.state_file import read_state

NUM = 10_000
STEPS = (1, 4, 50)
SHOWN = 10
METRICS = ("fid", "prdc")


def report(config, workdir):
    """Prints the table; evaluation.json and one_step.png in the run's folder keep it."""
    if not config.metrics:
        return
    workdir = Path(workdir)
    reference, floor = reference_and_floor(config, config.evaluate_on)
    sources = {split: load_split(config, split) for split in (reference, floor)}
    if sources[reference] is None:
        return
    print(f"\nmeasuring {NUM:,} images of each, which takes a few minutes")
    network = load_network(config.features, METRICS, image_shape(config))
    look = {name: config[name] for name in ("dataset", "image_size", "channels")}
    real = {
        split: real_features(network, source, min(NUM, len(source)), split=split, **look)
        for split, source in sources.items()
    }
    student = load_generator(workdir)
    ways = {_teacher(count): teacher_of(config, workdir, count) for count in STEPS}
    if config.gan_weight:
        ways["student without"] = load_generator(workdir / "without")
    ways["student"] = student
    table = {}
    for name, generate in ways.items():
        made = collect_features(network, generated_batches(generate, NUM), NUM)
        table[name] = evaluate_features(real[reference], made, METRICS)
    table["real"] = evaluate_features(real[reference], real[floor], METRICS)
    best, found = table[_teacher(STEPS[-1])]["fid"], table["student"]["fid"]
    said = (
        f"the student in one step is {'no worse' if found <= best else 'worse'} than its teacher "
        f"in {STEPS[-1]}: FID {found:.2f} against {best:.2f}"
    )
    record = {"split": config.evaluate_on, "network": {"name": network.name}, "found": said}
    file = write_evaluation(workdir, student.step, {**record, **table}, table["student"])
    # The same noise in each column.
    drawn = jax.random.normal(jax.random.key(config.seed), (SHOWN, config.latent_dim))
    rows = np.concatenate([np.asarray(generate(drawn)) for generate in ways.values()])
    picture = save_image(workdir / "one_step.png", image_grid(rows, SHOWN), scale=2)
    print(f"\n{format_table(f'{NUM}, {config.evaluate_on}', table)}\n\n{said}")
    print(f"{file}\n{picture}, rows: {'; '.join(ways)}")


def _teacher(num_steps: int) -> str:
    return f"teacher, {num_steps} step{'s' if num_steps > 1 else ''}"


def teacher_of(config, workdir: Path, num_steps: int) -> Generate:
    """Latents -> images in [0, 1], by so many of Euler's steps."""
    teacher = distillation.make_teacher(config)
    saved = read_state(workdir / distillation.TEACHER)
    if saved is None:
        raise UserError(f"workdir: {workdir} holds no teacher")

    @functools.partial(jax.jit, compiler_options=cpu.compiler_options())
    def draw(latents):
        noise = latents.reshape(-1, *image_shape(config))
        images = integrate(lambda x, t: apply_eval(teacher, saved[0], x, t), noise, num_steps)
        return jnp.clip((images + 1) / 2, 0, 1)

    def generate(latents):
        return draw(latents)

    generated = cast(Generate, generate)
    generated.inputs = {"latents": Latents(config.latent_dim)}
    return generated
