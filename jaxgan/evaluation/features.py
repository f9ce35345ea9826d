"""From images to metrics, by way of a network's features of real and generated ones.

    real = real_batches(source, 10_000, image_size=28, channels=1)
    fake = generated_batches(generate, 10_000)
    real, fake = (collect_features(network, batches, 10_000) for batches in (real, fake))
    values = evaluate_features(real, fake, ("fid", "kid"))

`network` is `load_lenet()`, `load_inception()`, or any function from images to {"features",
"logits"}. Images are seen a batch at a time; features and logits of all of them are kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from grain.sources import RandomAccessDataSource
from jax.typing import ArrayLike

from jaxgan import data, metrics
from jaxgan.errors import UserError
from jaxgan.inputs import Generate, draw_inputs

__all__ = [
    "METRICS",
    "Features",
    "collect_features",
    "evaluate_features",
    "generated_batches",
    "real_batches",
    "real_indices",
    "real_labels",
    "requested_labels",
]


class Features(NamedTuple):
    """What a network says of a set of images.

    Attributes:
      features: (N, D) float32.
      logits: (N, K) float32.
      labels: (N,) int, the classes of real images, or those that were asked for of generated ones:
        see `real_labels` and `requested_labels`. None where no metric needs them.
    """

    features: np.ndarray
    logits: np.ndarray
    labels: np.ndarray | None = None


def real_batches(
    source: RandomAccessDataSource,
    num_samples: int,
    *,
    image_size: int,
    channels: int,
    batch_size: int = 500,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Draws images of a data set without replacement, in batches of one size.

    Args:
      source: see `jaxgan.data`.
      num_samples: how many images; at most all that there are.
      image_size: height and width of the images.
      channels: 1 (grey) or 3 (RGB).
      batch_size: B.
      seed: which images.

    Yields:
      (B, image_size, image_size, channels) float32 in [0, 1]; the last batch is filled up with
      images of the first, for `collect_features` to leave out.

    Raises:
      UserError: more images than there are, or fewer than 1; as `jaxgan.data.prepare_image`.

    Examples:
      >>> batches = real_batches(data.mnist("test"), 30, image_size=28, channels=1, batch_size=20)
      >>> [batch.shape for batch in batches]
      [(20, 28, 28, 1), (20, 28, 28, 1)]
    """
    for indices in _batches(real_indices(source, num_samples, seed=seed), batch_size):
        yield data.read_images(source, indices, image_size=image_size, channels=channels)


def real_labels(source: RandomAccessDataSource, num_samples: int, *, seed: int = 0) -> np.ndarray:
    """The classes of the images that `real_batches` draws.

    Args:
      source, num_samples, seed: as there.

    Returns:
      (num_samples,) int32.

    Raises:
      UserError: a source without classes, more images than there are, or fewer than 1.

    Examples:
      >>> real_labels(data.mnist("test"), 5).shape
      (5,)
    """
    if not source.num_classes:
        raise UserError("source: got images without classes, expected labelled ones")
    indices = real_indices(source, num_samples, seed=seed)
    return np.array([source[int(index)]["label"] for index in indices], np.int32)


def real_indices(source: RandomAccessDataSource, num_samples: int, *, seed: int = 0) -> np.ndarray:
    """Which images of a data set `real_batches` draws, in order.

    Args:
      source, num_samples, seed: as there.

    Returns:
      (num_samples,) int64.

    Raises:
      UserError: more images than there are, or fewer than 1.

    Examples:
      >>> sorted(real_indices(data.mnist("test"), 10_000).tolist()) == list(range(10_000))
      True
    """
    if not 1 <= num_samples <= len(source):
        raise UserError(f"num_samples: got {num_samples}, expected 1 to {len(source)}")
    return np.random.default_rng(seed).permutation(len(source))[:num_samples]


def generated_batches(
    generate: Generate,
    num_samples: int,
    *,
    batch_size: int = 500,
    seed: int = 0,
) -> Iterator[jax.Array]:
    """Draws images from a generator, in batches of one size.

    Args:
      generate: such as `load_generator` gives.
      num_samples: how many images; their latents do not depend on the batch size.
      batch_size: B.
      seed: of the latents. The classes are those of `requested_labels`.

    Yields:
      (B, H, W, C) float32; the last batch is filled up as that of `real_batches`.

    Raises:
      UserError: fewer than 1 image.

    Examples:
      >>> from jaxgan.inputs import Latents
      >>> generate = lambda latents: jax.nn.sigmoid(latents.reshape(-1, 2, 2, 1))
      >>> generate.inputs = {"latents": Latents(4)}
      >>> [batch.shape for batch in generated_batches(generate, 30, batch_size=20)]
      [(20, 2, 2, 1), (20, 2, 2, 1)]
    """
    if num_samples < 1:
        raise UserError(f"num_samples: got {num_samples}, expected 1 or more")
    drawn = map(np.asarray, draw_inputs(generate.inputs, jax.random.key(seed), num_samples))
    for part in zip(*(_batches(rows, batch_size) for rows in drawn), strict=True):
        yield generate(*part)


