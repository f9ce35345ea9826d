"""Feature matching: a generator's loss on the discriminator's inner layers."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["feature_matching"]


def feature_matching(
    real_features: jax.Array, fake_features: jax.Array, *, axis_name: str | None = None
) -> jax.Array:
    """The generator matches the mean of the discriminator's features, not its verdict.

        L_G = || E[f(x)] - E[f(G(z))] ||^2

    The discriminator goes on with a loss of its own.

    Args:
      real_features: (B, ...) float, an inner layer's output on real examples.
      fake_features: (B, ...) float, the same layer's output on generated ones.
      axis_name: the mapped axis inside `pmap` or `shard_map`, over which the means are taken.

    Returns:
      float32 scalar, at least 0; the same on every device of a mapped axis.

    Raises:
      UserError: features of rank below 2, not floating point, or of two shapes.

    Examples:
      >>> print(feature_matching(jnp.ones((4, 3)), jnp.zeros((6, 3))))
      3.0

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.1.
    """
    features = {"real_features": real_features, "fake_features": fake_features}
    for name, x in features.items():
        shape, dtype = jnp.shape(x), jnp.result_type(x)
        if len(shape) < 2 or shape[1:] != jnp.shape(real_features)[1:]:
            expected = "(B, ...)" if len(shape) < 2 else f"(B, *{jnp.shape(real_features)[1:]})"
            raise UserError(f"{name}: got shape {shape}, expected {expected}")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise UserError(f"{name}: got dtype {dtype}, expected a floating point dtype")
    real, fake = (
        jnp.mean(x, axis=0, dtype=jnp.promote_types(x.dtype, jnp.float32))
        for x in features.values()
    )
    if axis_name is not None:
        real, fake = jax.lax.pmean((real, fake), axis_name)
    return jnp.sum(jnp.square(real - fake))
