"""What a discriminator looks at: its features, and their gradients back to the pixels."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.layers import LeakyReLU

__all__ = ["guided_backpropagation", "last_features"]


def last_features(function: Callable[..., jax.Array], *inputs: jax.Array) -> jax.Array:
    """What the last nonlinearity of a network gives: all that its verdict is made of.

    Args:
      function: of images, applying a Flax network whose nonlinearities are `layers.LeakyReLU`.
      *inputs: images (B, H, W, C) float, and what else the function takes, such as labels.

    Returns:
      (B, ...), for a DCGAN (B, h, w, channels).

    Raises:
      UserError: the network has no such nonlinearity.

    Examples:
      >>> from jaxgan import networks
      >>> _, discriminator = networks.dcgan(28)
      >>> images = jnp.zeros((2, 28, 28, 1))
      >>> variables = discriminator.init(jax.random.key(0), images)
      >>> last_features(lambda x: discriminator.apply(variables, x), images).shape
      (2, 4, 4, 128)
    """
    seen = []

    def keep(y):
        seen.append(y)
        return y

    _after_each(keep, function, *inputs)
    return seen[-1]


def guided_backpropagation(
    function: Callable[[jax.Array], jax.Array], images: jax.Array
) -> jax.Array:
    """The gradient of a network by its images, of which only what excites is let through.

        ReLU: dL/dx = dL/dy 1[x > 0] 1[dL/dy > 0];  LeakyReLU: dL/dx = f'(x) max(dL/dy, 0)

    The plain gradient mixes what speaks for a feature with what speaks against it, and looks like
    noise. Without the latter it shows the strokes that the feature answers to. The rule for
    LeakyReLU is that for ReLU where its slope is 0.

    Args:
      function: images (B, H, W, C) -> any shape, applying a Flax network whose nonlinearities are
        `layers.LeakyReLU`. What it gives is summed: let it choose, such as the logits or one
        feature of each image.
      images: (B, H, W, C) float.

    Returns:
      (B, H, W, C): how each pixel, made brighter, raises what `function` gives.

    Raises:
      UserError: the network has no such nonlinearity.

    Examples:
      >>> from jaxgan import networks
      >>> _, discriminator = networks.mlp()
      >>> images = jnp.zeros((2, 28, 28, 1))
      >>> variables = discriminator.init(jax.random.key(0), images)
      >>> guided_backpropagation(lambda x: discriminator.apply(variables, x), images).shape
      (2, 28, 28, 1)

    Source: Springenberg et al. 2014, "Striving for Simplicity: The All Convolutional Net",
    section 3.4; on discriminators Radford et al. 2015, section 6.2.
    """

    return jax.grad(lambda x: jnp.sum(_after_each(_let_excitation_through, function, x)))(images)


@jax.custom_vjp
def _let_excitation_through(y: jax.Array) -> jax.Array:
    return y


_let_excitation_through.defvjp(lambda y: (y, None), lambda _, dy: (jnp.maximum(dy, 0),))


def _after_each(change: Callable, function: Callable, *inputs: jax.Array) -> jax.Array:
    """Calls `function` with `change` applied to what every LeakyReLU in it gives."""
    met = []

    def interceptor(call, args, kwargs, context):
        y = call(*args, **kwargs)
        if not isinstance(context.module, LeakyReLU):
            return y
        met.append(context.module)
        return change(y)

    with nn.intercept_methods(interceptor):
        result = function(*inputs)
    if not met:
        raise UserError(
            "function: got one that applies no nonlinearity `jaxgan.networks.layers.LeakyReLU`, "
            "expected a network with some, not jitted, since compiled programs cannot be changed"
        )
    return result
