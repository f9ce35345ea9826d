"""One file a method: what it generates, and what either side minimises."""

from jaxgan.objectives.acgan import acgan, init_acgan, make_acgan_evaluate
from jaxgan.objectives.adversarial import adversarial, init_adversarial, make_evaluate
from jaxgan.objectives.cyclegan import cyclegan, init_cyclegan
from jaxgan.objectives.discogan import discogan
from jaxgan.objectives.matching import init_matching, make_matching_step
from jaxgan.objectives.monitors import adversarial_metrics, diversity
from jaxgan.objectives.sgan import init_sgan, make_sgan_evaluate, sgan
from jaxgan.objectives.stackgan import (
    init_stackgan_stage_one,
    init_stackgan_stage_two,
    stackgan_stage_one,
    stackgan_stage_two,
)
from jaxgan.objectives.translation import init_translation, variables_of

__all__ = [
    "acgan",
    "adversarial",
    "adversarial_metrics",
    "cyclegan",
    "discogan",
    "diversity",
    "init_acgan",
    "init_adversarial",
    "init_cyclegan",
    "init_matching",
    "init_sgan",
    "init_stackgan_stage_one",
    "init_stackgan_stage_two",
    "init_translation",
    "make_acgan_evaluate",
    "make_evaluate",
    "make_matching_step",
    "make_sgan_evaluate",
    "sgan",
    "stackgan_stage_one",
    "stackgan_stage_two",
    "variables_of",
]
