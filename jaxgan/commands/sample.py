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
from jaxgan.latent import across_classes, sample_latents
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
    classes, label = generate.num_classes, arguments.label
    if label is not None and not 0 <= label < (classes or 0):
        expected = f"0 to {classes - 1}" if classes else "none, since the run has no classes"
        raise UserError(f"label: got {label}, expected {expected}")
    rows = arguments.num if classes is None or label is not None else -(-arguments.num // classes)
    latents = sample_latents(
        jax.random.key(arguments.seed),
        rows,
        generate.latent_dim,
        distribution=generate.latent,
        truncation=arguments.truncation,
    )
    if classes is None:
        images, columns = generate(latents), None
    elif label is not None:
        images, columns = generate(latents, np.full(rows, label)), None
    else:
        images, columns = generate(*across_classes(latents, classes)), classes
    grid = pictures.image_grid(np.asarray(images), columns=columns)
    try:
        pictures.save_image(arguments.out, grid)
    except OSError as error:
        raise UserError(f"out: cannot write {arguments.out}: {error.strerror}") from None
    print(f"{arguments.out}: {len(images)} images from step {generate.step}")
