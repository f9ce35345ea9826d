"""Losses linear in the logit, without bound (Wasserstein) or up to a margin (hinge)."""

import jax
import jax.numpy as jnp

from jaxgan.losses.loss import Loss, check_logits, sigmoid_log_probabilities

__all__ = [
    "hinge",
    "hinge_discriminator",
    "wasserstein",
    "wasserstein_discriminator",
    "wasserstein_generator",
]


def wasserstein_discriminator(
    real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The critic's side of the Wasserstein game: how far apart it can hold the two means.

        L_D = -E[D(x)] + E[D(G(z))]

    The negative of a lower bound of the Wasserstein-1 distance, for a critic of Lipschitz constant
    1, which `penalties.gradient_penalty` or spectral normalisation see to.

    Args:
      real_logits: (B,) float, the critic's output on real examples.
      fake_logits: (B,) float, its output on generated ones.

    Returns:
      (real part, fake part), two float32 scalars. Their sum is 0 for a critic that cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Examples:
      >>> real, fake = wasserstein_discriminator(jnp.full(4, 3.0), jnp.full(4, 1.0))
      >>> print(real + fake)
      -2.0

    Source: Arjovsky et al. 2017, "Wasserstein GAN", equation 3 and algorithm 1.
    """
    return -jnp.mean(check_logits("real_logits", real_logits)), jnp.mean(
        check_logits("fake_logits", fake_logits)
    )


def wasserstein_generator(fake_logits: jax.Array) -> jax.Array:
    """The generator raises the critic's mean output; also its side of the hinge game.

        L_G = -E[D(G(z))]

    Args:
      fake_logits: (B,) float, the critic's output on generated examples.

    Returns:
      float32 scalar, 0 where the output is 0.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Examples:
      >>> print(wasserstein_generator(jnp.full(4, 3.0)))
      -3.0

    Source: Arjovsky et al. 2017, "Wasserstein GAN", algorithm 1.
    """
    return -jnp.mean(check_logits("fake_logits", fake_logits))


def hinge_discriminator(
    real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A margin of 1 on either side of 0; examples beyond it no longer count.

        L_D = E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]

    Args:
      real_logits: (B,) float, the discriminator's output on real examples.
      fake_logits: (B,) float, its output on generated ones.

    Returns:
      (real part, fake part), two float32 scalars, at least 0. Their sum is 2 for a discriminator
      that cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Examples:
      >>> real, fake = hinge_discriminator(jnp.full(4, 0.25), jnp.full(4, -3.0))
      >>> print(real, fake)
      0.75 0.0

    Source: Lim & Ye 2017, "Geometric GAN", section 3; Miyato et al. 2018, "Spectral Normalization
    for Generative Adversarial Networks", equations 16 and 17.
    """
    real_logits = check_logits("real_logits", real_logits)
    fake_logits = check_logits("fake_logits", fake_logits)
    return jnp.mean(jax.nn.relu(1 - real_logits)), jnp.mean(jax.nn.relu(1 + fake_logits))


wasserstein = Loss(wasserstein_discriminator, wasserstein_generator, log_probabilities=None)
"""WGAN, Arjovsky et al. 2017; the critic needs a penalty or normalised weights besides."""

hinge = Loss(hinge_discriminator, wasserstein_generator, sigmoid_log_probabilities)
"""Lim & Ye 2017, "Geometric GAN"."""
