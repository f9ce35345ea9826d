r"""Draws images of a caption with a trained StackGAN.

    python experiments/stackgan_sample.py --workdir runs/stackgan --caption "a small red seven at \
        the top left on a dark blue ground"

The default run knows one or two digits, red, green, blue, yellow, pink or white, small or large,
in a corner or at the centre, on a black, grey, brown, dark blue or dark green ground. Words that a
run does not know are told; of what it never saw said, such as a red ground, it makes anything.
Writes a grid of images, by default caption.png in the run's folder.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from jaxgan.data.vocabulary import split_words
from jaxgan.errors import UserError
from jaxgan.inference.captions import load_stackgan
from jaxgan.runs import pictures
from jaxgan.training import captioned, command_line


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command_line.add_run_arguments(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--caption", help="what to draw")
    what.add_argument("--embedding", help="a .npy file of one, for a run that was given embeddings")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=2, help="which stage (2)")
    parser.add_argument("--num", type=int, default=9, help="how many images (9)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--out", help="the picture to write (WORKDIR/caption.png)")
    return command_line.parse_arguments(parser)


def main():
    arguments = parse_arguments()
    if arguments.num < 1:
        raise UserError(f"num: got {arguments.num}, expected 1 or more")
    out = arguments.out or str(Path(arguments.workdir) / "caption.png")
    if not out.endswith(".png"):
        raise UserError(f"out: got {out!r}, expected a file name ending in .png")
    if (Path(arguments.workdir) / "checkpoints").is_dir():
        raise UserError(
            f"workdir: {arguments.workdir} is the folder of one stage, expected that with both"
        )
    folder = Path(arguments.workdir) / f"stage{arguments.stage}"
    generate = load_stackgan(folder, ema=arguments.ema, step=arguments.step)
    embedding = read_embedding(arguments, generate)
    noise = jax.random.normal(jax.random.key(arguments.seed), (arguments.num, generate.noise_dim))
    images = generate(noise, np.repeat(embedding, arguments.num, axis=0))
    try:
        pictures.save_image(out, pictures.image_grid(np.asarray(images)))
    except OSError as error:
        raise UserError(f"out: cannot write {out}: {error.strerror}") from None
    print(f"{out}: {arguments.num} images from step {generate.step}")


def read_embedding(arguments, generate):
    """(1, E), of the caption or out of the file."""
    if arguments.caption is None:
        array = captioned.read_array("embedding", arguments.embedding)
        if array.ndim != 1:
            raise UserError(f"embedding: got shape {array.shape}, expected one row, (E,)")
        return array[None]
    if generate.embed is None:
        raise UserError("caption: the run was given embeddings, expected --embedding FILE.npy")
    words = split_words(arguments.caption)
    unknown = generate.vocabulary.unknown_words(arguments.caption)
    if len(unknown) == len({*words}):
        raise UserError(f"caption: the run knows no word of {arguments.caption!r}, expected some")
    if unknown:
        print(f"words that the run does not know: {', '.join(unknown)}")
    if generate.vocabulary.length < len(words):
        print(f"it reads the first {generate.vocabulary.length} words alone")
    return generate.embed([arguments.caption])
