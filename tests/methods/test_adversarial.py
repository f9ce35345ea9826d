"""The plain objective: what each side's loss is given."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import Context, UserError, augment, losses, make_train_step, networks, penalties
from jaxgan.methods import adversarial


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
    game = adversarial(Shade(), Mean(seen.append), latent_dim=1, loss=loss)
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


class Patches(nn.Module):
    """A logit of each row of the image."""

    @nn.compact
    def __call__(self, images, train=False):
        return self.param("scale", nn.initializers.ones, ()) * images.mean((2, 3))


def test_each_of_several_logits_counts_as_one_example():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 3, 4, 5, 1)).astype(np.float32)
    game = adversarial(Shade(), Patches(), latent_dim=1, loss=losses.hinge)
    context = Context(jnp.int32(0), jax.random.key(0), None)
    variables, batch = {"params": {"scale": jnp.ones(())}}, {"image": jnp.asarray(real)}
    loss, aux = game.disc_loss(variables, jnp.asarray(fake), batch, context)
    d_real, d_fake = real.mean((2, 3), np.float64), fake.mean((2, 3), np.float64)
    expected = np.maximum(0, 1 - d_real).mean() + np.maximum(0, 1 + d_fake).mean()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert aux.metrics["accuracy_real"] == pytest.approx(np.mean(d_real > 0))
    loss, _ = game.gen_loss({}, variables, jnp.asarray(fake), batch, context)
    assert loss == pytest.approx(-d_fake.mean(), rel=1e-5)


def test_of_an_image_that_fills_up_a_batch_no_logit_counts():
    images = np.ones((3, 2, 1, 1), np.float32)
    game = adversarial(Shade(), Patches(), latent_dim=2, loss=losses.hinge)
    tx = optax.sgd(1.0)
    state = game.init(jax.random.key(0), {"image": images}, tx, tx)
    images[2] = -1  # of which each logit is wrong
    batch = {"image": images, "mask": np.array([1.0, 1.0, 0.0], np.float32)}
    counts = game.evaluate(state, batch, jax.random.key(1))
    assert counts["count"] == counts["accuracy_real"] == 4


def test_a_penalty_wants_one_logit_an_image():
    game = adversarial(
        Shade(), Patches(), latent_dim=1, loss=losses.hinge, penalty=penalties.gradient_penalty
    )
    context = Context(jnp.int32(0), jax.random.key(0), None)
    variables, images = {"params": {"scale": jnp.ones(())}}, jnp.zeros((3, 4, 5, 1))
    with pytest.raises(UserError, match=r"^critic: got logits \(3, 4\), expected \(3,\)"):
        game.disc_loss(variables, images, {"image": images}, context)


def paid(step, interval=1, slope=3.0, **options):
    """The discriminator's loss beyond that without a penalty, and the metric."""

    class Slope(nn.Module):
        @nn.compact
        def __call__(self, images, train=False):
            return self.param("scale", nn.initializers.ones, ()) * images.sum((1, 2, 3))

    def play(**options):
        game = adversarial(Shade(), Slope(), latent_dim=1, loss=losses.wasserstein, **options)
        context = Context(jnp.int32(step), jax.random.key(0), None)
        variables = {"params": {"scale": jnp.float32(slope)}}
        return game.disc_loss(variables, jnp.asarray(FAKE), {"image": jnp.asarray(REAL)}, context)

    def penalty(*inputs):
        return 10 * penalties.gradient_penalty(*inputs)

    plain, _ = play()
    loss, aux = play(penalty=penalty, penalty_interval=interval, **options)
    return float(loss - plain), float(aux.metrics["penalty"])


def test_a_penalty_is_paid_at_its_interval():
    # A slope of 3 costs (3 - 1)^2 = 4, ten times.
    assert paid(step=7, interval=1) == pytest.approx((40, 40), rel=1e-5)
    assert paid(step=8, interval=4) == pytest.approx((160, 160), rel=1e-5)
    assert paid(step=7, interval=4) == (0, 0)


def test_the_weight_of_a_penalty_follows_a_schedule():
    def weight(step):
        return step / 2

    assert paid(step=3, penalty_weight=weight) == pytest.approx((60, 60), rel=1e-5)
    assert paid(step=8, interval=4, penalty_weight=weight) == pytest.approx((640, 640), rel=1e-5)
    assert paid(step=0, penalty_weight=weight) == (0, 0)


