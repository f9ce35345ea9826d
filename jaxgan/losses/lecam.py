"""LeCam regularisation: logits stay near what the other side's have been."""

import jax
import jax.numpy as jnp

from jaxgan.losses.loss import check_logits

__all__ = ["lecam"]


def lecam(
    real_logits: jax.Array,
    fake_logits: jax.Array,
    real_average: jax.Array,
    fake_average: jax.Array,
) -> jax.Array:
    """Pulls logits towards the moving averages of the other side's, for training on little data.

        R = E[max(0, D(x) - a_F)^2] + E[max(0, a_R - D(G(z)))^2]

    Args:
      real_logits: (B,) float, the discriminator's output on real examples.
      fake_logits: (B,) float, its output on generated ones.
      real_average: scalar, a_R, the moving average of the mean of the real logits.
      fake_average: scalar, a_F, that of the generated ones.

    Returns:
      float32 scalar, at least 0, which the discriminator pays besides its loss. No gradient flows
      into the averages.

    Raises:
      UserError: logits that are not of rank 1 or not floating point.

    Examples:
      >>> print(lecam(jnp.full(4, 2.0), jnp.full(4, -1.0), jnp.float32(1.0), jnp.float32(-1.0)))
      13.0

    Source: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data",
    equation 5; the maxima are those of the authors' code.
    """
    real_logits = check_logits("real_logits", real_logits)
    fake_logits = check_logits("fake_logits", fake_logits)
    real_average, fake_average = jax.lax.stop_gradient((real_average, fake_average))
    return jnp.mean(jnp.square(jax.nn.relu(real_logits - fake_average))) + jnp.mean(
        jnp.square(jax.nn.relu(real_average - fake_logits))
    )
