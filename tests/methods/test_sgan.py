"""The semi-supervised objective: what each side's loss is given, and whom it moves."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax

from jaxgan import Context, UserError, losses
from jaxgan.methods import sgan
from jaxgan.networks import SGANDiscriminator
from jaxgan.networks import sgan as pair
from jaxgan.networks.layers import LeakyReLU

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.standard_normal((2, 6, 1, 1, 2)).astype(np.float32)
LABELS = np.array([2, -1, 0, -1, 1, -1])
W1, W2 = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 4), (4, 3)))
DISC_VARS = {"params": {"w1": W1, "w2": W2}}
GEN_VARS = {"params": {"bias": jnp.zeros(())}}


class Shade(nn.Module):
    """Images of the latent's own values, with a class in the middle of them."""

    @nn.compact
    def __call__(self, latents, labels=None, train=False):
        x = latents if labels is None else latents + labels[:, None]
        return x[:, None, None, :] + self.param("bias", nn.initializers.zeros, ())


class Two(nn.Module):
    """Class logits by two matrices with a nonlinearity in between."""

    @nn.compact
    def __call__(self, images, train=False):
        w1 = self.param("w1", nn.initializers.normal(), (2, 4))
        w2 = self.param("w2", nn.initializers.normal(), (4, 3))
        return LeakyReLU(0.2)(images.reshape(len(images), 2) @ w1) @ w2


def features_of(images):
    x = images.reshape(-1, 2).astype(np.float64) @ W1
    return np.where(x > 0, x, 0.2 * x)


def log_p(images):
    """Of 3 classes and, last, of "generated"."""
    return log_softmax(np.pad(features_of(images) @ W2, ((0, 0), (0, 1))), axis=1)


def play(**options):
    game = sgan(Shade(), Two(), latent_dim=2, num_classes=3, **options)
    context = Context(jnp.zeros((), jnp.int32), jax.random.key(0), None)
    return game, {"image": jnp.asarray(REAL), "label": jnp.asarray(LABELS)}, context


def test_the_discriminator_pays_the_cross_entropy_of_k_plus_one():
    game, batch, context = play()
    loss, aux = game.disc_loss(DISC_VARS, jnp.asarray(FAKE), batch, context)
    real, fake, known = log_p(REAL), log_p(FAKE), LABELS >= 0
    of_any = np.log(np.sum(np.exp(real[:, :3]), axis=1))
    of_class = real[known, LABELS[known]] - of_any[known]
    expected = -np.mean(of_any) - np.mean(fake[:, 3]) - np.mean(of_class)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert aux.metrics["class_loss"] == pytest.approx(-np.mean(of_class), rel=1e-5)
    right = np.argmax(real[known, :3], axis=1) == LABELS[known]
    assert aux.metrics["class_accuracy"] == pytest.approx(np.mean(right))
    assert aux.metrics["d_real"] == pytest.approx(np.mean(np.exp(of_any)), rel=1e-5)


def test_it_may_pay_for_two_minds_about_real_images():
    game, batch, context = play(consistency=3.0)
    loss, aux = game.disc_loss(DISC_VARS, jnp.asarray(FAKE), batch, context)
    assert aux.metrics["consistency_loss"] == 0  # what has no dropout is of one mind
    images = {"image": RNG.uniform(-1, 1, (6, *SMALL)).astype(np.float32), "label": LABELS}
    variables, fakes = small_state().discriminator.variables, jnp.zeros((6, *SMALL))

    def loss_of(consistency):
        game = small_game(consistency=consistency)
        return game.disc_loss(variables, fakes, images, context)

    plain, plain_aux = loss_of(0.0)
    loss, aux = loss_of(3.0)
    assert aux.metrics["consistency_loss"] > 1e-4
    assert loss - plain == pytest.approx(3 * float(aux.metrics["consistency_loss"]), rel=1e-4)
    assert aux.metrics["class_loss"] == plain_aux.metrics["class_loss"]


def test_the_generator_matches_the_mean_features_and_so_says_its_slope():
    game, batch, context = play()

    def loss_of(fakes):
        return game.gen_loss(GEN_VARS, DISC_VARS, fakes, batch, context)[0]

    value, slope = jax.value_and_grad(loss_of)(jnp.asarray(FAKE))
    gap = features_of(FAKE).mean(0) - features_of(REAL).mean(0)
    assert value == pytest.approx(np.sum(gap**2), rel=1e-5)
    x = FAKE.reshape(6, 2) @ W1
    expected = 2 / 6 * (gap * np.where(x > 0, 1, 0.2)) @ W1.T
    np.testing.assert_allclose(slope.reshape(6, 2), expected, rtol=1e-4, atol=1e-6)


