"""One file a method: what it generates, what either side minimises, and how it begins.

For methods of your own: `Method`; `make_init` makes its `init`, and `judge_held_out` counts for its
`evaluate`; `entry`, `real_images` and `class_labels` take from a batch what is there or refuse it;
`adversarial_metrics` and `diversity` are what to log. `adversarial_critic` is no method: it is the
discriminator's side alone, as a term of a loss of one's own.
"""

from jaxgan.methods.acgan import acgan
from jaxgan.methods.adversarial import adversarial
from jaxgan.methods.batches import class_labels, entry, real_images
from jaxgan.methods.critic import Critic, CriticState, adversarial_critic
from jaxgan.methods.cyclegan import cyclegan
from jaxgan.methods.discogan import discogan
from jaxgan.methods.dmd2 import distribution_matching, dmd2
from jaxgan.methods.flow_matching import init_flow, integrate, make_flow_step
from jaxgan.methods.infogan import infogan
from jaxgan.methods.matching import init_matching, make_matching_step
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity, judge_held_out
from jaxgan.methods.pix2pix import pix2pix
from jaxgan.methods.players import make_init
from jaxgan.methods.sgan import sgan
from jaxgan.methods.stackgan import stackgan_stage_one, stackgan_stage_two
from jaxgan.methods.translation import variables_of

__all__ = [
    "Critic",
    "CriticState",
    "Method",
    "acgan",
    "adversarial",
    "adversarial_critic",
    "adversarial_metrics",
    "class_labels",
    "cyclegan",
    "discogan",
    "distribution_matching",
    "diversity",
    "dmd2",
    "entry",
    "infogan",
    "init_flow",
    "init_matching",
    "integrate",
    "judge_held_out",
    "make_flow_step",
    "make_init",
    "make_matching_step",
    "pix2pix",
    "real_images",
    "sgan",
    "stackgan_stage_one",
    "stackgan_stage_two",
    "variables_of",
]
