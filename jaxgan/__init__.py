"""Generative adversarial networks in JAX and Flax.

The parts, each in its own module: `losses`, `penalties`, `augment`, `networks`, `methods`,
`state`, `step`, `metrics`, `latent`, `data`, `evaluation`, `training`, `runs`, `inference`. The
names below are those that a program of one's own starts from. They need JAX, Flax, Optax and NumPy
alone; `load_generator` and `load_discriminator` import Orbax when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from jaxgan import augment, cpu, gpu, latent, losses, methods, metrics, networks
from jaxgan.batch_statistics import standing_statistics
from jaxgan.errors import UserError
from jaxgan.frameworks import from_equinox, from_nnx
from jaxgan.losses import penalties
from jaxgan.methods import adversarial_critic
from jaxgan.network import Network, from_functions
from jaxgan.state import Player, TrainState, create_player, create_train_state
from jaxgan.step import (
    Aux,
    Context,
    Objective,
    apply_eval,
    apply_train,
    example_gradient_norm,
    make_train_step,
)

if TYPE_CHECKING:
    from jaxgan.inference.load import load_discriminator, load_generator

__version__ = "0.1.0"

__all__ = [
    "Aux",
    "Context",
    "Network",
    "Objective",
    "Player",
    "TrainState",
    "UserError",
    "adversarial_critic",
    "apply_eval",
    "apply_train",
    "augment",
    "cpu",
    "create_player",
    "create_train_state",
    "example_gradient_norm",
    "from_equinox",
    "from_functions",
    "from_nnx",
    "gpu",
    "latent",
    "load_discriminator",
    "load_generator",
    "losses",
    "make_train_step",
    "methods",
    "metrics",
    "networks",
    "penalties",
    "standing_statistics",
]


def __getattr__(name: str) -> Any:
    if name in ("load_discriminator", "load_generator"):
        from jaxgan.inference import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