def requested_labels(num_samples: int, num_classes: int) -> np.ndarray:
    """The classes that `generated_batches` asks for: in turn, each as often as any other.

    Args:
      num_samples: how many images.
      num_classes: of the generator.

    Returns:
      (num_samples,) int32.

    Examples:
      >>> requested_labels(5, 3).tolist()
      [0, 1, 2, 0, 1]
    """
    return np.arange(num_samples, dtype=np.int32) % num_classes


def _batches(rows, batch_size):
    # Of one size, since every other size would be compiled anew.
    if batch_size < 1:
        raise UserError(f"batch_size: got {batch_size}, expected 1 or more")
    for first in range(0, len(rows), batch_size):
        yield rows.take(range(first, first + batch_size), axis=0, mode="wrap")


def collect_features(
    network: Callable[..., dict[str, jax.Array]],
    batches: Iterable[ArrayLike],
    num_samples: int,
) -> Features:
    """Features and logits of the first images that batches hold.

    Args:
      network: images (B, H, W, C) in [0, 1] -> {"features": (B, D), "logits": (B, K)}.
      batches: of images.
      num_samples: N, how many to keep.

    Returns:
      The `Features`, on the host.

    Raises:
      UserError: fewer images than `num_samples`; what `network` raises.

    Examples:
      >>> network = lambda images: {"features": images[:, 0, 0], "logits": images[:, 0, 0]}
      >>> collect_features(network, [np.ones((4, 2, 2, 3))] * 2, 6).features.shape
      (6, 3)
    """
    parts, count = [], 0
    for images in batches:
        of_batch = network(images)
        parts.append([np.asarray(of_batch[name]) for name in ("features", "logits")])
        count += len(parts[-1][0])
    if not 1 <= num_samples <= count:
        raise UserError(f"num_samples: got {num_samples} with {count} images in the batches")
    return Features(*(np.concatenate(rows)[:num_samples] for rows in zip(*parts, strict=True)))


def evaluate_features(
    real: Features, fake: Features, names: Sequence[str] = ("fid", "kid", "is", "prdc", "modes")
) -> dict[str, float]:
    """Metrics of generated images against real ones.

    Args:
      real: of N real images.
      fake: of M generated ones, by the same network.
      names: some of `METRICS`: "fid"; "kid" (with its standard error, by at most 10 blocks of at
        most 1000); "is", the inception score; "prdc", precision and recall with k = 3, density
        and coverage with k = 5; "modes", how many of the real images' classes the generated ones
        have, and the reverse KL divergence between the two, by the network's greatest logits. With
        labels also "accuracy", the share of generated images that the network's greatest logit puts
        in the class that was asked for; "class_fid", the Fréchet distance between the real and the
        generated images of each class.

    Returns:
      {"fid", "kid", "kid_standard_error", "is", "precision", "recall", "density", "coverage",
      "modes", "reverse_kl", "accuracy", "accuracy_0" ..., "class_fid", "class_fid_worst",
      "class_fid_0" ...}, those asked for: by class of all images, of each class; the mean over the
      classes, the largest, each. The distances are biased by N and M, which belong in their names,
      see `jaxgan.metrics.metric_name`; those of a class, of which there are fewer images, more so.

    Raises:
      UserError: an unknown name, no labels where they are needed, fewer than two images of a class
        that has to have a distance, or what the functions of `jaxgan.metrics` raise.

    Examples:
      >>> rng = np.random.default_rng(0)
      >>> real = Features(*rng.normal(size=(2, 100, 3)).astype("float32"))
      >>> evaluate_features(real, real, ("fid", "modes"))["modes"]
      3.0

    Source: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs",
    section 4.1, for the accuracy.
    """
    check_metrics(names)
    values: dict[str, float] = {}
    for name in names:
        values |= METRICS[name].compute(real, fake)
    return values


