"""Figures of images that were asked for by class: are they of it, and as its real ones are?"""

from collections.abc import Sequence

import numpy as np

from jaxgan import metrics
from jaxgan.errors import UserError
from jaxgan.evaluation.features import Features, frechet

__all__ = ["CLASS_METRICS", "evaluate_classes"]

CLASS_METRICS = ("accuracy", "class_fid")


def evaluate_classes(
    real: Features,
    real_labels: np.ndarray,
    fake: Features,
    fake_labels: np.ndarray,
    num_classes: int,
    names: Sequence[str] = CLASS_METRICS,
) -> dict[str, float]:
    """The figures of generated images against real ones, class by class.

    Args:
      real: of N real images.
      real_labels: (N,) int, their classes, see `evaluation.real_labels`.
      fake: of M generated ones, by the same network.
      fake_labels: (M,) int, the classes that were asked for, see `evaluation.requested_labels`.
      num_classes: K.
      names: some of `CLASS_METRICS`: "accuracy", the share of generated images that the network's
        greatest logit puts in the class that was asked for; "class_fid", the Fréchet distance
        between the real and the generated images of each class.

    Returns:
      {"accuracy", "accuracy_0" ..., "class_fid", "class_fid_worst", "class_fid_0" ...}, those asked
      for: of all images, of each class; the mean over the classes, the largest, each. Every class
      has its share of the N and M images, so that `class_fid` is biased more than FID is.

    Raises:
      UserError: fewer than two images of a class, where it has to have a distance; as the
        functions of `jaxgan.metrics`, such as logits of another number of classes.

    Examples:
      >>> rng = np.random.default_rng(0)
      >>> labels = np.arange(100) % 2
      >>> images = Features(rng.normal(size=(100, 3)), np.eye(2)[labels])
      >>> evaluate_classes(images, labels, images, labels, 2, ["accuracy"])["accuracy"]
      1.0

    Source: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs",
    section 4.1, for the accuracy.
    """
    figures = {}
    if "accuracy" in names:
        counts = metrics.count_right(fake.logits, fake_labels, num_classes)
        of_class = metrics.class_accuracy(counts)
        figures["accuracy"] = metrics.accuracy(counts)
        figures |= {f"accuracy_{k}": float(share) for k, share in enumerate(of_class)}
    if "class_fid" in names:
        distances = [
            frechet(
                _of_class(real.features, real_labels, "real", k),
                _of_class(fake.features, fake_labels, "generated", k),
            )
            for k in range(num_classes)
        ]
        figures["class_fid"] = float(np.mean(distances))
        figures["class_fid_worst"] = max(distances)
        figures |= {f"class_fid_{k}": distance for k, distance in enumerate(distances)}
    return figures


def _of_class(features: np.ndarray, labels: np.ndarray, kind: str, k: int) -> np.ndarray:
    chosen = features[labels == k]
    if len(chosen) < 2:
        raise UserError(
            f"num: got {len(chosen)} {kind} images of class {k}, expected 2 or more for class_fid"
        )
    return chosen
