"""Least squares: the discriminator's output is regressed to 0 and 1 as it is."""

import jax
import jax.numpy as jnp

from jaxgan.losses.loss import Loss, check_logits

__all__ = ["least_squares", "least_squares_discriminator", "least_squares_generator"]


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

    Examples:
      >>> real, fake = least_squares_discriminator(jnp.full(4, 0.5), jnp.full(4, 0.5))
      >>> print(real + fake)
      0.25

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9
    (a = 0, b = c = 1).
    """
    real_logits = check_logits("real_logits", real_logits)
    fake_logits = check_logits("fake_logits", fake_logits)
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

    Examples:
      >>> print(least_squares_generator(jnp.full(4, 0.5)))
      0.125

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9.
    """
    return 0.5 * jnp.mean(jnp.square(check_logits("fake_logits", fake_logits) - 1))


def _linear_log_probabilities(outputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    # With targets 0 and 1 the best output is p / (p + q), the same probability that the sigmoid
    # gives under cross entropy; a regression can leave [0, 1], so it is held just inside.
    probability = jnp.clip(check_logits("logits", outputs), 1e-3, 1 - 1e-3)
    return jnp.log(probability), jnp.log1p(-probability)


least_squares = Loss(
    least_squares_discriminator, least_squares_generator, _linear_log_probabilities
)
"""LSGAN, Mao et al. 2017."""
