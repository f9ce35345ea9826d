"""Linear probes: what a fixed network's features say of images, read by ridge regression."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxgan.errors import UserError
from jaxgan.evaluation.features import Features

__all__ = ["fit_class_probe", "fit_probe"]

Probe = Callable[[np.ndarray], np.ndarray]
"""Features (N, D) -> what is read in them, float64 (N, T)."""


def fit_probe(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    penalty: float = 1.0,
) -> Probe:
    """Fits targets linearly to features.

        min over A, b of  Σᵢ wᵢ |xᵢ A + b - tᵢ|² + penalty Σᵢ wᵢ |A|²

    Features and targets are float64 there, and each feature is first scaled to have mean 0 and
    variance 1 over the examples.

    Args:
      features: (N, D), of training images.
      targets: (N, T).
      weights: (N,), how much each example counts; None for all alike.
      penalty: of the coefficients, above 0.

    Returns:
      The function from features of any images to their targets.

    Raises:
      UserError: as many features as targets are expected, and one or more.

    Examples:
      >>> x = np.arange(8.0)[:, None]
      >>> probe = fit_probe(x, 3 * x, penalty=1e-9)
      >>> float(probe(np.array([[10.0]]))[0, 0].round(3))
      30.0

    Source: Hoerl & Kennard 1970, "Ridge Regression"; Alain & Bengio 2016, "Understanding
    Intermediate Layers Using Linear Classifier Probes".
    """
    if not 1 <= len(features) == len(targets):
        raise UserError(
            f"targets: got {len(targets)} for {len(features)} rows of features, expected one each"
        )
    x, t = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    w = w / np.sum(w)
    mean, std = np.mean(x, axis=0), np.std(x, axis=0) + 1e-8

    def scaled(features):
        return (np.asarray(features, np.float64) - mean) / std

    z = scaled(x)
    z_mean, t_mean = w @ z, w @ t
    z, t = z - z_mean, t - t_mean
    gram = (z * w[:, None]).T @ z + penalty * np.eye(z.shape[1])
    slopes = np.linalg.solve(gram, (z * w[:, None]).T @ t)
    return lambda features: (scaled(features) - z_mean) @ slopes + t_mean


def fit_class_probe(
    learnt: Features, of: Sequence[int] | np.ndarray
) -> Callable[[Features], dict[str, float]]:
    """Fits a linear classifier to features, and returns how many images it puts in their class.

    Data may hold one class a hundred times as often as another: in the fit every class counts
    alike, and the accuracy is a mean over classes.

    Args:
      learnt: real images with labels, which it is fitted to.
      of: the classes that count, of which there are real images that it has not seen.

    Returns:
      Images with labels, the classes that they are of or were asked for -> {"accuracy": mean over
      `of`, as far as there are images of them, "accuracy_0": share of class 0 ...}.

    Raises:
      UserError: images without labels; as `fit_probe`.

    Examples:
      >>> x = np.array([[0.0], [1.0], [5.0], [6.0]])
      >>> accuracy = fit_class_probe(Features(x, x, np.array([0, 0, 1, 1])), of=[0, 1])
      >>> accuracy(Features(x[1:], x[1:], np.array([0, 0, 1])))
      {'accuracy': 0.75, 'accuracy_0': 0.5, 'accuracy_1': 1.0}
    """
    labels = _labels(learnt)
    weights = 1 / np.bincount(labels)[labels]
    probe = fit_probe(learnt.features, np.eye(1 + max(labels))[labels], weights)

    def measure(images):
        labels = _labels(images)
        right = np.argmax(probe(images.features), axis=1) == labels
        classes = np.intersect1d(of, labels)
        shares = {f"accuracy_{k}": float(np.mean(right[labels == k])) for k in classes}
        return {"accuracy": float(np.mean(list(shares.values()))), **shares}

    return measure


def _labels(images: Features) -> np.ndarray:
    if images.labels is None:
        raise UserError("labels: got none, expected the classes of the images")
    return images.labels
