"""Measures a trained run: how far its images are from real ones.

    python experiments/evaluate.py --workdir runs/ --metrics fid,kid,prdc --num 10000
    python experiments/evaluate.py --workdir runs/ --split test

The reference is as many training images, drawn by the seed, or with --split as many test or
validation images, of which the run has seen none. The floor is what real images reach: the same
metrics of the others of the two, against the same reference. Of a run with classes, accuracy is the
share of images that the classifier puts in the class that was asked for, and class_fid the FID of
each class, their mean and the worst. Where the features know other classes than the data's, as
lite1, a linear classifier of them is fitted to the training images, which then says the accuracy:
the mean over the classes, and for the floor that of images that it has not seen. (The classifier
that comes with the package was trained on all 60,000 training digits of MNIST, those of validation
among them.)
"""

import argparse

from jaxgan import data
from jaxgan.evaluation.features import METRICS
from jaxgan.training import command_line, feature_metrics
from jaxgan.training.reports.evaluate_run import evaluate_run


def parse_arguments(given):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_run_arguments(parser)
    plain, of_labels = (
        ",".join(name for name, metric in METRICS.items() if metric.of_labels == needed)
        for needed in (False, True)
    )
    known = f"some of {plain}, with classes also {of_labels}"
    parser.add_argument("--metrics", default="fid,kid,prdc", help=f"{known} (fid,kid,prdc)")
    parser.add_argument(
        "--split",
        choices=("train", *data.TRAIN_ON),
        default="train",
        help="the images of the reference: what the run was trained on, or held-out ones (train)",
    )
    parser.add_argument("--num", type=int, default=10_000, help="how many images (10000)")
    parser.add_argument(
        "--features",
        help="lenet, of digits; lite0, lite1 or inception, of pictures; or a file of classifier.py "
        "(the run's own, else lenet of 28 x 28 grey images and lite1 of others)",
    )
    parser.add_argument("--inception_weights", help="their file (fetched once)")
    parser.add_argument("--seed", type=int, default=0, help="of latents and real images (0)")
    parser.add_argument("--batch_size", type=int, default=500, help="images at a time (500)")
    return command_line.parse_arguments(parser, given)


def main(given=None):
    """Measures what the arguments say, by default those of the command line."""
    arguments = vars(parse_arguments(given))
    metrics = feature_metrics.split_names(arguments.pop("metrics"))
    evaluate_run(arguments.pop("workdir"), metrics, **arguments)
