"""Makes images of a folder's with a run of cyclegan.py, discogan.py, pix2pix.py and the like.

    python experiments/translate.py --workdir runs/ --direction ab --input FOLDER --output FOLDER

Each image file, at any depth, becomes a PNG of the same name in the other folder, a square of the
size that the run was trained on: the middle of the image, scaled. With a run of super_resolution.py
it becomes the whole image, so many times as large.
"""

import argparse
import collections
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgan import data
from jaxgan.data.folder import decode_image, image_names, open_file
from jaxgan.data.pipeline import scale
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
    # What enlarges takes images of any size, one at a time; others as many as fill a batch.
    whole = hasattr(translate.generator, "scale")
    batch = 1 if whole else BATCH
    for first in range(0, len(names), batch):
        images = [decode_image(*open_file(tree, name), "input") for name in names[first:][:batch]]
        if whole:
            images = [_in_channels(image, look["channels"]) for image in images]
        else:
            images = [data.prepare_image(image, value_range=(0.0, 1.0), **look) for image in images]
        # Filled up, since every other number of images would be compiled anew.
        images += images[:1] * (batch - len(images))
        made = np.asarray(translate(np.stack(images)))
        for path, image in zip(paths[first : first + batch], made, strict=False):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                pictures.save_image(path, np.rint(255 * image).astype(np.uint8))
            except OSError as error:
                raise UserError(f"output: cannot write {path}: {error.strerror}") from None
    print(f"{output}: {len(names)} images, translated by step {translate.step}")


def _in_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (H, W, 1 or 3) -> float32 (H, W, channels) in [0, 1]."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return scale(pixels.reshape(*image.shape[:2], channels), (0.0, 1.0))
