"""ACGAN: both players' losses against NumPy, and who is moved by what."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax

from jaxgan import Context, UserError, losses
from jaxgan.methods import acgan


class Classes(nn.Module):
    """Images of the latent, moved by a parameter times the class."""

    @nn.compact
    def __call__(self, latents, labels, train=False):
        slope = self.param("slope", nn.initializers.ones, ())
        return (latents + slope * labels[:, None])[:, :, None, None]


class Heads(nn.Module):
    """A shared layer that scales the image, and the two heads on it."""

    @nn.compact
    def __call__(self, images, train=False):
        x = self.param("shared", nn.initializers.ones, ()) * images.mean((1, 2, 3))
        source = self.param("source", nn.initializers.constant(0.7), ())
        classes = self.param("classes", lambda _: jnp.array([-1.0, 0.5, 2.0]))
        return source * x, x[:, None] * classes[None]


class OneHead(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return self.param("scale", nn.initializers.ones, ()) * images.mean((1, 2, 3))


GEN, DISC = Classes(), Heads()
REAL, FAKE = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.2, -3.0])
LABELS = np.array([0, 2, 1])
BATCH = {"image": jnp.float32(REAL.reshape(3, 1, 1, 1)), "label": jnp.asarray(LABELS)}
GEN_VARS = {"params": {"slope": jnp.float32(1)}}
DISC_VARS = DISC.init(jax.random.key(0), BATCH["image"])
CONTEXT = Context(jnp.int32(0), jax.random.key(0), None)
FAKES = jnp.float32(FAKE.reshape(3, 1, 1, 1))


def class_loss(x):
    logits = x[:, None] * np.array([[-1.0, 0.5, 2.0]])
    return -np.mean(log_softmax(logits, axis=1)[np.arange(3), LABELS])


def game(**options):
    players = {"generator": GEN, "discriminator": DISC, "latent_dim": 1, "num_classes": 3}
    return acgan(**{**players, "loss": losses.non_saturating, **options})


def start(batch=BATCH, **options):
    tx = optax.sgd(0.1)
    return game(**options).init(jax.random.key(0), batch, tx, tx)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_losses_are_source_and_class(weight):
    loss, aux = game(class_weight=weight).disc_loss(DISC_VARS, FAKES, BATCH, CONTEXT)
    source = np.mean(np.log1p(np.exp(-0.7 * REAL))) + np.mean(np.log1p(np.exp(0.7 * FAKE)))
    told = class_loss(REAL) + class_loss(FAKE)
    assert loss == pytest.approx(source + weight * told, rel=1e-5)
    assert aux.metrics["class_loss_real"] == pytest.approx(class_loss(REAL), rel=1e-5)
    assert aux.metrics["class_loss_fake"] == pytest.approx(class_loss(FAKE), rel=1e-5)
    # The greatest logit is that of class 2 where x > 0, else that of class 0.
    assert aux.metrics["class_accuracy_real"] == 0
    assert aux.metrics["class_accuracy_fake"] == pytest.approx(np.mean([False, True, False]))
    loss, aux = game(class_weight=weight).gen_loss(GEN_VARS, DISC_VARS, FAKES, BATCH, CONTEXT)
    source = np.mean(np.log1p(np.exp(-0.7 * FAKE)))
    assert loss == pytest.approx(source + weight * class_loss(FAKE), rel=1e-5)
    assert aux.model_state is None


def test_the_relativistic_generator_is_compared_with_real_images():
    objective = game(loss=losses.relativistic)
    loss, _ = objective.gen_loss(GEN_VARS, DISC_VARS, FAKES, BATCH, CONTEXT)
    source = np.mean(np.log1p(np.exp(0.7 * (REAL - FAKE))))
    assert loss == pytest.approx(source + class_loss(FAKE), rel=1e-5)


def test_images_are_generated_of_the_batch_s_classes():
    made, _ = game().generate(GEN_VARS, BATCH, CONTEXT)
    latents, _ = game().generate({"params": {"slope": jnp.float32(0)}}, BATCH, CONTEXT)
    np.testing.assert_allclose(made.ravel(), latents.ravel() + LABELS, rtol=1e-6)


def test_each_head_learns_its_own_and_the_shared_layer_both():
    def gradient(**options):
        objective = game(**options)
        return jax.grad(lambda v: objective.disc_loss(v, FAKES, BATCH, CONTEXT)[0])(DISC_VARS)

    neither, once, twice = (gradient(class_weight=w)["params"] for w in (0.0, 1.0, 2.0))
    assert not np.any(neither["classes"])
    np.testing.assert_allclose(twice["classes"], 2 * once["classes"], rtol=1e-6)
    np.testing.assert_array_equal(neither["source"], twice["source"])
    # d/ds of the source term, in closed form, is all that reaches the shared layer at weight 0.
    real, fake = (0.7 * x / (1 + np.exp(s * 0.7 * x)) for x, s in ((REAL, 1), (FAKE, -1)))
    assert neither["shared"] == pytest.approx(np.mean(fake) - np.mean(real), rel=1e-5)
    step = 1e-4
    slope = sum(class_loss((1 + step) * x) - class_loss((1 - step) * x) for x in (REAL, FAKE))
    slope /= 2 * step
    assert once["shared"] - neither["shared"] == pytest.approx(slope, rel=1e-4)


def test_the_held_out_test_counts_both_heads_and_leaves_out_what_fills_up():
    state = start()
    images = jnp.array([3.0, -2.0, 1.0, -1.0, 5.0]).reshape(5, 1, 1, 1)
    labels = jnp.array([2, 0, 1, 1, 2])
    batch = {"image": images, "label": labels, "mask": jnp.array([1.0, 1.0, 1.0, 1.0, 0.0])}
    counts = game(loss=losses.hinge).evaluate(state, batch, jax.random.key(1))
    assert counts["count"] == 4
    assert counts["accuracy_real"] == 2  # those above 0
    assert counts["class_accuracy_real"] == 2
    assert 0 <= counts["accuracy_fake"] <= 4
    assert 0 <= counts["class_accuracy_fake"] <= 4
    assert np.isfinite(counts["jsd_lower_bound"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: game().generate(GEN_VARS, {"image": FAKES}, CONTEXT), "batch: got entries image"),
        (
            lambda: game().disc_loss(DISC_VARS, FAKES[:2], BATCH, CONTEXT),
            "image: got a batch of shape (3, 1, 1, 1), expected (2, 1, 1, 1)",
        ),
        (
            lambda: start({"image": np.zeros((1, 2, 2, 1))}),
            "image_size, channels: got data of shape (2, 2, 1), expected (1, 1, 1)",
        ),
        (
            lambda: start(discriminator=OneHead()),
            "discriminator: got logits (1,) for one image, expected (1,) and (1, 3)",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, message):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(message)
