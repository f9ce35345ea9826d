"""The unconditional objective: what each side's loss is given."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import Context, losses
from jaxgan.objectives import unconditional


class Shade(nn.Module):
    """Images of the latent's own value."""

    @nn.compact
    def __call__(self, latents, train=False):
        return latents[:, :, None, None] + self.param("bias", nn.initializers.zeros, ())


class Mean(nn.Module):
    """A logit that is the image's mean; tells which images it was given."""

    tell: Callable

    @nn.compact
    def __call__(self, images, train=False):
        self.tell(images)
        return self.param("scale", nn.initializers.ones, ()) * images.mean((1, 2, 3))


REAL = np.array([0.5, -1.0, 2.0], np.float32).reshape(3, 1, 1, 1)
FAKE = np.array([1.0, 0.0, -3.0], np.float32).reshape(3, 1, 1, 1)


def play(loss):
    """(discriminator's loss, generator's loss, the images that the generator's loss looked at)"""
    seen = []
    game = unconditional(Shade(), Mean(seen.append), latent_dim=1, loss=loss)
    context = Context(jnp.zeros((), jnp.int32), jax.random.key(0), None)
    variables, batch = {"params": {"scale": jnp.ones(())}}, {"image": jnp.asarray(REAL)}
    disc_loss, _ = game.disc_loss(variables, jnp.asarray(FAKE), batch, context)
    seen.clear()
    gen_loss, aux = game.gen_loss(
        {"params": {"bias": jnp.zeros(())}}, variables, jnp.asarray(FAKE), batch, context
    )
    assert aux.model_state is None
    return float(disc_loss), float(gen_loss), seen


@pytest.mark.parametrize("name", ["non_saturating", "wasserstein", "hinge", "least_squares"])
def test_the_generator_pays_for_a_pass_over_the_fakes_alone(name):
    loss = getattr(losses, name)
    disc_loss, gen_loss, seen = play(loss)
    real, fake = REAL.ravel(), FAKE.ravel()
    assert disc_loss == pytest.approx(float(sum(loss.discriminator(real, fake))))
    assert gen_loss == pytest.approx(float(loss.generator(fake)))
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], FAKE)


def test_the_relativistic_generator_is_shown_the_real_images_too():
    disc_loss, gen_loss, seen = play(losses.relativistic)
    difference = (REAL - FAKE).ravel().astype(np.float64)
    assert disc_loss == pytest.approx(np.mean(np.log1p(np.exp(-difference))))
    assert gen_loss == pytest.approx(np.mean(np.log1p(np.exp(difference))))
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0], REAL)
    np.testing.assert_array_equal(seen[1], FAKE)
