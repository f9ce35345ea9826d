"""Metrics in a network's features: for evaluate.py, and for experiments while they train."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import config_dict

from jaxgan import data
from jaxgan.errors import UserError
from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.features import (
    METRICS,
    Features,
    check_metrics,
    collect_features,
    evaluate_features,
    generated_batches,
)
from jaxgan.inputs import Generate
from jaxgan.metrics import metric_name
from jaxgan.metrics.efficientnet import VARIANTS, load_lite
from jaxgan.metrics.inception import load_inception
from jaxgan.metrics.lenet import load_lenet
from jaxgan.metrics.network import Network
from jaxgan.training.sources import splits_of

OF_PICTURES = "lite1"
"""The features of pictures where none are named: nothing is trained on them."""
WHILE_TRAINING = [name for name, metric in METRICS.items() if not metric.of_labels]


def split_names(metrics: str) -> list[str]:
    """The names in "fid,kid"."""
    return [name for name in metrics.split(",") if name]


def features_for(features: str, image_shape: tuple[int, int, int]) -> str:
    """What a config's `features` stand for: by default, of digits "lenet", of all else "lite1".

    Args:
      features: the config's.
      image_shape: (H, W, C) of the run's images; those of digits are (28, 28, 1).
    """
    return OF_PICTURES if features == "lenet" and image_shape != (28, 28, 1) else features


def judge_of_pictures() -> Network | None:
    """Lite1, for a finished run's report; None, and a line that says so, where it is missing."""
    try:
        return load_lite(OF_PICTURES)
    except UserError as error:
        print(f"not measured: {str(error).removeprefix('weights: ')}")
        return None


def load_network(
    features: str,
    metrics: Sequence[str],
    image_shape: tuple[int, int, int],
    inception_weights: str | None = None,
    num_classes: int | None = None,
) -> Network:
    """The feature network, which has to take images of the run's shape.

    Args:
      features: "lenet", "lite0", "lite1", "inception", or a file that classifier.py wrote.
      metrics: names of metrics that it has to serve.
      image_shape: (H, W, C) of the run's images.
      inception_weights: their file, fetched where there is none.
      num_classes: of the run, None without.
    """
    if features == "inception" or features in VARIANTS:
        for name in metrics:
            # With labels, the classes are read by a linear probe.
            if METRICS[name].of_classes and not METRICS[name].of_labels:
                raise UserError(
                    f"metrics: got {name} with {features}, which has not the data's classes"
                )
    if features == "inception":
        return load_inception(inception_weights)
    try:
        if features in VARIANTS:
            return load_lite(features)
        network = load_lenet(None if features == "lenet" else features)
    except UserError as error:
        raise UserError(f"features: {str(error).removeprefix('weights: ')}") from None
    if image_shape != network.image_shape:
        raise UserError(
            f"features: {network.name} takes images of shape {network.image_shape}, the run has "
            f"{image_shape}; expected lite0, lite1, inception, or a file that classifier.py made "
            "of such"
        )
    if "accuracy" in metrics and network.num_classes != num_classes:
        raise UserError(
            f"features: {network.name} tells {network.num_classes} classes apart, the run has "
            f"{num_classes}; expected a file that classifier.py made of the run's data"
        )
    return network


def reference_and_floor(config: Mapping[str, Any], wanted: str) -> tuple[str, str]:
    """The splits of evaluate.py, by its --split: what a run is compared with, and real images.

    Either is the part that the run was trained on, the other one that it was not.
    """
    trained_on, held_out = splits_of(config)
    if wanted == "validation" and held_out != "validation":
        raise UserError(
            "split: got validation, which the run was trained on, expected test, or a run of "
            "--config.evaluate_on=validation"
        )
    return (trained_on, held_out) if wanted == "train" else (wanted, trained_on)


class TrainingMetrics:
    """The metrics that a config names, of a run's state while it trains.

    Args:
      config: of an experiment; its `metrics`, `features` and `keep_best` are checked here.
      source: the training images.
      num: how many images, generated and real.
    """

    def __init__(self, config: config_dict.ConfigDict, source, num: int) -> None:
        self._config = config
        self._source = source
        self._num = min(num, len(source))
        self._names = split_names(config.metrics)
        self._network: Network | None = None
        if self._names:
            check_metrics(self._names, WHILE_TRAINING)
            shape = (config.image_size, config.image_size, config.channels)
            features = features_for(config.features, shape)
            self._network = load_network(features, self._names, shape)
        self._reference: Features | None = None

    def keep_best(self) -> tuple[str, str] | None:
        """(metric, "min" or "max") of what `config.keep_best` names."""
        wanted = self._config.keep_best
        if not wanted:
            return None
        ways = {name: (metric, way) for metric in WHILE_TRAINING
                for name, way in METRICS[metric].better.items()}  # fmt: skip
        if wanted not in ways:
            raise UserError(f"keep_best: got {wanted!r}, expected one of {', '.join(ways)}")
        metric, way = ways[wanted]
        if self._network is None or metric not in self._names:
            raise UserError(
                f"keep_best: {wanted} needs {metric} among metrics, got {self._config.metrics!r}"
            )
        return metric_name(wanted, self._network.name, self._num), way

    def __call__(self, make_generate: Callable[[], Generate]) -> dict[str, float]:
        """Metrics of a generator, by their full names.

        Args:
          make_generate: () -> the generator as `load_generator` would give it; not called where
            no metrics are asked for.
        """
        config, network = self._config, self._network
        if network is None:
            return {}
        if self._reference is None:
            look = {name: config[name] for name in ("dataset", "image_size", "channels")}
            self._reference = real_features(
                network,
                self._source,
                self._num,
                split=data.TRAIN_ON[config.evaluate_on],
                **look,
            )
        batches = generated_batches(make_generate(), self._num)
        fake = collect_features(network, batches, self._num)
        values = evaluate_features(self._reference, fake, self._names)
        return {metric_name(k, network.name, self._num): v for k, v in values.items()}
