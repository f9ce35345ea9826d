"""The original games: the discriminator's logit is the log odds of being real."""

import math
from functools import partial

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.losses.loss import Loss, check_logits, sigmoid_log_probabilities

__all__ = [
    "minimax",
    "minimax_discriminator",
    "minimax_generator",
    "non_saturating",
    "non_saturating_generator",
    "smooth_labels",
]


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

    Examples:
      >>> real, fake = minimax_discriminator(jnp.zeros(4), jnp.zeros(4))
      >>> print(f"{real + fake:.4f}")
      1.3863

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", equation 1.
    """
    real_logits = check_logits("real_logits", real_logits)
    fake_logits = check_logits("fake_logits", fake_logits)
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

    Examples:
      >>> print(f"{minimax_generator(jnp.zeros(4)):.4f}")
      -0.6931

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", algorithm 1.
    """
    return -jnp.mean(jax.nn.softplus(check_logits("fake_logits", fake_logits)))


def non_saturating_generator(fake_logits: jax.Array) -> jax.Array:
    """The generator maximises log D(G(z)): strong gradients when the fakes are found out.

        L_G = -E[log D(G(z))] = E[softplus(-fake_logits)]

    Args:
      fake_logits: (B,) float, the discriminator's output on generated examples.

    Returns:
      float32 scalar in nats, at least 0; log 2 where the discriminator cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Examples:
      >>> print(f"{non_saturating_generator(jnp.zeros(4)):.4f}")
      0.6931

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", section 3.
    """
    return jnp.mean(jax.nn.softplus(-check_logits("fake_logits", fake_logits)))


minimax = Loss(minimax_discriminator, minimax_generator, sigmoid_log_probabilities)
"""The game of Goodfellow et al. 2014 as its equation 1 has it."""

non_saturating = Loss(minimax_discriminator, non_saturating_generator, sigmoid_log_probabilities)
"""The same discriminator, with the generator loss used in practice."""


def smooth_labels(loss: Loss, smoothing: float = 0.1) -> Loss:
    """One-sided label smoothing: real examples are to be real with probability 1 - smoothing.

        L_D = -(1 - s) E[log D(x)] - s E[log(1 - D(x))] - E[log(1 - D(G(z)))]

    The target of fakes stays 0: were it smoothed as well, fakes far from any data would have no
    reason to move. With p and q the densities of data and fakes, the best D is (1 - s) p / (p + q);
    `log_probabilities` takes the factor off, and holds the rest just below 1.

    Args:
      loss: `minimax` or `non_saturating`.
      smoothing: s, from 0 to 1/2.

    Returns:
      The `Loss`, with the same generator.

    Raises:
      UserError: a loss without labels to smooth, or a smoothing outside of [0, 1/2).

    Examples:
      >>> real, fake = smooth_labels(non_saturating).discriminator(jnp.full(4, 9.0), jnp.zeros(4))
      >>> print(f"{real:.4f}")  # a D too sure is no longer the best
      0.9001

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.4.
    """
    if loss.discriminator is not minimax_discriminator:
        raise UserError("loss: got one without labels, expected minimax or non_saturating")
    if not 0 <= smoothing < 0.5:
        raise UserError(f"smoothing: got {smoothing}, expected a number in [0, 1/2)")
    return loss._replace(
        discriminator=partial(_smoothed_discriminator, smoothing),
        log_probabilities=partial(_smoothed_log_probabilities, smoothing),
    )


def _smoothed_discriminator(
    smoothing: float, real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    real, fake = minimax_discriminator(real_logits, fake_logits)
    # softplus(x) = softplus(-x) + x
    return real + smoothing * jnp.mean(check_logits("real_logits", real_logits)), fake


def _smoothed_log_probabilities(smoothing: float, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    log_d, _ = sigmoid_log_probabilities(logits)
    log_d = jnp.minimum(log_d - math.log1p(-smoothing), math.log1p(-1e-3))
    return log_d, jnp.log1p(-jnp.exp(log_d))
