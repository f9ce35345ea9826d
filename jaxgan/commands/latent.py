"""Explores the latent space of a trained run, and what its networks know.

    python experiments/latent.py --workdir runs/ --what walk --out walk.gif

walk         a closed walk through 8 random latents, a .gif file; all others write a .png file
grid         the plane between four latents
interpolate  eight times from one latent to another
arithmetic   rows of a, b, c, three and the mean of all, and of a - b + c with noise and without:
             bold and thin images of the first of --digits, thin ones of the second
invert       test images beside the nearest that the generator makes, the errors of both splits
neighbours   samples, their 5 nearest training images in pixels, and 5 in the discriminator's eyes,
             or in those of a network that --features names, such as lite0
saliency     test images that excite six features of the discriminator most, and by which strokes
"""

import argparse

import jax
import numpy as np

from jaxgan import data, latent
from jaxgan.errors import UserError
from jaxgan.inference.load import load_discriminator, load_generator
from jaxgan.runs import pictures
from jaxgan.training import command_line, feature_metrics
from jaxgan.training.reports import latent_pictures
from jaxgan.training.sources import load_split, splits_of


class Run:
    """A trained run: its generator, draws of its prior, its data.

    Of a run with classes the networks that take one are given the one that was asked for.
    """

    def __init__(self, arguments):
        self.arguments = arguments
        self._generate = load_generator(arguments.workdir, step=arguments.step)
        inputs, label = self._generate.inputs, arguments.label
        self._conditional = "labels" in inputs
        classes = inputs["labels"].count if self._conditional else 1
        if not 0 <= label < classes:
            raise UserError(f"label: got {label}, expected 0 to {classes - 1}")
        self.latent_dim, self.prior = inputs["latents"]
        self.step, self.config = self._generate.step, self._generate.config

    def _labels(self, count):
        return (np.full(count, self.arguments.label),) if self._conditional else ()

    def generate(self, latents):
        return self._generate(latents, *self._labels(len(latents)))

    def draw(self, count, fold=0):
        key = jax.random.fold_in(jax.random.key(self.arguments.seed), fold)
        return latent.sample_latents(key, count, self.latent_dim, prior=self.prior)

    def images(self, latents):
        blocks = [self.generate(latents[i : i + 100]) for i in range(0, len(latents), 100)]
        return np.concatenate(blocks)

    def source(self, split):
        split = dict(zip(("train", "test"), splits_of(self.config), strict=True))[split]
        found = load_split(self.config, split)
        if found is None:
            raise UserError(f"dataset: {self.config['dataset']} has no {split} images to look at")
        return found

    def real(self, split, count):
        """Float in [0, 1], (count, H, W, C), from all over the split."""
        look = {name: self.config[name] for name in ("image_size", "channels")}
        return data.spread_images(self.source(split), count, **look)

    def features(self):
        """Images in [0, 1] -> the discriminator's last features."""
        discriminate = load_discriminator(self.arguments.workdir, step=self.step)
        labels = self._labels if discriminate.takes_labels else lambda count: ()
        return lambda images: discriminate.features(images, *labels(len(images)))

    def judge(self):
        """(images in [0, 1] -> features, whose they are), those of --features if it is given."""
        name = self.arguments.features
        if not name:
            return self.features(), "the discriminator's"
        side = self.config["image_size"]
        network = feature_metrics.load_network(name, (), (side, side, self.config["channels"]))
        return lambda images: network(images)["features"], f"{network.name}'s"


WHAT = {
    "walk": latent_pictures.walk,
    "grid": latent_pictures.grid,
    "interpolate": latent_pictures.interpolate,
    "arithmetic": latent_pictures.arithmetic,
    "invert": latent_pictures.inversion,
    "neighbours": latent_pictures.neighbours,
    "saliency": latent_pictures.saliency,
}


def parse_arguments():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--workdir", required=True, help="the folder of a run")
    parser.add_argument("--what", required=True, help=f"one of {', '.join(WHAT)}")
    parser.add_argument("--out", required=True, help="the picture to write")
    parser.add_argument("--seed", type=int, default=0, help="of the latents (0)")
    parser.add_argument("--step", type=int, help="which checkpoint (the newest)")
    parser.add_argument("--label", type=int, default=0, help="the class, of a run with classes (0)")
    parser.add_argument("--features", help="of neighbours: as of evaluate.py (the discriminator's)")
    parser.add_argument("--digits", type=int, nargs=2, default=[7, 1], help="of arithmetic (7 1)")
    return command_line.parse_arguments(parser)


def main():
    arguments = parse_arguments()
    what, out = arguments.what, arguments.out
    if what not in WHAT:
        raise UserError(f"what: got {what!r}, expected one of {', '.join(WHAT)}")
    ending = ".gif" if what == "walk" else ".png"
    if not out.endswith(ending):
        raise UserError(f"out: got {out!r}, expected a file name ending in {ending} for a {what}")
    for digit in arguments.digits:
        if not 0 <= digit <= 9:
            raise UserError(f"digits: got {digit}, expected 0 to 9")
    run = Run(arguments)
    picture = WHAT[what](run)
    try:
        if what == "walk":
            scale = max(1, 112 // len(picture[0]))
            pictures.save_animation(
                out, picture, milliseconds=60, last_milliseconds=60, scale=scale
            )
        else:
            pictures.save_image(out, picture, scale=2)
    except OSError as error:
        raise UserError(f"out: cannot write {out}: {error.strerror}") from None
    print(f"{out}: {what} from step {run.step}")
