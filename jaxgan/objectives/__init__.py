"""One file a method: what it generates, and what either side minimises."""

from jaxgan.objectives.adversarial import adversarial, init_adversarial, make_evaluate
from jaxgan.objectives.monitors import adversarial_metrics, diversity

__all__ = [
    "adversarial",
    "adversarial_metrics",
    "diversity",
    "init_adversarial",
    "make_evaluate",
]