def check_metrics(names: Sequence[str], known: Iterable[str] | None = None) -> None:
    """Refuses names that are none of those known, by default of `METRICS`."""
    known = METRICS if known is None else known
    for name in names:
        if name not in known:
            raise UserError(f"metrics: got {name!r}, expected some of {', '.join(known)}")
    if not names:
        raise UserError(f"metrics: got none, expected some of {', '.join(known)}")


class Metric(NamedTuple):
    """A metric of generated images against real ones.

    Attributes:
      compute: (features of real images, of generated ones) -> {name: value}.
      better: name -> "min" or "max", which of its values is better.
      of_classes: whether the network's logits have to be of the classes of the data.
      of_labels: whether both `Features` need labels.
    """

    compute: Callable[[Features, Features], dict[str, float]]
    better: dict[str, str]
    of_classes: bool = False
    of_labels: bool = False


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """The Fréchet distance of features (N, D) and (M, D)."""
    gaussians = [
        metrics.finish_moments(metrics.add_features(metrics.start_moments(x.shape[1]), x))
        for x in (real, fake)
    ]
    return metrics.frechet_distance(*gaussians)


def _fid(real: Features, fake: Features) -> dict[str, float]:
    return {"fid": frechet(real.features, fake.features)}


def _kid(real: Features, fake: Features) -> dict[str, float]:
    block_size = min(1000, max(2, min(len(real.features), len(fake.features)) // 10))
    kid = metrics.kernel_distance(real.features, fake.features, block_size=block_size)
    return {"kid": kid.value, "kid_standard_error": kid.standard_error}


def _inception_score(real: Features, fake: Features) -> dict[str, float]:
    return {"is": metrics.inception_score(fake.logits).mean}


def _prdc(real: Features, fake: Features) -> dict[str, float]:
    return {
        **metrics.precision_recall(real.features, fake.features)._asdict(),
        **metrics.density_coverage(real.features, fake.features)._asdict(),
    }


def _modes(real: Features, fake: Features) -> dict[str, float]:
    real_modes, fake_modes = (
        metrics.count_modes(np.argmax(x.logits, axis=1), x.logits.shape[1]) for x in (real, fake)
    )
    reverse_kl = metrics.reverse_kl(fake_modes, real_modes)
    return {"modes": float(metrics.modes_caught(fake_modes)), "reverse_kl": reverse_kl}


def _labels(real: Features, fake: Features) -> tuple[np.ndarray, np.ndarray, int]:
    if real.labels is None or fake.labels is None:
        raise UserError("labels: got none, expected those of real and of generated images")
    return real.labels, fake.labels, 1 + int(max(real.labels.max(), fake.labels.max()))


def _accuracy(real: Features, fake: Features) -> dict[str, float]:
    _, labels, num_classes = _labels(real, fake)
    # Of few images, not every class that the network tells apart has to have one.
    num_classes = max(num_classes, fake.logits.shape[1])
    counts = metrics.count_right(fake.logits, labels, num_classes)
    by_class = metrics.class_accuracy(counts)
    each = {f"accuracy_{k}": float(share) for k, share in enumerate(by_class)}
    return {"accuracy": metrics.accuracy(counts), **each}


def _class_fid(real: Features, fake: Features) -> dict[str, float]:
    real_labels, fake_labels, num_classes = _labels(real, fake)

    def of_class(features, labels, kind, k):
        chosen = features[labels == k]
        if len(chosen) < 2:
            raise UserError(
                f"num: got {len(chosen)} {kind} images of class {k}, expected 2 or more for "
                "class_fid"
            )
        return chosen

    distances = [
        frechet(
            of_class(real.features, real_labels, "real", k),
            of_class(fake.features, fake_labels, "generated", k),
        )
        for k in range(num_classes)
    ]
    each = {f"class_fid_{k}": distance for k, distance in enumerate(distances)}
    return {"class_fid": float(np.mean(distances)), "class_fid_worst": max(distances), **each}


METRICS = {
    "fid": Metric(_fid, {"fid": "min"}),
    "kid": Metric(_kid, {"kid": "min"}),
    "is": Metric(_inception_score, {"is": "max"}),
    "prdc": Metric(_prdc, dict.fromkeys(("precision", "recall", "density", "coverage"), "max")),
    "modes": Metric(_modes, {"modes": "max", "reverse_kl": "min"}, of_classes=True),
    "accuracy": Metric(_accuracy, {"accuracy": "max"}, of_classes=True, of_labels=True),
    "class_fid": Metric(_class_fid, {"class_fid": "min"}, of_labels=True),
}
"""All that is known of each metric, by the name that a user asks for it by."""
