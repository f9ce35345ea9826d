"""Generative adversarial networks in JAX and Flax.

The parts, each in its own module: `losses`, `penalties`, `augment`, `networks`, `objectives`,
`state`, `step`, `metrics`, `latent`, `data`, `sharding`, `checkpoint`, `loop`, `visualize`. The
names below are those that a program of one's own starts from.
"""

from jaxgan import augment, cpu, latent, losses, metrics, networks, objectives, penalties
from jaxgan.errors import UserError
from jaxgan.load import load_discriminator, load_generator
from jaxgan.state import Player, TrainState, create_player, create_train_state
from jaxgan.step import Aux, Context, Objective, make_train_step

__all__ = [
    "Aux",
    "Context",
    "Objective",
    "Player",
    "TrainState",
    "UserError",
    "augment",
    "cpu",
    "create_player",
    "create_train_state",
    "latent",
    "load_discriminator",
    "load_generator",
    "losses",
    "make_train_step",
    "metrics",
    "networks",
    "objectives",
    "penalties",
]
