"""One file a method: what it generates, what either side minimises, and how it begins."""

from jaxgan.methods.acgan import acgan
from jaxgan.methods.adversarial import adversarial
from jaxgan.methods.cyclegan import cyclegan
from jaxgan.methods.discogan import discogan
from jaxgan.methods.infogan import infogan
from jaxgan.methods.matching import init_matching, make_matching_step
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity
from jaxgan.methods.pix2pix import pix2pix
from jaxgan.methods.sgan import sgan
from jaxgan.methods.stackgan import stackgan_stage_one, stackgan_stage_two
from jaxgan.methods.translation import variables_of

__all__ = [
    "Method",
    "acgan",
    "adversarial",
    "adversarial_metrics",
    "cyclegan",
    "discogan",
    "diversity",
    "infogan",
    "init_matching",
    "make_matching_step",
    "pix2pix",
    "sgan",
    "stackgan_stage_one",
    "stackgan_stage_two",
    "variables_of",
]
