"""Draws images from a trained run.

    python experiments/sample.py --workdir runs/ --num 64 --out grid.png

The averaged parameters are used where the run kept them; the latents depend on the seed alone. Of a
run with classes, each row has one latent and each column a class, unless one is asked for.
"""

import argparse

import jax
import numpy as np

from jaxgan.errors import UserError
from jaxgan.inference.load import load_generator
from jaxgan.inputs import Classes, draw_grid, draw_inputs
from jaxgan.runs import pictures
from jaxgan.training import command_line


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_run_arguments(parser)
    parser.add_argument("--out", required=True, help="the picture to write, a .png file")
    parser.add_argument(
        "--num", type=int, default=64, help="how many images, with all classes in whole rows (64)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the latents (0)")
    parser.add_argument(
        "--truncation", type=float, help="keep normal latents within this bound (no bound)"
    )
    parser.add_argument("--label", type=int, help="the class, of a run with classes (all of them)")
    return command_line.parse_arguments(parser)


def main():
    arguments = parse_arguments()
    if arguments.num < 1:
        raise UserError(f"num: got {arguments.num}, expected 1 or more")
    if not arguments.out.endswith(".png"):
        raise UserError(f"out: got {arguments.out!r}, expected a file name ending in .png")
    generate = load_generator(
        arguments.workdir,
        ema=arguments.ema,
        step=arguments.step,
        truncation=arguments.truncation,
    )
    names = [name for name, of in generate.inputs.items() if isinstance(of, Classes)]
    classes, label = names and generate.inputs[names[0]].count, arguments.label
    if label is not None and not 0 <= label < (classes or 0):
        expected = f"0 to {classes - 1}" if classes else "none, since the run has no classes"
        raise UserError(f"label: got {label}, expected {expected}")
    drawing = generate.inputs, jax.random.key(arguments.seed), arguments.num
    if label is None:
        drawn, columns = draw_grid(*drawing, truncation=arguments.truncation)
    else:
        drawn, columns = draw_inputs(*drawing, truncation=arguments.truncation), None
        asked = dict(zip(generate.inputs, drawn, strict=True))
        asked[names[0]] = np.full(arguments.num, label)
        drawn = asked.values()
    images = generate(*drawn)
    grid = pictures.image_grid(np.asarray(images), columns=columns)
    try:
        pictures.save_image(arguments.out, grid)
    except OSError as error:
        raise UserError(f"out: cannot write {arguments.out}: {error.strerror}") from None
    print(f"{arguments.out}: {len(images)} images from step {generate.step}")
