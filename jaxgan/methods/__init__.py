"""One file a method: what it generates, and what either side minimises."""

from jaxgan.methods.acgan import acgan, init_acgan, make_acgan_evaluate
from jaxgan.methods.adversarial import adversarial, init_adversarial, make_evaluate
from jaxgan.methods.cyclegan import cyclegan, init_cyclegan
from jaxgan.methods.discogan import discogan
from jaxgan.methods.matching import init_matching, make_matching_step
from jaxgan.methods.monitors import adversarial_metrics, diversity
from jaxgan.methods.sgan import init_sgan, make_sgan_evaluate, sgan
from jaxgan.methods.stackgan import (
    init_stackgan_stage_one,
    init_stackgan_stage_two,
    stackgan_stage_one,
    stackgan_stage_two,
)
from jaxgan.methods.translation import init_translation, variables_of

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
