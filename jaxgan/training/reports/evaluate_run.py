"""The metrics of a trained run, against real images that it has seen or not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxgan.errors import UserError
from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.features import (
    METRICS,
    check_metrics,
    collect_features,
    evaluate_features,
    generated_batches,
    real_labels,
    requested_labels,
)
from jaxgan.evaluation.probe import fit_class_probe
from jaxgan.inference.load import load_generator
from jaxgan.inputs import Classes
from jaxgan.metrics import metric_name, name_in
from jaxgan.runs.evaluations import format_table, write_evaluation
from jaxgan.training import feature_metrics
from jaxgan.training.sources import load_split

NAMES = {"train": "training", "test": "test", "validation": "validation"}


def evaluate_run(
    workdir: str | Path,
    metrics: Sequence[str] = ("fid", "kid", "prdc"),
    *,
    split: str = "train",
    num: int = 10_000,
    features: str | None = None,
    inception_weights: str | None = None,
    seed: int = 0,
    batch_size: int = 500,
    ema: bool = True,
    step: int | None = None,
) -> Path:
    """Measures a run and prints the table; evaluation.json in its folder and its page keep it.

    Args:
      workdir: the folder of a run from latents to images.
      metrics: some of `METRICS`; those of classes, of a run that has them.
      split: the images of the reference: "train", which the run was trained on, or "test" or
        "validation", which it has not seen.
      num: how many images are generated, and at most how many real ones they are compared with.
      features: "lenet", "lite0", "lite1", "inception", or a file of classifier.py; None for the
        run's own, see `features_for`. Where they know other classes than the data's, a linear
        probe of them reads the classes.
      inception_weights: the file of Inception's weights; they are fetched once.
      seed: of the latents and of which real images are taken.
      batch_size: images at a time.
      ema: the averaged parameters, where the run kept them.
      step: which checkpoint; the newest.

    Returns:
      evaluation.json.

    Raises:
      UserError: a metric, split or number that cannot be, or a run that cannot be loaded.
    """
    check_metrics(metrics)
    for name, value, least in (("num", num, 10), ("seed", seed, 0), ("batch_size", batch_size, 1)):
        if value < least:
            raise UserError(f"{name}: got {value}, expected {least} or more")
    generate = load_generator(workdir, ema=ema, step=step)
    config = generate.config
    if "dataset" not in config:
        raise UserError(f"workdir: {workdir} names no data, expected an experiment's run")
    by_class = [name for name in metrics if METRICS[name].of_labels]
    labels = generate.inputs.get("labels")
    classes = labels.count if isinstance(labels, Classes) else None
    if by_class and classes is None:
        raise UserError(f"metrics: got {by_class[0]}, but the run has no classes")
    shape = (config["image_size"], config["image_size"], config["channels"])
    features = features or feature_metrics.features_for(config.get("features", "lenet"), shape)
    # Of projected_gan.py alone.
    if features == "lite0" and config.get("feature_size"):
        raise UserError(
            "features: got lite0, by which the run's discriminator saw, expected others, as lite1"
        )
    network = feature_metrics.load_network(features, metrics, shape, inception_weights, classes)
    splits = feature_metrics.reference_and_floor(config, split)
    drawn = {"batch_size": batch_size, "seed": seed}
    look = {name: config[name] for name in ("dataset", "image_size", "channels")}

    def real(split):
        """Features of real images, with labels where they are needed; None without the split."""
        source = load_split(config, split)
        if source is None:
            return None
        count = min(num, len(source))
        features = real_features(network, source, count, split=split, **look, **drawn)
        if by_class:
            features = features._replace(labels=real_labels(source, count, seed=seed))
        return features

    reference, floor = map(real, splits)
    if reference is None:
        raise UserError(f"split: {config['dataset']} has no {split} images")
    fake = collect_features(network, generated_batches(generate, num, **drawn), num)
    if by_class and classes is not None:
        fake = fake._replace(labels=requested_labels(num, classes))
    sets = {"generated": fake}
    if floor:
        sets["floor"] = floor
    # The network's own classes, where it has any, are the data's.
    probed = "accuracy" in metrics and not hasattr(network, "num_classes")
    names = [name for name in metrics if name != "accuracy" or not probed]
    if probed:
        learnt, unseen = (reference, floor) if split == "train" else (floor, reference)
        unseen = unseen or learnt
        accuracy = fit_class_probe(learnt, np.unique(unseen.labels))
    table, named = {}, {}
    for kind, measured in sets.items():
        values = evaluate_features(reference, measured, names) if names else {}
        if probed:
            values |= accuracy(unseen if kind == "floor" else measured)
        count = len(measured.features)
        table[f"{kind} ({count})"] = {name_in(k, network.name): v for k, v in values.items()}
        named[kind] = {metric_name(k, network.name, count): v for k, v in values.items()}
    record = {
        "ema": ema,
        "seed": seed,
        "network": {"name": network.name, "version": network.version},
        "split": split,
        "reference": f"{len(reference.features)} {NAMES[split]} images",
        **named,
    }
    file = write_evaluation(workdir, generate.step, record, named["generated"])
    print(format_table(f"{network.name}, step {generate.step}", table))
    print(file)
    return file
