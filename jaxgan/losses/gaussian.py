"""How far Gaussians are from the standard one."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["gaussian_kl"]


def gaussian_kl(mean: jax.Array, log_sigma: jax.Array) -> jax.Array:
    """The divergence of Gaussians with independent entries from the standard one.

        KL(N(m, diag s^2) || N(0, I)) = sum_k 1/2 (m_k^2 + s_k^2 - 1) - log s_k

    Args:
      mean: (B, N) float, m.
      log_sigma: (B, N) float, log s.

    Returns:
      float32 scalar in nats, at least 0: the sum over the N entries, the mean over the B.

    Raises:
      UserError: arguments that are not of one shape (B, N).

    Examples:
      >>> print(gaussian_kl(jnp.full((4, 3), 2.0), jnp.zeros((4, 3))))
      6.0

    Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
    Generative Adversarial Networks", equation 2; Kingma and Welling 2014, "Auto-Encoding
    Variational Bayes", appendix B.
    """
    shapes = jnp.shape(mean), jnp.shape(log_sigma)
    if len(shapes[0]) != 2 or shapes[0] != shapes[1]:
        raise UserError(
            f"log_sigma: got shape {shapes[1]} beside means {shapes[0]}, expected (B, N) of both"
        )
    mean, log_sigma = (
        jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))
        for x in (mean, log_sigma)
    )
    entries = 0.5 * (jnp.square(mean) + jnp.exp(2 * log_sigma) - 1) - log_sigma
    return jnp.mean(jnp.sum(entries, axis=-1))
