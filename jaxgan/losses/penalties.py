"""Penalties on the gradient norm of a critic, added to the discriminator's loss.

Every one is called as `penalty(critic, real, fake, key)` and gives a scalar, to be weighted by the
caller. The critic is a function, images (B, ...) -> logits (B,), over which parameters, labels and
keys are closed:

    def critic(images):
        return apply_train(discriminator, disc_vars, images, key=dropout_key)[0]

    loss = real_part + fake_part + 0.5 * gamma * penalties.r1(critic, images, fakes, key)

    penalty            gradient norm at                             pulled to
    r1                 real images                                  0
    r2                 generated images                             0
    gradient_penalty   points between real and generated images     1
    dragan             real images, a little beside them            1

The gradient of each logit is taken by its own image. Where logits depend on the whole batch, as
under batch norm, there is no such thing, and the critic is refused as it is traced (one that was
jitted and traced before goes unseen), see `jaxgan.network.refuse_coupled`. A layer of one's own
says so by `couples_examples = True`.

An augmentation is part of the critic, D(view(x)), so that gradients are by the images before it and
a weight means what it means to the authors of R3GAN. Of a critic that judges m images as one, the
pack is the example: images (B, m, ...) -> logits (B,), and the gradient norm is that of a logit by
all m images together.

A penalty differentiates the critic in reverse mode; training differentiates that once more.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.devices import make_rows
from jaxgan.errors import UserError
from jaxgan.network import refuse_coupled

__all__ = ["dragan", "gradient_penalty", "lazily", "r1", "r2"]

Critic = Callable[[jax.Array], jax.Array]


def r1(
    critic: Critic, real: jax.Array, fake: jax.Array | None = None, key: jax.Array | None = None
) -> jax.Array:
    """The squared gradient norm at real images, which lets training converge where it would circle.

        R1 = E[|| grad D(x) ||^2]

    Args:
      critic: images (B, ...) -> logits (B,).
      real: (B, ...) float, real images.
      fake, key: not used; all penalties are called alike.

    Returns:
      float32 scalar. The paper adds gamma / 2 of it to the loss, with gamma 10.

    Raises:
      UserError: a critic that couples its examples or does not give (B,), images not floating
        point.

    Examples:
      >>> print(r1(lambda images: 3 * images.sum((1, 2, 3)), jnp.zeros((4, 1, 1, 1))))
      9.0

    Source: Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?",
    equation 9.
    """
    _check("real", real)
    return jnp.mean(_squared_gradient_norms(critic, real))


def r2(
    critic: Critic, real: jax.Array | None, fake: jax.Array, key: jax.Array | None = None
) -> jax.Array:
    """The squared gradient norm at generated images.

        R2 = E[|| grad D(G(z)) ||^2]

    Args:
      critic: images (B, ...) -> logits (B,).
      fake: (B, ...) float, generated images.
      real, key: not used; all penalties are called alike.

    Returns:
      float32 scalar. The papers add gamma / 2 of it to the loss; the second one together with R1.

    Raises:
      UserError: as `r1`.

    Examples:
      >>> print(r2(lambda images: 3 * images.sum((1, 2, 3)), None, jnp.zeros((4, 1, 1, 1))))
      9.0

    Source: Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?",
    equation 10; Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN".
    """
    _check("fake", fake)
    return jnp.mean(_squared_gradient_norms(critic, fake))


def gradient_penalty(
    critic: Critic,
    real: jax.Array,
    fake: jax.Array,
    key: jax.Array,
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """Holds the gradient norm at 1 along the way from real to generated images (WGAN-GP).

        GP = E[(|| grad D(u x + (1 - u) G(z)) || - 1)^2],  u ~ U[0, 1], one for each pair

    Args:
      critic: images (B, ...) -> logits (B,).
      real, fake: (B, ...) float, real and generated images.
      key: a PRNG key; the same on every device of a mapped axis.
      axis_name: the mapped axis inside `pmap` or `shard_map`, for each device to draw its share
        of the whole batch's numbers; without it all would draw the same.

    Returns:
      float32 scalar. The paper adds 10 times of it to the Wasserstein loss.

    Raises:
      UserError: as `r1`; real and generated images of two shapes.

    Examples:
      >>> images = jnp.zeros((4, 1, 1, 1))
      >>> print(gradient_penalty(lambda x: 3 * x.sum((1, 2, 3)), images, images, jax.random.key(0)))
      4.0

    Source: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", equation 3 and
    algorithm 1.
    """
    _check("real", real)
    _check("fake", fake)
    if fake.shape != real.shape:
        raise UserError(f"fake: got shape {fake.shape}, expected {real.shape}, that of real")
    shares = make_rows(
        lambda shape: jax.random.uniform(key, shape, real.dtype),
        (len(real), *(1 for _ in real.shape[1:])),
        axis_name,
    )
    between = shares * real + (1 - shares) * fake
    return jnp.mean(jnp.square(_gradient_norms(critic, between) - 1))


def dragan(
    critic: Critic,
    real: jax.Array,
    fake: jax.Array | None,
    key: jax.Array,
    *,
    std: float = 0.25,
    axis_name: str | None = None,
) -> jax.Array:
    """Holds the gradient norm at 1 around real images.

        E[(|| grad D(x + d) || - 1)^2],  d ~ N(0, std^2 I)

    Differs from the authors' code: its noise is uniform, from 0 to half the standard deviation of a
    batch's pixels, and the gradient is taken at a random point between an image and the noisy one.

    Args:
      critic: images (B, ...) -> logits (B,).
      real: (B, ...) float, real images.
      fake: not used; all penalties are called alike.
      key, axis_name: as in `gradient_penalty`.
      std: of the noise. The default is half the standard deviation of the pixels of images in
        [-1, 1]; a number does not couple the images, as that of a batch would.

    Returns:
      float32 scalar. The paper adds 10 times of it to the loss.

    Raises:
      UserError: as `r1`.

    Examples:
      >>> images = jnp.zeros((4, 1, 1, 1))
      >>> print(dragan(lambda x: 3 * x.sum((1, 2, 3)), images, None, jax.random.key(0)))
      4.0

    Source: Kodali et al. 2017, "On Convergence and Stability of GANs".
    """
    _check("real", real)
    noise = make_rows(
        lambda shape: jax.random.normal(key, shape, real.dtype), real.shape, axis_name
    )
    return jnp.mean(jnp.square(_gradient_norms(critic, real + std * noise) - 1))


def lazily(penalty: Callable[[], jax.Array], step: jax.Array, interval: int) -> jax.Array:
    """A penalty at every `interval`-th step, that many times as strong, and 0 in between.

    Its mean over the steps is that of the penalty, for a fraction of the cost.

    Args:
      penalty: () -> scalar, computed only at steps 0, interval, 2 interval ...
      step: int scalar, such as `context.step`.
      interval: 1 or more.

    Returns:
      The scalar, of the penalty's dtype.

    Raises:
      UserError: an interval below 1.

    Examples:
      >>> [float(lazily(lambda: jnp.float32(0.5), step, 4)) for step in range(5)]
      [2.0, 0.0, 0.0, 0.0, 2.0]

    Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 3.1
    and appendix B, with interval 16.
    """
    if interval < 1:
        raise UserError(f"interval: got {interval}, expected 1 or more")
    if interval == 1:
        return penalty()  # no choice, which an accelerator would ask the host for at each step

    def strong():
        return interval * penalty()

    # Of the penalty's own type, which on a mapped axis tells that it differs between devices.
    zero = jnp.zeros_like(jax.eval_shape(strong))
    return jax.lax.cond(step % interval == 0, strong, lambda: zero)


def _check(name: str, images: jax.Array) -> None:
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    if len(shape) < 2 or not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"{name}: got {dtype} of shape {shape}, expected floats (B, ...)")


def _squared_gradient_norms(critic: Critic, images: jax.Array) -> jax.Array:
    """|| grad D ||^2 of each image, (B,)."""
    with refuse_coupled():
        logits, pullback = jax.vjp(critic, images)
    if logits.shape != images.shape[:1]:
        raise UserError(
            f"critic: got logits {logits.shape}, expected {images.shape[:1]}, one for each image"
        )
    # No logit depends on another's image, so the gradient of their sum is that of each.
    (grads,) = pullback(jnp.ones_like(logits))
    grads = grads.astype(jnp.promote_types(grads.dtype, jnp.float32))
    return jnp.sum(jnp.square(grads), axis=tuple(range(1, grads.ndim)))


def _gradient_norms(critic: Critic, images: jax.Array) -> jax.Array:
    squares = _squared_gradient_norms(critic, images)
    # The root has no derivative at 0; there it is taken as 0, where autodiff alone gives NaN.
    flat = squares == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))