def test_latents_are_of_the_prior_that_is_asked_for():
    game, _, context = play(prior="uniform")
    images, _ = game.generate(GEN_VARS, {"image": jnp.zeros((500, 1, 1, 2))}, context)
    assert 0.9 < np.max(np.abs(images)) <= 1


def test_without_feature_matching_it_wants_its_images_to_be_of_any_class():
    game, batch, context = play(feature_matching=False)
    loss, aux = game.gen_loss(GEN_VARS, DISC_VARS, jnp.asarray(FAKE), batch, context)
    of_any = np.log(np.sum(np.exp(log_p(FAKE)[:, :3]), axis=1))
    assert loss == pytest.approx(-np.mean(of_any), rel=1e-5)
    assert aux.model_state is None


def test_a_loss_that_compares_is_shown_the_real_images():
    game, batch, context = play(feature_matching=False, loss=losses.relativistic)
    loss, _ = game.gen_loss(GEN_VARS, DISC_VARS, jnp.asarray(FAKE), batch, context)
    real, fake = (np.log(np.sum(np.exp(features_of(x) @ W2), axis=1)) for x in (REAL, FAKE))
    assert loss == pytest.approx(np.mean(np.logaddexp(0, real - fake)), rel=1e-5)


def test_with_classes_the_generator_is_to_make_those_it_was_given():
    plain, batch, context = play()
    game, _, _ = play(conditional=True)
    asked = np.arange(6) % 3
    images, _ = game.generate(GEN_VARS, batch, context)
    latents, _ = plain.generate(GEN_VARS, batch, context)
    np.testing.assert_allclose(images, latents + asked.reshape(6, 1, 1, 1), rtol=1e-6)
    fakes = jnp.asarray(FAKE)
    with_classes, _ = game.gen_loss(GEN_VARS, DISC_VARS, fakes, batch, context)
    without, _ = plain.gen_loss(GEN_VARS, DISC_VARS, fakes, batch, context)
    given_real = log_softmax(features_of(FAKE) @ W2, axis=1)
    expected = -np.mean(given_real[np.arange(6), asked])
    assert with_classes - without == pytest.approx(expected, rel=1e-4)


def test_without_any_label_real_and_generated_images_are_told_apart_alone():
    game, batch, context = play()
    unknown = {**batch, "label": jnp.full(6, -1)}
    loss, aux = game.disc_loss(DISC_VARS, jnp.asarray(FAKE), unknown, context)
    of_any = np.log(np.sum(np.exp(log_p(REAL)[:, :3]), axis=1))
    assert loss == pytest.approx(-np.mean(of_any) - np.mean(log_p(FAKE)[:, 3]), rel=1e-5)
    assert aux.metrics["class_loss"] == aux.metrics["class_accuracy"] == 0


SMALL = (8, 8, 1)
GENERATOR, _ = pair(8, 1, num_classes=3)
DISCRIMINATOR = SGANDiscriminator(3, widths=(4, 6), kernels=(5, 3))
TX = optax.adam(1e-3)


def small_game(**options):
    return sgan(GENERATOR, DISCRIMINATOR, **{"latent_dim": 4, "num_classes": 3, **options})


def small_state(game=None, shape=SMALL):
    batch = {"image": jnp.zeros((1, *shape))}
    return (game or small_game()).init(jax.random.key(0), batch, TX, TX)


def test_the_test_counts_what_is_in_its_class():
    images = RNG.uniform(-1, 1, (5, *SMALL)).astype(np.float32)
    state = small_state()
    logits = DISCRIMINATOR.apply(state.discriminator.variables, images)
    labels = np.array(jnp.argmax(logits, axis=1))
    labels[1] = (labels[1] + 1) % 3
    batch = {"image": images, "label": labels, "mask": np.array([1.0, 1, 1, 0, 1])}
    counts = small_game().evaluate(state, batch, jax.random.key(0))
    assert (counts["accuracy"], counts["count"]) == (3, 4)


def test_bad_input_is_told():
    game, batch, context = play()
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match=f"consistency: got {wrong}, expected a number of at"):
            play(consistency=wrong)
    with pytest.raises(UserError, match="batch: got entries image, expected 'label' among them"):
        game.disc_loss(DISC_VARS, jnp.asarray(FAKE), {"image": batch["image"]}, context)
    with pytest.raises(UserError, match=r"image: got a batch of shape \(6, 1, 1, 2\), expected"):
        game.disc_loss(DISC_VARS, jnp.asarray(FAKE)[:5], batch, context)
    with pytest.raises(UserError, match=r"got logits \(1, 3\) for one image, expected \(1, 4\)"):
        small_state(small_game(num_classes=4))
    with pytest.raises(UserError, match=r"image_size, channels: got data of shape \(9, 9, 1\)"):
        small_state(shape=(9, 9, 1))
