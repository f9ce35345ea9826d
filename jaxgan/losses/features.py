"""Losses on inner layers: the discriminator's, or those of a fixed network."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["feature_matching", "paired_feature_matching", "perceptual"]


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
        shape = jnp.shape(x)
        if len(shape) < 2 or shape[1:] != jnp.shape(real_features)[1:]:
            expected = "(B, ...)" if len(shape) < 2 else f"(B, *{jnp.shape(real_features)[1:]})"
            raise UserError(f"{name}: got shape {shape}, expected {expected}")
        _check_dtype(name, x)
    real, fake = (
        jnp.mean(x, axis=0, dtype=jnp.promote_types(x.dtype, jnp.float32))
        for x in features.values()
    )
    if axis_name is not None:
        real, fake = jax.lax.pmean((real, fake), axis_name)
    return jnp.sum(jnp.square(real - fake))


def paired_feature_matching(real_features: Any, fake_features: Any) -> jax.Array:
    """Each generated example has the features of the real one that it stands for.

        L_G = sum over layers l of E[|f_l(x_i) - f_l(G_i)|]

    For what is generated of the real example itself, or of what belongs to it: a reconstruction, a
    translation, a larger version. The mean is over examples, places and channels of a layer.

    Args:
      real_features: pytree of (B, ...) float, one array for each layer of the discriminator, of
        the real examples.
      fake_features: the same of the generated ones.

    Returns:
      float32 scalar, at least 0.

    Raises:
      UserError: features of two structures or shapes, of rank below 2, or not floating point.

    Examples:
      >>> layers = [jnp.zeros((4, 3)), jnp.zeros((4, 8, 8, 2))]
      >>> print(paired_feature_matching(layers, [layers[0] + 1, layers[1] - 2]))
      3.0

    Source: Wang et al. 2018, "High-Resolution Image Synthesis and Semantic Manipulation with
    Conditional GANs", equation 4. Of three scales with four layers each, the authors' code takes
    10/3 of this sum.
    """
    distances = [
        jnp.mean(jnp.abs(real - fake))
        for real, fake in _pairs("fake_features", real_features, fake_features)
    ]
    return sum(distances, start=jnp.zeros(()))


def perceptual(real_features: Any, made_features: Any) -> jax.Array:
    """How far what was made is from what it stands for, as a fixed network sees both.

        L = sum over layers l of E[|u_l(x) - u_l(y)|^2],  u = f / |f| at each place

    The norms are over channels and the mean over examples and places, so that a layer counts at
    most 4, however large its features are.

    Args:
      real_features: pytree of (B, ..., C) float, one array for each layer, of real examples.
      made_features: the same of what was made.

    Returns:
      float32 scalar, at least 0.

    Raises:
      UserError: features of two structures or shapes, of rank below 2, or not floating point.

    Examples:
      >>> print(f"{perceptual([jnp.array([[3.0, 0.0]])], [jnp.array([[0.0, 2.0]])]):.3f}")
      2.000

    Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", equation 1 with all weights 1, and 1e-6 beside the squared norms, for gradients at 0.
    """
    distances = [
        jnp.mean(jnp.sum(jnp.square(_unit(real) - _unit(made)), axis=-1))
        for real, made in _pairs("made_features", real_features, made_features)
    ]
    return sum(distances, start=jnp.zeros(()))


def _unit(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-6)


def _pairs(name: str, real_features: Any, features: Any) -> list[tuple[jax.Array, jax.Array]]:
    """Arrays of like layers, at least float32, `name` being what the second ones are called."""
    shapes = [jax.tree.map(jnp.shape, x) for x in (real_features, features)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{name}: got shapes {shapes[1]}, expected {shapes[0]}, those of real_features"
        )

    def widen(name, x):
        if len(jnp.shape(x)) < 2:
            raise UserError(f"{name}: got shape {jnp.shape(x)}, expected (B, ...)")
        _check_dtype(name, x)
        return jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))

    pairs = zip(jax.tree.leaves(real_features), jax.tree.leaves(features), strict=True)
    return [(widen("real_features", real), widen(name, of)) for real, of in pairs]


def _check_dtype(name: str, x: jax.Array) -> None:
    dtype = jnp.result_type(x)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"{name}: got dtype {dtype}, expected a floating point dtype")
