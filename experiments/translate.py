"""Translates a folder of images with a run of cyclegan.py or discogan.py.

    python experiments/translate.py --workdir runs/ --direction ab --input FOLDER --output FOLDER

Each image file, at any depth, becomes a PNG of the same name in the other folder, a square of the
size that the run was trained on: the middle of the image, scaled.
"""

import argparse
import collections
from pathlib import Path

import numpy as np
from parts import command_line

from jaxgan import UserError, data, visualize
from jaxgan.load_translator import load_translator

BATCH = 16


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", required=True, help="the folder of a run")
    parser.add_argument("--step", type=int, help="which checkpoint (the newest)")
    parser.add_argument("--direction", default="ab", help="ab, from domain a to b, or ba (ab)")
    parser.add_argument("--input", required=True, help="the folder of images")
    parser.add_argument("--output", required=True, help="the folder for their translations")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    translate = load_translator(arguments.workdir, arguments.direction, step=arguments.step)
    look = {name: translate.config[name] for name in ("image_size", "channels")}
    source = data.folder(arguments.input)
    output = Path(arguments.output)
    paths = [output / Path(name).with_suffix(".png") for name in source.names]
    twice = [path for path, count in collections.Counter(paths).items() if count > 1]
    if twice:
        raise UserError(f"input: two files would become {twice[0]}, expected names of their own")
    for first in range(0, len(source), BATCH):
        numbers = range(first, min(first + BATCH, len(source)))
        # Filled up, since every other number of images would be compiled anew.
        padded = [*numbers, *[first] * (BATCH - len(numbers))]
        images = np.asarray(translate(data.read_images(source, padded, **look)))
        for number, image in zip(numbers, images, strict=False):
            try:
                paths[number].parent.mkdir(parents=True, exist_ok=True)
                visualize.save_image(paths[number], np.rint(255 * image).astype(np.uint8))
            except OSError as error:
                message = f"output: cannot write {paths[number]}: {error.strerror}"
                raise UserError(message) from None
    print(f"{output}: {len(source)} images, translated by step {translate.step}")


if __name__ == "__main__":
    command_line.reporting_errors(main)
