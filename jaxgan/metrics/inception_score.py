"""The inception score, of any classifier's logits.

It is computed in one pass over batches, from sums:

    sums = start_inception(num_classes)
    for logits in batches:
        sums = add_logits(sums, logits)
    score = finish_inception(sums)
"""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_rows

__all__ = [
    "InceptionScore",
    "InceptionSums",
    "add_logits",
    "finish_inception",
    "inception_score",
    "merge_inception",
    "start_inception",
]


class InceptionSums(NamedTuple):
    """What one pass over logits keeps.

    Attributes:
      count: number of samples so far.
      entropy: sum over them of the entropy of p(y|x), in nats.
      probabilities: (C,) float64, sum over them of p(y|x).
    """

    count: int  # type: ignore[assignment]
    entropy: float
    probabilities: np.ndarray


class InceptionScore(NamedTuple):
    """The score over splits.

    Attributes:
      mean: of the splits' scores.
      std: their standard deviation (divided by the number of splits, as Salimans et al. have it);
        0 for one split, of which it says nothing.
    """

    mean: float
    std: float


def start_inception(num_classes: int) -> InceptionSums:
    """The sums of no samples.

    Args:
      num_classes: C, the classifier's.

    Returns:
      `InceptionSums` with count 0.

    Raises:
      UserError: fewer than 2 classes.

    Examples:
      >>> start_inception(10).probabilities.shape
      (10,)
    """
    if num_classes < 2:
        raise UserError(f"num_classes: got {num_classes}, expected 2 or more")
    return InceptionSums(0, 0.0, np.zeros(num_classes))


def add_logits(sums: InceptionSums, logits: ArrayLike) -> InceptionSums:
    """The sums with one more batch in them.

    Args:
      sums: of the batches before.
      logits: (B, C) float, before the softmax.

    Returns:
      New `InceptionSums`.

    Raises:
      UserError: logits of another shape, not floating point or not finite.

    Examples:
      >>> sums = add_logits(start_inception(2), np.zeros((3, 2)))
      >>> sums.count, sums.probabilities.tolist()
      (3, [1.5, 1.5])
    """
    logits = check_rows("logits", logits, columns=sums.probabilities.shape[0])
    logits -= np.max(logits, axis=1, keepdims=True)  # a copy already, see check_rows
    log_p = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    p = np.exp(log_p)
    batch = InceptionSums(len(p), float(-np.sum(p * log_p)), np.sum(p, axis=0))
    return merge_inception(sums, batch)


def merge_inception(first: InceptionSums, second: InceptionSums) -> InceptionSums:
    """The sums of two disjoint sets of samples together.

    Args:
      first, second: of the two sets.

    Returns:
      New `InceptionSums`.

    Raises:
      UserError: sums over different numbers of classes.

    Examples:
      >>> half = add_logits(start_inception(2), np.zeros((3, 2)))
      >>> merge_inception(half, half).count
      6
    """
    if first.probabilities.shape != second.probabilities.shape:
        raise UserError(
            f"second: got sums of {second.probabilities.shape[0]} classes, expected "
            f"{first.probabilities.shape[0]}"
        )
    return InceptionSums(
        first.count + second.count,
        first.entropy + second.entropy,
        first.probabilities + second.probabilities,
    )


def finish_inception(sums: InceptionSums) -> float:
    """The inception score of all samples that were added.

        exp(E_x KL(p(y|x) || p(y))) = exp(H(p(y)) - E_x H(p(y|x))),  p(y) = E_x p(y|x)

    Args:
      sums: of at least one sample.

    Returns:
      The score, from 1 (every sample looks the same to the classifier, or none is clear) to C.

    Raises:
      UserError: no samples.

    Examples:
      >>> print(f"{finish_inception(add_logits(start_inception(3), 100 * np.eye(3))):.4f}")
      3.0000

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 4.
    """
    if sums.count < 1:
        raise UserError(f"sums: got {sums.count} samples, expected 1 or more")
    marginal = sums.probabilities / sums.count
    some = marginal[marginal > 0]  # 0 log 0 is 0
    return float(np.exp(-np.sum(some * np.log(some)) - sums.entropy / sums.count))


def inception_score(logits: ArrayLike, *, splits: int = 1) -> InceptionScore:
    """The inception score of logits that are all there, over splits.

    The samples are cut, in the order in which they come, into `splits` parts of equal size (to
    one), each of which is scored on its own. The fewer samples in a part, the lower the score.

    Args:
      logits: (N, C) float.
      splits: number of parts; 10 in the paper, of 50,000 samples.

    Returns:
      The `InceptionScore`. To stream it over splits, keep `InceptionSums` for each.

    Raises:
      UserError: logits that are not (N, C) float or not finite, more splits than samples.

    Examples:
      >>> score = inception_score(np.concatenate([np.zeros((3, 3)), 100 * np.eye(3)]), splits=2)
      >>> print(f"{score.mean:.4f} {score.std:.4f}")  # splits of 1 and of 3
      2.0000 1.0000

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 4.
    """
    logits = check_rows("logits", logits)
    if not 1 <= splits <= len(logits):
        raise UserError(f"splits: got {splits}, expected 1 to the {len(logits)} samples there are")
    start = start_inception(logits.shape[1])
    scores = [finish_inception(add_logits(start, part)) for part in np.array_split(logits, splits)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))