def test_a_penalty_and_the_diversity_are_given_real_images_before_fakes():
    def penalty(critic, real, fake, key):
        return jnp.mean(real) + 10 * jnp.mean(fake)

    players, options = (Shade(), Mean(lambda _: None)), {"latent_dim": 1, "loss": losses.hinge}
    game = adversarial(*players, penalty=penalty, **options)
    context = Context(jnp.int32(0), jax.random.key(0), None)
    batch = {"image": jnp.asarray(REAL)}
    _, aux = game.disc_loss({"params": {"scale": 1.0}}, jnp.asarray(FAKE), batch, context)
    assert aux.metrics["penalty"] == pytest.approx(np.mean(REAL) + 10 * np.mean(FAKE), rel=1e-5)
    assert aux.metrics["diversity"] == pytest.approx(np.std(FAKE) / np.std(REAL), rel=1e-5)


def test_a_penalty_refuses_a_critic_of_batch_norm():
    game = adversarial(
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


class Classes(nn.Module):
    """Images of the latent plus the class."""

    @nn.compact
    def __call__(self, latents, labels, train=False):
        bias = self.param("bias", nn.initializers.zeros, ())
        return (latents + labels[:, None])[:, :, None, None] + bias


class Match(nn.Module):
    """A logit of image and class."""

    @nn.compact
    def __call__(self, images, labels, train=False):
        return self.param("scale", nn.initializers.ones, ()) * images.mean((1, 2, 3)) - labels


def test_with_classes_both_networks_are_given_those_of_the_batch():
    game = adversarial(Classes(), Match(), latent_dim=1, loss=losses.hinge, num_classes=3)
    plain = adversarial(Shade(), Mean(lambda _: None), latent_dim=1, loss=losses.hinge)
    context = Context(jnp.zeros((), jnp.int32), jax.random.key(0), None)
    labels = np.array([2, 0, 1])
    batch = {"image": jnp.asarray(REAL), "label": jnp.asarray(labels)}
    gen_vars, disc_vars = {"params": {"bias": 0.0}}, {"params": {"scale": 1.0}}
    fakes, _ = game.generate(gen_vars, batch, context)
    latents, _ = plain.generate(gen_vars, batch, context)
    np.testing.assert_allclose(fakes.ravel(), latents.ravel() + labels, rtol=1e-6)
    loss, _ = game.disc_loss(disc_vars, jnp.asarray(FAKE), batch, context)
    expected = losses.hinge.discriminator(REAL.ravel() - labels, FAKE.ravel() - labels)
    assert loss == pytest.approx(float(sum(expected)))
    loss, _ = game.gen_loss(gen_vars, disc_vars, jnp.asarray(FAKE), batch, context)
    assert loss == pytest.approx(float(losses.hinge.generator(FAKE.ravel() - labels)))
    with pytest.raises(UserError, match="batch: got entries image, expected 'label' among them"):
        game.generate(gen_vars, {"image": batch["image"]}, context)
    for wrong in (labels[:, None], labels[:2], np.eye(3)[labels], labels.astype(np.float32)):
        with pytest.raises(UserError, match=r"^label: got .* of shape \(.*\), expected int \(3,\)"):
            game.generate(gen_vars, {**batch, "label": wrong}, context)
    pixels = (255 * batch["image"]).astype(jnp.uint8)
    with pytest.raises(UserError, match=r"^image: got uint8, expected float32 pixels"):
        game.disc_loss(disc_vars, jnp.asarray(FAKE), {**batch, "image": pixels}, context)


class Strict(nn.Module):
    """Takes `train` by name alone and without a default, as networks of others do."""

    of: nn.Module

    @nn.compact
    def __call__(self, inputs, *, train):
        assert isinstance(train, bool)
        return self.of(inputs)


def test_train_needs_no_default():
    players = Strict(Shade()), Strict(Mean(lambda _: None))
    tx = optax.sgd(0.1)
    game, batch = adversarial(*players, latent_dim=1, loss=losses.hinge), {"image": REAL}
    state = game.init(jax.random.key(0), batch, tx, tx)
    _, metrics = make_train_step(game, tx, tx)(state, batch)
    assert np.isfinite(metrics["generator_loss"])


@pytest.mark.parametrize("num_classes", [None, 3])
def test_a_network_that_cannot_be_called_so_is_refused_by_its_name(num_classes):
    class Trainless(nn.Module):
        def __call__(self, latents):
            return latents[:, :, None, None]

    generator = Trainless() if num_classes is None else Shade()
    game = adversarial(
        generator, Mean(print), latent_dim=1, loss=losses.hinge, num_classes=num_classes
    )
    tx, batch = optax.sgd(0.1), {"image": REAL, "label": np.zeros(3, np.int32)}
    given = r"\(1, 1\)" if num_classes is None else r"\(1, 1\), \(1,\)"
    name = type(generator).__name__
    expected = rf"^generator: got {name}, expected a module that is called with arrays {given} and"
    with pytest.raises(UserError, match=expected):
        game.init(jax.random.key(0), batch, tx, tx)


def test_a_penalty_of_more_than_one_number_is_refused():
    game = adversarial(
        Shade(),
        Mean(lambda _: None),
        latent_dim=1,
        loss=losses.hinge,
        penalty=lambda critic, real, fake, key: critic(real),
    )
    context = Context(jnp.int32(0), jax.random.key(0), None)
    variables, batch = {"params": {"scale": jnp.ones(())}}, {"image": jnp.asarray(REAL)}
    with pytest.raises(UserError, match=r"^penalty: got shape \(3,\), expected a scalar"):
        game.disc_loss(variables, jnp.asarray(FAKE), batch, context)


def test_the_discriminator_is_shown_the_view_of_all_images_each_time_with_another_key():
    seen, keys = [], []

    def view(images, key, step):
        keys.append(jax.random.key_data(key).tolist())
        return images + 100 * step

    def play(loss):
        game = adversarial(Shade(), Mean(seen.append), latent_dim=1, loss=loss, view=view)
        first, second = (Context(jnp.int32(2), jax.random.key(seed), None) for seed in (0, 1))
        variables, batch = {"params": {"scale": 1.0}}, {"image": jnp.asarray(REAL)}
        game.disc_loss(variables, jnp.asarray(FAKE), batch, first)
        game.gen_loss({"params": {"bias": 0.0}}, variables, jnp.asarray(FAKE), batch, second)

    play(losses.relativistic)
    for shown, images in zip(seen, [REAL, FAKE, REAL, FAKE], strict=True):
        np.testing.assert_allclose(shown, images + 200)
    assert len({tuple(key) for key in keys}) == 4


def test_what_a_view_draws_for_the_whole_batch_differs_from_device_to_device():
    def view(images, key, step):
        return augment.instance_noise(images, key, 1.0, axis_name="data")

    game = adversarial(
        Shade(), Mean(lambda _: None), latent_dim=1, loss=losses.wasserstein,
        view=view, axis_name="data",
    )  # fmt: skip
    variables = {"params": {"scale": jnp.ones(())}}

    def play(images):
        context = Context(jnp.int32(0), jax.random.key(0), None)
        _, aux = game.disc_loss(variables, images, {"image": images}, context)
        return aux.metrics["critic_real"], aux.metrics["critic_fake"]

    drawn = jax.pmap(play, axis_name="data")(jnp.zeros((8, 2, 1, 1, 1)))
    assert len(np.unique(drawn)) == 16


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_latents_are_of_the_prior_that_is_asked_for(prior):
    seen = []
    players, options = (Shade(), Mean(seen.append)), {"latent_dim": 1, "loss": losses.hinge}
    batch = {"image": jnp.zeros((500, 1, 1, 1)), "mask": jnp.ones(500)}
    game = adversarial(*players, prior=prior, **options)
    context = Context(jnp.int32(0), jax.random.key(0), None)
    fakes, _ = game.generate({"params": {"bias": 0.0}}, batch, context)
    tx = optax.sgd(0.1)
    state = game.init(jax.random.key(0), batch, tx, tx)
    seen.clear()
    game.evaluate(state, batch, jax.random.key(1))
    for images in (fakes, seen[-1]):
        # A third of a normal's draws lies beyond the edges of the other.
        beyond = np.mean(np.abs(images) > 1)
        assert beyond == (0 if prior == "uniform" else pytest.approx(0.317, abs=0.1))
        assert np.std(images) == pytest.approx(0.577 if prior == "uniform" else 1, rel=0.15)


def test_packs_are_judged_as_one_and_filled_up_ones_do_not_count():
    class Sum(nn.Module):
        """Real is a pack whose images sum up to more than 0."""

        @nn.compact
        def __call__(self, images, train=False):
            return self.param("scale", nn.initializers.ones, ()) * images.sum((1, 2, 3))

    def view(images, key, step):
        raise AssertionError("the test is of images as they are")

    tx = optax.sgd(0.1)
    options = {"latent_dim": 1, "loss": losses.non_saturating, "packing": 2}
    images = jnp.array([1.0, 2.0, -5.0, 1.0, 4.0, 4.0]).reshape(6, 1, 1, 1)
    batch = {"image": images, "mask": jnp.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])}
    state = adversarial(Shade(), Sum(), **options).init(jax.random.key(0), batch, tx, tx)
    game = adversarial(Shade(), Sum(), view=view, **options)
    counts = game.evaluate(state, batch, jax.random.key(1))
    assert (counts["accuracy_real"], counts["count"]) == (1, 2)
