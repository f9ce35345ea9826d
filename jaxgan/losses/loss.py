"""What a loss is, and what all of them do with logits first."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["Loss", "check_logits", "sigmoid_log_probabilities"]


class Loss(NamedTuple):
    """What one adversarial game minimises on either side.

    Attributes:
      discriminator: (real_logits (B,), fake_logits (B,)) -> two scalars, the part of the loss that
        real examples give and the part that fakes give. The discriminator minimises their sum.
      generator: fake_logits (B,) -> scalar that the generator minimises; with
        `generator_sees_real`, (fake_logits, real_logits) -> scalar.
      log_probabilities: logits (B,) -> (log D, log(1 - D)), both (B,), where D is the probability
        of being real that the loss gives to an output. What D(x) means in the metrics. The hinge
        loss gives none, but divides real from fake at 0, as the sigmoid does at 1/2, and so has
        its D; the bound on the divergence holds for any D. None where the loss fixes logits only
        up to a constant (Wasserstein, relativistic): those of one kind of example alone then say
        nothing.
      generator_sees_real: the generator's loss compares its examples with real ones. An objective
        then runs the discriminator on real examples for the generator's update too.
    """

    discriminator: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    generator: Callable[..., jax.Array]
    log_probabilities: Callable[[jax.Array], tuple[jax.Array, jax.Array]] | None
    generator_sees_real: bool = False


def check_logits(name: str, logits: jax.Array) -> jax.Array:
    """Refuses all but floats (B,), by name, and widens them to float32 at least."""
    shape, dtype = jnp.shape(logits), jnp.result_type(logits)
    if len(shape) != 1:
        raise UserError(f"{name}: got shape {shape}, expected (B,), one logit an example")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"{name}: got dtype {dtype}, expected a floating point dtype")
    # Sums over a batch lose too much in bfloat16; float64 stays as it is.
    return jnp.asarray(logits, jnp.promote_types(dtype, jnp.float32))


def sigmoid_log_probabilities(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """D = sigmoid(logit), as cross entropy has it."""
    logits = check_logits("logits", logits)
    return -jax.nn.softplus(-logits), -jax.nn.softplus(logits)
