"""Translates a folder of images with a run of cyclegan.py or discogan.py.

    python experiments/translate.py --workdir runs/ --direction ab --input FOLDER --output FOLDER

Each image file, at any depth, becomes a PNG of the same name in the other folder, a square of the
size that the run was trained on: the middle of the image, scaled.
"""

import argparse
import collections
from pathlib import Path

import numpy as np

from jaxgan import data
from jaxgan.data.folder import decode_image, image_names, open_file
from jaxgan.data.tree import open_tree
from jaxgan.errors import UserError
from jaxgan.inference.translator import load_translator
from jaxgan.runs import pictures
from jaxgan.training import command_line

BATCH = 16


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", required=True, help="the folder of a run")
    parser.add_argument("--step", type=int, help="which checkpoint (the newest)")
    parser.add_argument("--direction", default="ab", help="ab, from domain a to b, or ba (ab)")
    parser.add_argument("--input", required=True, help="the folder of images")
    parser.add_argument("--output", required=True, help="the folder for their translations")
    return command_line.parse_arguments(parser)


def main():
    arguments = parse_arguments()
    translate = load_translator(arguments.workdir, arguments.direction, step=arguments.step)
    look = {name: translate.config[name] for name in ("image_size", "channels")}
    source, output = Path(arguments.input), Path(arguments.output)
    if not source.is_dir():
        raise UserError(f"input: got {arguments.input!r}, expected a folder of images")
    if output.resolve() == source.resolve():
        raise UserError("output: got the folder of the input, expected another")
    tree = open_tree(source)
    names = image_names(tree, "input")
    paths = [output / Path(name).with_suffix(".png") for name in names]
    twice = [path for path, count in collections.Counter(paths).items() if count > 1]
    if twice:
        raise UserError(f"input: two files would become {twice[0]}, expected names of their own")
    for first in range(0, len(names), BATCH):
        images = [
            data.prepare_image(
                decode_image(*open_file(tree, name), "input"),
                value_range=(0.0, 1.0),
                **look,
            )
            for name in names[first : first + BATCH]
        ]
        # Filled up, since every other number of images would be compiled anew.
        images += images[:1] * (BATCH - len(images))
        made = np.asarray(translate(np.stack(images)))
        for path, image in zip(paths[first : first + BATCH], made, strict=False):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                pictures.save_image(path, np.rint(255 * image).astype(np.uint8))
            except OSError as error:
                raise UserError(f"output: cannot write {path}: {error.strerror}") from None
    print(f"{output}: {len(names)} images, translated by step {translate.step}")
