"""What goes wrong in a run, named in words, from the metrics that it logs.

    finding        what is seen over ten logging points
    saturated      the discriminator classifies nearly every image correctly and with
                   certainty, so that what it tells the generator is of little use
    collapsed      generated images differ much less from one another than real ones
    oscillating    the discriminator's judgement of generated images keeps turning around

A loss that is no longer finite is not among them: it stops the run.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["WINDOW", "Finding", "Period", "diagnose", "diagnose_run"]

WINDOW = 10
"""Logging points that a finding is made from."""


class Finding(NamedTuple):
    """What is wrong.

    Attributes:
      name: "saturated", "collapsed" or "oscillating".
      text: what is seen, in words and numbers.
      advice: what to try.
    """

    name: str
    text: str
    advice: str


class Period(NamedTuple):
    """A finding and the steps through which it held.

    Attributes:
      first, last: steps of the logging points at which it was made first and last.
      finding: as it was at its last step.
    """

    first: int
    last: int
    finding: Finding


def diagnose(rows: Sequence[dict[str, float]]) -> list[Finding]:
    """Names what has gone wrong by the last of the logged metrics.

    Args:
      rows: one dictionary a logging point, oldest first, of the train step's metrics. Findings
        whose metrics are missing are not made.

    Returns:
      The findings, none if all is well or if there are fewer than `WINDOW` rows.

    Examples:
      >>> diagnose([{"diversity": 0.02}] * WINDOW)[0].name
      'collapsed'
    """
    rows = rows[-WINDOW:]
    if len(rows) < WINDOW:
        return []
    makers = (_saturated, _collapsed, _oscillating)
    return [finding for make in makers if (finding := make(rows)) is not None]


def diagnose_run(rows: Sequence[dict[str, float]]) -> list[Period]:
    """Names what went wrong in a whole run, and when.

    Args:
      rows: as for `diagnose`, each with its "step".

    Returns:
      The periods, in the order in which they began.

    Examples:
      >>> rows = [{"step": step, "diversity": 0.02} for step in range(20)]
      >>> [(period.first, period.last) for period in diagnose_run(rows)]
      [(9, 19)]
    """
    periods: list[Period] = []
    going_on: dict[str, int] = {}
    for end in range(WINDOW, len(rows) + 1):
        step = int(rows[end - 1]["step"])
        found = {finding.name: finding for finding in diagnose(rows[end - WINDOW : end])}
        for name, finding in found.items():
            if name in going_on:
                index = going_on[name]
                periods[index] = Period(periods[index].first, step, finding)
            else:
                going_on[name] = len(periods)
                periods.append(Period(step, step, finding))
        going_on = {name: index for name, index in going_on.items() if name in found}
    return periods


def _mean(rows: Sequence[dict[str, float]], name: str) -> float:
    """NaN where the metric is missing, which no comparison below takes for a finding."""
    values = [row.get(name, float("nan")) for row in rows]
    return sum(values) / len(values)


def _saturated(rows):
    real, fake = _mean(rows, "accuracy_real"), _mean(rows, "accuracy_fake")
    d_real, d_fake = _mean(rows, "d_real"), _mean(rows, "d_fake")
    # Healthy runs on MNIST stay below an accuracy of 0.90 and a gap of 0.65; an MLP that was lost
    # for good had 1.000 and 0.999.
    if not (min(real, fake) > 0.99 and d_real - d_fake > 0.95):
        return None
    gradient_norm = _mean(rows, "generator_gradient_norm")
    return Finding(
        "saturated",
        f"The discriminator is right on {real:.1%} of real and {fake:.1%} of generated images, "
        f"and sure of it: D(x) {d_real:.3f}, D(G(z)) {d_fake:.3f}; the gradient that it gives to a "
        f"generated image has norm {gradient_norm:.2g}.",
        "Make the discriminator weaker: a lower learning rate, dropout, instance noise, R1 or "
        "augmentation; or beta1 0.5 in Adam. With the minimax loss, take the non-saturating one.",
    )


def _collapsed(rows):
    diversity = _mean(rows, "diversity")
    if not diversity < 0.4:
        return None
    return Finding(
        "collapsed",
        f"Generated images are nearly alike: they spread {diversity:.2f} times as much as real "
        "ones.",
        "Lower the generator's learning rate, let the discriminator see several images at once "
        "(packing, minibatch discrimination), or take a relativistic loss with R1 and R2.",
    )


def _oscillating(rows):
    low, high = 0.3, 0.7
    # Each state lasts until the opposite one is reached.
    states = [value > high for value in (row.get("accuracy_fake", 0.5) for row in rows)
              if value < low or value > high]  # fmt: skip
    turns = sum(a != b for a, b in itertools.pairwise(states))
    if turns < 4:
        return None
    return Finding(
        "oscillating",
        f"The players take turns at winning: over the last {WINDOW} logging points the accuracy "
        f"on generated images went {turns} times between below {low} and above {high}.",
        "Lower both learning rates, add R1, and sample from the averaged parameters (ema_decay).",
    )
