"""One file a method: what it generates, and what either side minimises."""

from jaxgan.objectives.acgan import acgan, init_acgan, make_acgan_evaluate
from jaxgan.objectives.adversarial import adversarial, init_adversarial, make_evaluate
from jaxgan.objectives.monitors import adversarial_metrics, diversity
from jaxgan.objectives.sgan import init_sgan, make_sgan_evaluate, sgan

__all__ = [
    "acgan",
    "adversarial",
    "adversarial_metrics",
    "diversity",
    "init_acgan",
    "init_adversarial",
    "init_sgan",
    "make_acgan_evaluate",
    "make_evaluate",
    "make_sgan_evaluate",
    "sgan",
]
