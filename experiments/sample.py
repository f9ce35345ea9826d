"""Draws images from a trained run.

    python experiments/sample.py --workdir runs/ --num 64 --out grid.png

The averaged parameters are used where the run kept them; the latents depend on the seed alone.
"""

import argparse

import command_line
import jax
import numpy as np

from jaxgan import UserError, load_generator, visualize
from jaxgan.latent import sample_latents


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_run_arguments(parser)
    parser.add_argument("--out", required=True, help="the picture to write, a .png file")
    parser.add_argument("--num", type=int, default=64, help="how many images (64)")
    parser.add_argument("--seed", type=int, default=0, help="of the latents (0)")
    parser.add_argument(
        "--truncation", type=float, help="keep normal latents within this bound (no bound)"
    )
    return parser.parse_args()


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
    latents = sample_latents(
        jax.random.key(arguments.seed),
        arguments.num,
        generate.latent_dim,
        distribution=generate.latent,
        truncation=arguments.truncation,
    )
    grid = visualize.image_grid(np.asarray(generate(latents)))
    try:
        visualize.save_image(arguments.out, grid)
    except OSError as error:
        raise UserError(f"out: cannot write {arguments.out}: {error.strerror}") from None
    print(f"{arguments.out}: {arguments.num} images from step {generate.step}")


if __name__ == "__main__":
    command_line.reporting_errors(main)
