"""A penalty where the discriminator is shown a view of the images: gradients by those before it.

The reference is the Jacobian of all logits by all images, in float64, of the composed function.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import Context, augment, losses, penalties
from jaxgan.methods import adversarial

SHAPE = (4, 6, 5, 2)


class Critic(nn.Module):
    """Smooth, so that gradients differ from place to place."""

    @nn.compact
    def __call__(self, x, train=False):
        dense = {"param_dtype": jnp.float64, "kernel_init": nn.initializers.normal(1.0)}
        x = jnp.tanh(nn.Dense(6, **dense)(x.reshape(len(x), -1) / 4))
        return nn.Dense(1, **dense)(x)[:, 0]


class Unused(nn.Module):
    """The generator: the fakes are given to the loss."""


def halved(images, key, step):
    return images / 2


def cut_out(images, key, step):
    return augment.cutout(images, key)


def noisy(images, key, step):
    return augment.instance_noise(images, key, 0.5)


def augmented(images, key, step):
    return augment.ada(images, key, 0.9)


def halved_packs(images, key, step):
    return augment.pack(images / 2, 2)


# So that what one of the four lacks another cannot make up for.
WEIGHTS = np.array([1.0, 3.0, 5.0, 7.0])
VIEWS = [halved, cut_out, noisy, augmented, halved_packs]


def paid(view, penalty, discriminator, variables, real, fake):
    """(the penalty, the key of the real images' view)"""
    keys = []

    def told(images, key, step):
        keys.append(key)
        return view(images, key, step)

    game = adversarial(
        Unused(), discriminator, latent_dim=1, loss=losses.relativistic, view=told, penalty=penalty
    )
    context = Context(jnp.int32(0), jax.random.key(3), None)
    _, aux = game.disc_loss(variables, fake, {"image": real}, context)
    return np.asarray(aux.metrics["penalty"]), keys[0]


def squared_norms(function, images):
    """Of each logit's gradient by all images, (L,)."""
    jacobian = np.asarray(jax.jacrev(function)(images))
    return np.sum(jacobian**2, axis=tuple(range(1, jacobian.ndim)))


def draw(seed):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(SHAPE))


def every_penalty(critic, real, fake, key):
    """Four for one compilation, all at known places: between equals, noise of no width."""
    return WEIGHTS @ jnp.stack(
        [
            penalties.r1(critic, real),
            penalties.r2(critic, None, fake),
            penalties.gradient_penalty(critic, real, real, key),
            penalties.dragan(critic, real, None, key, std=0.0),
        ]
    )


@pytest.mark.parametrize("view", VIEWS)
def test_gradients_are_by_the_images_before_the_view(view):
    with jax.enable_x64(True):
        discriminator, real, fake = Critic(), draw(0), draw(1)
        variables = discriminator.init(jax.random.key(1), view(real, jax.random.key(0), 0))
        value, key = paid(view, every_penalty, discriminator, variables, real, fake)

        def critic(images):
            return discriminator.apply(variables, view(images, key, 0))

        r1, r2 = (squared_norms(critic, images) for images in (real, fake))
        to_one = np.mean((np.sqrt(r1) - 1) ** 2)
        expected = WEIGHTS @ [r1.mean(), r2.mean(), to_one, to_one]
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_a_view_that_halves_the_values_quarters_r1():
    with jax.enable_x64(True):
        discriminator, real = Critic(), draw(0)
        variables = discriminator.init(jax.random.key(1), real)
        value, _ = paid(halved, penalties.r1, discriminator, variables, real, real)
        at_what_is_shown = squared_norms(lambda x: discriminator.apply(variables, x), real / 2)
        np.testing.assert_allclose(value, np.mean(at_what_is_shown) / 4, rtol=1e-10)


class Difference(nn.Module):
    """Of the two images of a pack: its gradient is 0 where they are equal."""

    @nn.compact
    def __call__(self, packs, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        return scale * jnp.sum((packs[..., :2] - packs[..., 2:]) ** 2, (1, 2, 3))


def test_a_pack_is_one_example_to_a_penalty():
    real, fake = jnp.zeros(SHAPE), jnp.ones(SHAPE)
    variables, shapes = {"params": {"scale": jnp.float32(1)}}, []

    def penalty(critic, real, fake, key):
        shapes.extend([real.shape, fake.shape])
        return penalties.gradient_penalty(critic, real, fake, key)

    # One place between a pack of real and a pack of generated images: all of its images move alike.
    value, _ = paid(halved_packs, penalty, Difference(), variables, real, fake)
    assert value == 1
    assert set(shapes) == {(2, 2, *SHAPE[1:])}
