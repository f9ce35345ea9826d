"""Measures a trained run: how far its images are from the training images.

    python experiments/evaluate.py --workdir runs/ --metrics fid,kid,prdc --num 10000

The reference is as many training images, drawn by the seed. The floor is what real images reach:
the same figures of test images, against the same reference.
"""

import argparse

import command_line
import feature_metrics

from jaxgan import UserError, data, load_generator
from jaxgan.evaluation import (
    METRICS,
    check_metrics,
    collect_features,
    evaluate_features,
    generated_batches,
)
from jaxgan.evaluation_files import format_table, write_evaluation
from jaxgan.feature_cache import real_features
from jaxgan.metrics import metric_name


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_run_arguments(parser)
    parser.add_argument(
        "--metrics", default="fid,kid,prdc", help=f"some of {','.join(METRICS)} (fid,kid,prdc)"
    )
    parser.add_argument("--num", type=int, default=10_000, help="how many images (10000)")
    parser.add_argument(
        "--features", default="lenet", help="lenet, inception, or a file of classifier.py (lenet)"
    )
    parser.add_argument("--inception_weights", help="their file (fetched once)")
    parser.add_argument("--seed", type=int, default=0, help="of latents and real images (0)")
    parser.add_argument("--batch_size", type=int, default=500, help="images at a time (500)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    arguments.metrics = feature_metrics.split_names(arguments.metrics)
    check_metrics(arguments.metrics)
    for name, least in (("num", 10), ("seed", 0), ("batch_size", 1)):
        value = getattr(arguments, name)
        if value < least:
            raise UserError(f"{name}: got {value}, expected {least} or more")
    generate = load_generator(arguments.workdir, ema=arguments.ema, step=arguments.step)
    config = generate.config
    if "dataset" not in config:
        raise UserError(f"workdir: {arguments.workdir} names no data, expected an experiment's run")
    network = feature_metrics.load_network(
        arguments.features,
        arguments.metrics,
        (config["image_size"], config["image_size"], config["channels"]),
        arguments.inception_weights,
    )
    drawn = {"batch_size": arguments.batch_size, "seed": arguments.seed}
    look = {name: config[name] for name in ("dataset", "image_size", "channels")}

    def real(split):
        source = data.load(config["dataset"], split, config["data_dir"])
        num = source and min(arguments.num, len(source))
        return source and real_features(network, source, num, split=split, **look, **drawn)

    reference, floor = real("train"), real("test")
    fake = generated_batches(generate, arguments.num, **drawn)
    sets = {"generated": collect_features(network, fake, arguments.num)}
    if floor:
        sets["floor"] = floor
    table, named = {}, {}
    for kind, features in sets.items():
        figures = evaluate_features(reference, features, arguments.metrics)
        count = len(features.features)
        table[f"{kind} ({count})"] = figures
        named[kind] = {metric_name(k, network.name, count): v for k, v in figures.items()}
    print(format_table(f"{network.name}, step {generate.step}", table))
    record = {
        "ema": arguments.ema,
        "seed": arguments.seed,
        "network": {"name": network.name, "version": network.version},
        "reference": f"{len(reference.features)} training images",
        **named,
    }
    print(write_evaluation(arguments.workdir, generate.step, record, named["generated"]))


if __name__ == "__main__":
    command_line.reporting_errors(main)
