"""The relativistic game, in which a generated example is judged beside a real one."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.losses.loss import Loss, check_logits

__all__ = ["relativistic", "relativistic_discriminator", "relativistic_generator"]


def relativistic_discriminator(
    real_logits: jax.Array, fake_logits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Cross entropy of telling, of a real and a generated example, which one is real.

        L_D = E[-log sigmoid(D(x) - D(G(z)))] = E[softplus(D(G(z)) - D(x))]

    Args:
      real_logits: (B,) float, the critic's output on real examples.
      fake_logits: (B,) float, its output on generated ones; each is compared with the real one in
        the same place.

    Returns:
      (real part, fake part), two float32 scalars in nats: half of the loss each, since what a pair
      costs is not one side's more than the other's. Their sum is log 2 for a critic that cannot
      tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point, or not as many on both sides.

    Examples:
      >>> real, fake = relativistic_discriminator(jnp.full(4, 7.0), jnp.full(4, 7.0))
      >>> print(f"{real + fake:.4f}")
      0.6931

    Source: Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from
    standard GAN", section 4.1; with `penalties.r1` and `penalties.r2` the game of Huang et al.
    2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN", section 2.
    """
    half = 0.5 * jnp.mean(jax.nn.softplus(-_advantage(real_logits, fake_logits)))
    return half, half


def relativistic_generator(fake_logits: jax.Array, real_logits: jax.Array) -> jax.Array:
    """The generator makes its examples look more real than the real ones they are paired with.

        L_G = E[-log sigmoid(D(G(z)) - D(x))] = E[softplus(D(x) - D(G(z)))]

    Args:
      fake_logits: (B,) float, the critic's output on generated examples.
      real_logits: (B,) float, its output on real ones.

    Returns:
      float32 scalar in nats, at least 0; log 2 where the critic cannot tell.

    Raises:
      UserError: logits that are not of rank 1 or not floating point, or not as many on both sides.

    Examples:
      >>> print(f"{relativistic_generator(jnp.full(4, 7.0), jnp.full(4, 7.0)):.4f}")
      0.6931

    Source: as `relativistic_discriminator`.
    """
    return jnp.mean(jax.nn.softplus(_advantage(real_logits, fake_logits)))


def _advantage(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    real_logits = check_logits("real_logits", real_logits)
    fake_logits = check_logits("fake_logits", fake_logits)
    if real_logits.shape != fake_logits.shape:
        raise UserError(
            f"fake_logits: got shape {fake_logits.shape}, expected {real_logits.shape}, one for "
            "each of real_logits"
        )
    return real_logits - fake_logits


relativistic = Loss(
    relativistic_discriminator,
    relativistic_generator,
    log_probabilities=None,
    generator_sees_real=True,
)
"""RpGAN, Jolicoeur-Martineau 2018."""
