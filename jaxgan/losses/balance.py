"""What an adversarial term weighs beside another loss."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["adaptive_weight"]


def adaptive_weight(
    reconstruction_grads: Any,
    adversarial_grads: Any,
    *,
    delta: float = 1e-4,
    max_weight: float = 1e4,
) -> jax.Array:
    """The weight with which an adversarial term pulls as hard as a reconstruction loss.

        w = min(|grad L_rec| / (|grad L_adv| + delta), max_weight)

    The norms are those of both gradients by the same numbers: by the decoder's last layer, as
    published, or by anything else that both losses reach.

    Args:
      reconstruction_grads: pytree of arrays, the gradient of the reconstruction loss; or its norm,
        a scalar, such as `example_gradient_norm` gives of a gradient by the images.
      adversarial_grads: the same of the adversarial term, without a weight.
      delta: keeps w finite where the term gives no gradient.
      max_weight: the largest w.

    Returns:
      float32 scalar, through which no gradient flows.

    Raises:
      UserError: gradients of two structures or shapes, a negative number among the options.

    Examples:
      >>> print(f"{adaptive_weight(jnp.array([3.0, 4.0]), jnp.array([0.0, 2.0])):.3f}")
      2.500

    Source: Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis",
    equation 7, with the bounds of the authors' code; its `disc_weight`, 0.8 or so, comes on top.
    With norms at the images close to the balancer of Défossez et al. 2022, "High Fidelity Neural
    Audio Compression", section 3.4.
    """
    for name, number in {"delta": delta, "max_weight": max_weight}.items():
        if not number >= 0:
            raise UserError(f"{name}: got {number}, expected 0 or more")
    shapes = [jax.tree.map(jnp.shape, x) for x in (reconstruction_grads, adversarial_grads)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"adversarial_grads: got shapes {shapes[1]}, expected {shapes[0]}, those of "
            "reconstruction_grads"
        )

    def norm(grads):
        leaves = [jnp.asarray(x, jnp.float32) for x in jax.tree.leaves(grads)]
        return jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in leaves))

    reconstruction_grads, adversarial_grads = jax.lax.stop_gradient(
        (reconstruction_grads, adversarial_grads)
    )
    return jnp.minimum(norm(reconstruction_grads) / (norm(adversarial_grads) + delta), max_weight)
