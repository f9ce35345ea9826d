"""Brings a trained generator out into the world: weights, programs, and a card.

    python experiments/export.py --workdir runs/ --to FOLDER
    python experiments/export.py --workdir runs/ --to FOLDER --formats safetensors,program,onnx
    python experiments/export.py --workdir runs/cyclegan --direction ab --to FOLDER

FOLDER then has generator.safetensors, which `jaxgan.inference.export.load_safetensors` loads;
generator.jax, a program that JAX alone runs; generator.onnx, where it is asked for; README.md, the
card with data, command, metrics and how each file is loaded; and samples.png. The averaged
parameters are used where the run kept them.
"""

import argparse
import itertools
from pathlib import Path

import jax
import numpy as np

from jaxgan import data
from jaxgan.errors import UserError
from jaxgan.files import read_object, write_atomically
from jaxgan.inference import export
from jaxgan.inference.card import FILES, model_card
from jaxgan.inference.load import LoadedGenerator, load_generator
from jaxgan.inference.translator import load_translator
from jaxgan.inputs import Images, draw_grid
from jaxgan.runs import pictures
from jaxgan.runs.page import read_metrics
from jaxgan.training import command_line

SAVE = {
    "safetensors": export.save_safetensors,
    "program": export.save_program,
    "onnx": export.save_onnx,
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_run_arguments(parser)
    parser.add_argument("--to", required=True, help="the folder to write, made where there is none")
    parser.add_argument(
        "--formats",
        default="safetensors,program",
        help=f"some of {','.join(SAVE)} (safetensors,program)",
    )
    parser.add_argument("--direction", help="ab or ba, of a run that translates images")
    return command_line.parse_arguments(parser)


def main():
    arguments = parse_arguments()
    formats = tuple(dict.fromkeys(arguments.formats.split(",")))
    if not {*formats} <= {*SAVE}:
        raise UserError(f"formats: got {arguments.formats!r}, expected some of {', '.join(SAVE)}")
    workdir, folder = Path(arguments.workdir), Path(arguments.to)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"to: got {arguments.to!r}, expected a folder")
    if folder.resolve() == workdir.resolve():
        raise UserError("to: got the folder of the run, expected another")
    if arguments.direction is None:
        generate = load_generator(workdir, ema=arguments.ema, step=arguments.step)
    else:
        generate = load_translator(workdir, arguments.direction, step=arguments.step)
    try:
        for name in formats:
            SAVE[name](folder / FILES[name], generate)
        samples = _save_samples(folder, generate)
        card = model_card(
            generate,
            formats=formats,
            summary=read_object(workdir / "summary.json"),
            metrics=_metrics(workdir, generate.step),
            licence=_licence(generate),
            samples=samples,
        )
        write_atomically(folder / "README.md", card.encode())
    except OSError as error:
        raise UserError(f"to: cannot write {error.filename or folder}: {error.strerror}") from None
    print(f"{folder}: {', '.join(FILES[name] for name in formats)} and the card, README.md")


def _save_samples(folder: Path, generate: LoadedGenerator) -> str | None:
    """A grid of samples; None of what makes images of images."""
    if any(isinstance(of, Images) for of in generate.inputs.values()):
        return None
    drawn, columns = draw_grid(generate.inputs, jax.random.key(0), 64)
    pictures.save_image(
        folder / "samples.png", pictures.image_grid(np.asarray(generate(*drawn)), columns=columns)
    )
    return "samples.png"


def _metrics(workdir: Path, step: int) -> dict[str, dict[str, float]]:
    """What the run's folder knows of a step: of jaxgan evaluate, and of its training."""
    columns = {}
    evaluation = read_object(workdir / "evaluation.json")
    if evaluation.get("step") == step:
        for head, column in evaluation.items():
            if isinstance(column, dict) and all(isinstance(v, float) for v in column.values()):
                columns[head] = column
    file = workdir / "metrics.jsonl"
    rows = (row for row in (read_metrics(file) if file.exists() else ()) if row["step"] == step)
    measured = itertools.chain.from_iterable(row.items() for row in rows)
    training = {name: value for name, value in measured if name.startswith("eval/")}
    return {**columns, **({"while training": training} if training else {})}


def _licence(generate: LoadedGenerator) -> str | None:
    domains = any(isinstance(of, Images) for of in generate.inputs.values())
    return data.licence(generate.config.get("dataset", ""), domains=domains)
