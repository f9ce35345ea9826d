"""Semi-supervised losses: of K classes, which also tell real examples from generated ones."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError

__all__ = ["class_consistency", "class_cross_entropy", "real_logits"]


def real_logits(class_logits: jax.Array) -> jax.Array:
    """The one logit of being real that the logits of K classes hold.

        D(x) = Z / (Z + 1),  Z = sum_k exp(l_k),  so that logit D(x) = log Z

    A softmax over K + 1 outputs, the last of them "generated", has one output too many, since a
    constant added to all changes nothing. With the last fixed at 0 it gives the above: an example
    is real if it is of any class. What comes out goes into any `Loss` for logits.

    Args:
      class_logits: (B, K) float.

    Returns:
      (B,) float32, log Z: the largest logit or up to log K more.

    Raises:
      UserError: logits that are not of rank 2 or not floating point.

    Examples:
      >>> print(f"{jax.nn.sigmoid(real_logits(jnp.zeros((1, 3))))[0]:.2f}")
      0.75

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 5.
    """
    return jax.nn.logsumexp(_check(class_logits), axis=1)


def class_cross_entropy(
    class_logits: jax.Array, labels: jax.Array, *, axis_name: str | None = None
) -> jax.Array:
    """How badly labelled examples are put in their classes, given that they are real.

        L = E[-log p(y | x, real)],  p(y | x, real) = exp(l_y) / Z,  over examples with a label

    With that of being real it is the cross-entropy of K + 1 outputs, -log p(y | x) =
    -log p(y | x, real) - log D(x), with D as in `real_logits`.

    Args:
      class_logits: (B, K) float.
      labels: (B,) int, the class of each example, or -1 where it is not known.
      axis_name: the mapped axis inside `pmap` or `shard_map`, over which examples are counted.

    Returns:
      float32 scalar, the mean over examples with a label; 0 if there are none; NaN if a label is
      K or more. The same on every device of a mapped axis.

    Raises:
      UserError: logits that are not of rank 2 or not floating point, labels of another shape or
        not integers.

    Examples:
      >>> logits = jnp.log(jnp.array([[1.0, 3.0], [8.0, 2.0]]))
      >>> print(f"{class_cross_entropy(logits, jnp.array([1, -1])):.4f}")  # -log 3/4
      0.2877

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 5.
    """
    class_logits = _check(class_logits)
    shape, dtype = jnp.shape(labels), jnp.result_type(labels)
    expected = class_logits.shape[:1]
    if shape != expected or not jnp.issubdtype(dtype, jnp.integer):
        raise UserError(f"labels: got {dtype} of shape {shape}, expected int {expected}")
    labels = jnp.asarray(labels)
    known = labels >= 0
    of_class = jnp.take_along_axis(
        class_logits, jnp.where(known, labels, 0)[:, None], axis=1, mode="fill"
    )[:, 0]
    losses = jax.nn.logsumexp(class_logits, axis=1) - of_class
    return known_mean(losses, known, axis_name)


def class_consistency(class_logits: jax.Array, other_logits: jax.Array) -> jax.Array:
    """How differently the same examples are put in classes when judged twice.

        L = E[sum_k (p(k | x) - q(k | x))^2],  p = softmax(l), q = softmax(l')

    The two judgements differ by the noise and the dropout of a network in training. No labels are
    needed: what is learnt of a labelled example spreads to those like it.

    Args:
      class_logits: (B, K) float, l.
      other_logits: (B, K) float, l'; the gradient goes to both.

    Returns:
      float32 scalar, from 0 to 2.

    Raises:
      UserError: logits that are not of rank 2, not floating point, or of two shapes.

    Examples:
      >>> one, other = jnp.log(jnp.array([[1.0, 3.0]])), jnp.log(jnp.array([[3.0, 1.0]]))
      >>> print(f"{class_consistency(one, other):.2f}")  # (1/4 - 3/4)^2, twice
      0.50

    Source: Sajjadi et al. 2016, "Regularization With Stochastic Transformations and Perturbations
    for Deep Semi-Supervised Learning", section 3; in a GAN, Wei et al. 2018, "Improving the
    Improved Training of Wasserstein GANs", section 3.3.
    """
    one, other = _check(class_logits), _check(other_logits)
    if one.shape != other.shape:
        raise UserError(f"other_logits: got shape {other.shape}, expected {one.shape}")
    gap = jax.nn.softmax(one, axis=1) - jax.nn.softmax(other, axis=1)
    return jnp.mean(jnp.sum(gap**2, axis=1))


def known_mean(values: jax.Array, known: jax.Array, axis_name: str | None) -> jax.Array:
    """The mean of `values` (B,) where `known` (B,), over a mapped axis, too; 0 if none is."""
    total, count = jnp.sum(jnp.where(known, values, 0)), jnp.sum(known)
    if axis_name is not None:
        # Not the mean of the devices' means, since some have more labels than others, or none.
        total, count = jax.lax.psum((total, count), axis_name)
    return total / jnp.maximum(count, 1)


def _check(class_logits: jax.Array) -> jax.Array:
    """Refuses all but floats (B, K), and widens them to float32 at least."""
    shape, dtype = jnp.shape(class_logits), jnp.result_type(class_logits)
    if len(shape) != 2:
        raise UserError(f"class_logits: got shape {shape}, expected (B, K), one for each class")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"class_logits: got dtype {dtype}, expected a floating point dtype")
    return jnp.asarray(class_logits, jnp.promote_types(dtype, jnp.float32))
