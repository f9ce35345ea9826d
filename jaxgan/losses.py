"""Adversarial losses: pure functions from discriminator logits to scalars.

Each loss comes as a `Loss`, a tuple of functions on logits of shape (B,):

    real, fake = losses.non_saturating.discriminator(real_logits, fake_logits)
    loss = losses.non_saturating.generator(fake_logits)

All of them are computed from logits through `softplus`, and stay finite up to |logit| = 1e4 and
beyond. Logits of any other rank are an error: (B, 1) against (B,) would broadcast to (B, B)
without a word.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = [
    "Loss",
    "least_squares",
    "least_squares_discriminator",
    "least_squares_generator",
    "minimax",
    "minimax_discriminator",
    "minimax_generator",
    "non_saturating",
    "non_saturating_generator",
]


class Loss(NamedTuple):
    """What one adversarial game minimises on either side.

    Attributes:
      discriminator: (real_logits (B,), fake_logits (B,)) -> two scalars, the part of the loss that
        real examples give and the part that fakes give. The discriminator minimises their sum.
      generator: fake_logits (B,) -> scalar that the generator minimises.
      log_probabilities: logits (B,) -> (log D, log(1 - D)), both (B,), where D is the probability
        of being real that the loss gives to an output. What D(x) means in the metrics.
    """

    discriminator: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    generator: Callable[[jax.Array], jax.Array]
    log_probabilities: Callable[[jax.Array], tuple[jax.Array, jax.Array]]


def minimax_discriminator(
    real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Cross entropy of telling real from fake; the discriminator's side of the minimax game.

        L_D = -E[log D(x)] - E[log(1 - D(G(z)))],  D = sigmoid(logit)
            = E[softplus(-real_logits)] + E[softplus(fake_logits)]

    Args:
      real_logits: (B,) float, the discriminator's output on real examples.
      fake_logits: (B,) float, its output on generated ones.

    Returns:
      (real part, fake part), two float32 scalars in nats. Their sum is 2 log 2 for a discriminator
      that cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Example:
      >>> real, fake = minimax_discriminator(jnp.zeros(4), jnp.zeros(4))
      >>> print(f"{real + fake:.4f}")
      1.3863

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", equation 1.
    """
    real_logits = _check("real_logits", real_logits)
    fake_logits = _check("fake_logits", fake_logits)
    return jnp.mean(jax.nn.softplus(-real_logits)), jnp.mean(jax.nn.softplus(fake_logits))


def minimax_generator(fake_logits: jax.Array) -> jax.Array:
    """The generator's side of the minimax game, which saturates when the fakes are found out.

        L_G = E[log(1 - D(G(z)))] = -E[softplus(fake_logits)]

    Args:
      fake_logits: (B,) float, the discriminator's output on generated examples.

    Returns:
      float32 scalar in nats, at most 0; -log 2 where the discriminator cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Example:
      >>> print(f"{minimax_generator(jnp.zeros(4)):.4f}")
      -0.6931

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", algorithm 1.
    """
    return -jnp.mean(jax.nn.softplus(_check("fake_logits", fake_logits)))


def non_saturating_generator(fake_logits: jax.Array) -> jax.Array:
    """The generator maximises log D(G(z)): strong gradients when the fakes are found out.

        L_G = -E[log D(G(z))] = E[softplus(-fake_logits)]

    Args:
      fake_logits: (B,) float, the discriminator's output on generated examples.

    Returns:
      float32 scalar in nats, at least 0; log 2 where the discriminator cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Example:
      >>> print(f"{non_saturating_generator(jnp.zeros(4)):.4f}")
      0.6931

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", section 3.
    """
    return jnp.mean(jax.nn.softplus(-_check("fake_logits", fake_logits)))


def least_squares_discriminator(
    real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Regression of real examples to 1 and of fakes to 0; the output is used as it is.

        L_D = 1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2]

    Args:
      real_logits: (B,) float, the discriminator's output on real examples.
      fake_logits: (B,) float, its output on generated ones.

    Returns:
      (real part, fake part), two float32 scalars. Their sum is 1/4 for a discriminator that
      cannot tell, whose output is 1/2.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Example:
      >>> real, fake = least_squares_discriminator(jnp.full(4, 0.5), jnp.full(4, 0.5))
      >>> print(real + fake)
      0.25

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9
    (a = 0, b = c = 1).
    """
    real_logits = _check("real_logits", real_logits)
    fake_logits = _check("fake_logits", fake_logits)
    return 0.5 * jnp.mean(jnp.square(real_logits - 1)), 0.5 * jnp.mean(jnp.square(fake_logits))


def least_squares_generator(fake_logits: jax.Array) -> jax.Array:
    """Regression of the discriminator's output on fakes to 1.

        L_G = 1/2 E[(D(G(z)) - 1)^2]

    Args:
      fake_logits: (B,) float, the discriminator's output on generated examples.

    Returns:
      float32 scalar, at least 0; 1/8 where the output is 1/2.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Example:
      >>> print(least_squares_generator(jnp.full(4, 0.5)))
      0.125

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9.
    """
    return 0.5 * jnp.mean(jnp.square(_check("fake_logits", fake_logits) - 1))


def _sigmoid_log_probabilities(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    logits = _check("logits", logits)
    return -jax.nn.softplus(-logits), -jax.nn.softplus(logits)


def _linear_log_probabilities(outputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    # With targets 0 and 1 the best output is p / (p + q), the same probability that the sigmoid
    # gives under cross entropy; a regression can leave [0, 1], so it is held just inside.
    probability = jnp.clip(_check("logits", outputs), 1e-3, 1 - 1e-3)
    return jnp.log(probability), jnp.log1p(-probability)


def _check(name: str, logits: jax.Array) -> jax.Array:
    shape, dtype = jnp.shape(logits), jnp.result_type(logits)
    if len(shape) != 1:
        raise UserError(f"{name}: got shape {shape}, expected (B,), one logit an example")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"{name}: got dtype {dtype}, expected a floating point dtype")
    # Sums over a batch lose too much in bfloat16; float64 stays as it is.
    return jnp.asarray(logits, jnp.promote_types(dtype, jnp.float32))


minimax = Loss(minimax_discriminator, minimax_generator, _sigmoid_log_probabilities)
"""The game of Goodfellow et al. 2014 as its equation 1 has it."""

non_saturating = Loss(minimax_discriminator, non_saturating_generator, _sigmoid_log_probabilities)
"""The same discriminator, with the generator loss used in practice."""

least_squares = Loss(
    least_squares_discriminator, least_squares_generator, _linear_log_probabilities
)
"""LSGAN, Mao et al. 2017."""
