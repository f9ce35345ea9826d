"""The unconditional objective: what each side's loss is given."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import Context, UserError, losses, networks, penalties
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


def paid(step, interval, slope=3.0):
    """The discriminator's loss beyond that without a penalty, and the metric."""

    class Slope(nn.Module):
        @nn.compact
        def __call__(self, images, train=False):
            return self.param("scale", nn.initializers.ones, ()) * images.sum((1, 2, 3))

    def play(**options):
        game = unconditional(Shade(), Slope(), latent_dim=1, loss=losses.wasserstein, **options)
        context = Context(jnp.int32(step), jax.random.key(0), None)
        variables = {"params": {"scale": jnp.float32(slope)}}
        return game.disc_loss(variables, jnp.asarray(FAKE), {"image": jnp.asarray(REAL)}, context)

    def penalty(*inputs):
        return 10 * penalties.gradient_penalty(*inputs)

    plain, _ = play()
    loss, aux = play(penalty=penalty, penalty_interval=interval)
    return float(loss - plain), float(aux.metrics["penalty"])


def test_a_penalty_is_paid_at_its_interval():
    # A slope of 3 costs (3 - 1)^2 = 4, ten times.
    assert paid(step=7, interval=1) == pytest.approx((40, 40), rel=1e-5)
    assert paid(step=8, interval=4) == pytest.approx((160, 160), rel=1e-5)
    assert paid(step=7, interval=4) == (0, 0)


def test_a_penalty_refuses_a_critic_of_batch_norm():
    game = unconditional(
        *networks.dcgan(28, 1),
        latent_dim=3,
        loss=losses.wasserstein,
        penalty=penalties.gradient_penalty,
    )
    discriminator = networks.dcgan(28, 1)[1]
    images = jnp.zeros((2, 28, 28, 1))
    variables = jax.eval_shape(discriminator.init, jax.random.key(0), images)
    context = Context(jnp.int32(0), jax.random.key(0), None)
    with pytest.raises(UserError, match="critic: got BatchNorm"):
        jax.eval_shape(game.disc_loss, variables, images, {"image": images}, context)


def test_without_batch_norm_a_discriminator_judges_each_image_alone():
    _, discriminator = networks.dcgan(28, 1, disc_batch_norm=False)
    images = jax.random.normal(jax.random.key(0), (3, 28, 28, 1))
    variables = discriminator.init(jax.random.key(1), images)
    assert set(variables) == {"params"}
    together = discriminator.apply(variables, images, train=True)
    alone = discriminator.apply(variables, images[:1], train=True)
    np.testing.assert_allclose(together[:1], alone, rtol=1e-4)
