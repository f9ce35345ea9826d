"""Measures a trained run: how far its images are from real ones.

    python experiments/evaluate.py --workdir runs/ --metrics fid,kid,prdc --num 10000
    python experiments/evaluate.py --workdir runs/ --split test

The reference is as many training images, drawn by the seed, or with --split as many test or
validation images, of which the run has seen none. The floor is what real images reach: the same
figures of the others of the two, against the same reference. Of a run with classes, accuracy is the
share of images that the classifier puts in the class that was asked for, and class_fid the FID of
each class, their mean and the worst. (The classifier that comes with the package was trained on all
60,000 training digits of MNIST, those of validation among them.)
"""

import argparse

from parts import command_line, common, feature_metrics

from jaxgan import UserError, data, load_generator
from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.classes import CLASS_METRICS, evaluate_classes
from jaxgan.evaluation.features import (
    METRICS,
    check_metrics,
    collect_features,
    evaluate_features,
    generated_batches,
    real_labels,
    requested_labels,
)
from jaxgan.metrics import metric_name
from jaxgan.runs.evaluations import format_table, write_evaluation

NAMES = {"train": "training", "test": "test", "validation": "validation"}


def parse_arguments(given):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_run_arguments(parser)
    known = f"some of {','.join(METRICS)}, with classes also {','.join(CLASS_METRICS)}"
    parser.add_argument("--metrics", default="fid,kid,prdc", help=f"{known} (fid,kid,prdc)")
    parser.add_argument(
        "--split",
        choices=("train", *data.TRAIN_ON),
        default="train",
        help="the images of the reference: what the run was trained on, or held-out ones (train)",
    )
    parser.add_argument("--num", type=int, default=10_000, help="how many images (10000)")
    parser.add_argument(
        "--features", default="lenet", help="lenet, inception, or a file of classifier.py (lenet)"
    )
    parser.add_argument("--inception_weights", help="their file (fetched once)")
    parser.add_argument("--seed", type=int, default=0, help="of latents and real images (0)")
    parser.add_argument("--batch_size", type=int, default=500, help="images at a time (500)")
    return command_line.parse_arguments(parser, given)


def main(given=None):
    """Measures what the arguments say, by default those of the command line."""
    arguments = parse_arguments(given)
    arguments.metrics = feature_metrics.split_names(arguments.metrics)
    check_metrics(arguments.metrics, METRICS + CLASS_METRICS)
    for name, least in (("num", 10), ("seed", 0), ("batch_size", 1)):
        value = getattr(arguments, name)
        if value < least:
            raise UserError(f"{name}: got {value}, expected {least} or more")
    generate = load_generator(arguments.workdir, ema=arguments.ema, step=arguments.step)
    config = generate.config
    if "dataset" not in config:
        raise UserError(f"workdir: {arguments.workdir} names no data, expected an experiment's run")
    plain = [name for name in arguments.metrics if name in METRICS]
    by_class = [name for name in arguments.metrics if name in CLASS_METRICS]
    num, classes = arguments.num, generate.num_classes
    if by_class and classes is None:
        raise UserError(f"metrics: got {by_class[0]}, but the run has no classes")
    network = feature_metrics.load_network(
        arguments.features,
        arguments.metrics,
        (config["image_size"], config["image_size"], config["channels"]),
        arguments.inception_weights,
        classes,
    )
    splits = feature_metrics.reference_and_floor(config, arguments.split)
    drawn = {"batch_size": arguments.batch_size, "seed": arguments.seed}
    look = {name: config[name] for name in ("dataset", "image_size", "channels")}

    def real(split):
        """Features and, where they are needed, classes of real images; None without the split."""
        source = common.load(config, split)
        if source is None:
            return None
        count = min(num, len(source))
        features = real_features(network, source, count, split=split, **look, **drawn)
        return features, by_class and real_labels(source, count, seed=arguments.seed)

    reference, floor = map(real, splits)
    if reference is None:
        raise UserError(f"split: {config['dataset']} has no {arguments.split} images")
    fake = collect_features(network, generated_batches(generate, num, **drawn), num)
    sets = {"generated": (fake, by_class and requested_labels(num, classes))}
    if floor:
        sets["floor"] = floor
    table, named = {}, {}
    for kind, measured in sets.items():
        figures = evaluate_features(reference[0], measured[0], plain) if plain else {}
        if by_class:
            figures |= evaluate_classes(*reference, *measured, classes, by_class)
        count = len(measured[0].features)
        table[f"{kind} ({count})"] = figures
        named[kind] = {metric_name(k, network.name, count): v for k, v in figures.items()}
    record = {
        "ema": arguments.ema,
        "seed": arguments.seed,
        "network": {"name": network.name, "version": network.version},
        "split": arguments.split,
        "reference": f"{len(reference[0].features)} {NAMES[arguments.split]} images",
        **named,
    }
    file = write_evaluation(arguments.workdir, generate.step, record, named["generated"])
    print(format_table(f"{network.name}, step {generate.step}", table))
    print(file)


if __name__ == "__main__":
    command_line.reporting_errors(main)
