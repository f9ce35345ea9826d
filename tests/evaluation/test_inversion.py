"""Inversion: least squares in closed form, images of the generator's own, and bad input."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgan.errors import UserError
from jaxgan.evaluation.inversion import Inversion, compare_errors, invert
from jaxgan.inference.load import draw_images

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
MATRIX = 0.05 * RNG.standard_normal((4, 12))


def linear(latents):
    """Images (N, 2, 3, 2) about grey."""
    return (0.5 + latents @ jnp.asarray(MATRIX, jnp.float32)).reshape(-1, 2, 3, 2)


def bumpy(latents):
    """A generator with local minima, so that it matters where the search starts."""
    return (0.5 + 0.4 * jnp.sin(3 * latents)).reshape(-1, 1, 2, 2)


def test_a_linear_generator_gives_back_its_latents():
    latents = RNG.standard_normal((5, 4))
    images = np.asarray(linear(latents.astype(np.float32)))
    found = invert(linear, images, KEY, latent_dim=4, restarts=2, num_steps=300)
    np.testing.assert_allclose(found.latents, latents, atol=1e-3)
    np.testing.assert_allclose(found.images, images, atol=1e-4)
    assert found.errors.max() < 1e-8


def test_other_images_are_met_as_nearly_as_least_squares_can():
    images = RNG.uniform(0.3, 0.7, (5, 2, 3, 2))
    found = invert(linear, images, KEY, latent_dim=4, restarts=1, num_steps=300)
    wanted = images.reshape(5, 12) - 0.5
    latents = wanted @ np.linalg.pinv(MATRIX)
    expected = np.mean((2 * (latents @ MATRIX - wanted)) ** 2, axis=1)
    np.testing.assert_allclose(found.errors, expected, rtol=1e-4)
    np.testing.assert_allclose(found.latents, latents, atol=1e-2)
    errors = np.mean((2 * (found.images - images)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(found.errors, errors, rtol=1e-5)
    assert found.errors.dtype == np.float64


def test_uniform_latents_stay_in_their_cube():
    images = np.asarray(linear(jnp.array([[3.0, 0.5, -0.5, 0.0]])))
    found = invert(linear, images, KEY, latent_dim=4, prior="uniform")
    assert np.abs(found.latents).max() == 1.0


def test_a_generator_with_batch_norm_finds_its_own_images():
    generator, variables = tiny.players()[0], tiny.state().generator.ema_variables
    # Untrained weights make grey images; larger ones make images that differ.
    variables = {**variables, "params": jax.tree.map(lambda x: 8 * x, variables["params"])}

    def generate(latents):
        return draw_images(generator, variables, latents)

    images = generate(jax.random.normal(jax.random.key(1), (3, tiny.LATENT_DIM)))
    assert float(jnp.std(images)) > 0.1
    options = {"latent_dim": tiny.LATENT_DIM, "restarts": 3, "num_steps": 100}
    found = invert(generate, images, KEY, **options)
    assert found.images.shape == images.shape
    assert found.errors.max() < 0.01 * 4 * float(jnp.var(images))


def test_more_restarts_are_never_worse():
    images = np.asarray(bumpy(jax.random.uniform(jax.random.key(2), (6, 4))))
    errors = [
        # Few small steps: what the start does not give is not found.
        invert(
            bumpy, images, KEY, latent_dim=4, restarts=r, num_steps=20, learning_rate=0.02
        ).errors
        for r in (1, 2, 3, 8)
    ]
    for fewer, more in itertools.pairwise(errors):
        assert np.all(more <= fewer + 1e-7)
    assert errors[-1].mean() < 0.5 * errors[0].mean()


def test_each_image_is_searched_for_by_itself():
    images = np.asarray(bumpy(jax.random.normal(jax.random.key(2), (3, 4))))
    options = {"latent_dim": 4, "restarts": 2, "num_steps": 30}
    together = invert(bumpy, images, KEY, **options)
    changed = np.concatenate([images[:2], 1 - images[2:]])
    again = invert(bumpy, changed, KEY, **options)
    np.testing.assert_allclose(again.latents[:2], together.latents[:2], atol=1e-5)


def test_features_take_part_in_the_search():
    # Of the images only the first pixel is compared, the more: least squares with weights.
    images = RNG.uniform(0.3, 0.7, (4, 2, 3, 2))
    found = invert(
        linear,
        images,
        KEY,
        latent_dim=4,
        num_steps=400,
        features=lambda x: x[:, :1, 0, 0],
        feature_weight=3.0,
    )
    weights = np.full(12, 4 / 12)
    weights[0] += 3
    wanted, root = images.reshape(4, 12) - 0.5, np.sqrt(weights)
    expected = (wanted * root) @ np.linalg.pinv(MATRIX * root)
    np.testing.assert_allclose(found.latents, expected, atol=0.02)


def test_the_gap_between_training_and_unseen_images():
    errors = RNG.uniform(size=(2, 7))
    train, test = (Inversion(None, None, e) for e in errors)
    result = compare_errors(train, test)
    low, high = np.sort(errors, axis=1)[:, 3]
    assert result == pytest.approx((low, high, (high - low) / high))
    assert compare_errors(test, test).gap == 0
    zero = Inversion(None, None, np.zeros(3))
    assert compare_errors(zero, zero).gap == 0


GREY = np.full((2, 2, 3, 2), 0.5)


@pytest.mark.parametrize(
    ("images", "options", "named"),
    [
        (GREY[0], {}, "images"),
        (GREY[:0], {}, "images"),
        (GREY[:, :1], {}, "images"),
        (GREY.astype(int), {}, "images"),
        (GREY + 1, {}, "images"),
        (GREY * np.nan, {}, "images"),
        (GREY, {"restarts": 0}, "restarts"),
        (GREY, {"num_steps": 0}, "num_steps"),
        (GREY, {"learning_rate": 0.0}, "learning_rate"),
        (GREY, {"prior": "cube"}, "prior"),
    ],
)
def test_errors(images, options, named):
    with pytest.raises(UserError) as error:
        invert(linear, images, KEY, latent_dim=4, **options)
    assert str(error.value).startswith(f"{named}: got ")
    assert "\n" not in str(error.value)
