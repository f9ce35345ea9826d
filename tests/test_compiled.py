"""What is compiled computes what its operations compute one by one, at sizes that users have.

A compiler can be wrong: XLA of JAX 0.10.2 lost whole terms of sums over more than 32,768 rows on
CPU (jax-ml/jax#39103), which tests with a few rows never saw. The programs here are compiled as the
experiments compile them, which tests/conftest.py does not, and compared with the same function
run operation by operation.
"""

import functools
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import AS_USERS_DO
from loss_tables import GAMES
from method_tables import CASES, batch, first_state, step
from packaging.requirements import Requirement

from jaxgan import augment, cpu, losses, penalties
from jaxgan.metrics.inception import prepare_images
from jaxgan.metrics.lenet import load_lenet
from jaxgan.networks import DCGANDiscriminator
from jaxgan.networks.convolution import conv, conv_transpose
from jaxgan.networks.grouped import grouped_conv

ROWS = 32_769
# Pixels beyond that number, in a batch as large as an experiment's.
IMAGES = (64, 28, 28, 1)


def compile_as_experiments_do(function):
    return jax.jit(function, compiler_options={**AS_USERS_DO, **cpu.compiler_options()})


def compile_as_users_do(function):
    return jax.jit(function, compiler_options=AS_USERS_DO)


def check(function, *inputs, tolerance=1e-4, least=0.0):
    """Compiled in either way, and operation by operation; below `least` all is rounding."""
    with jax.disable_jit():
        expected = jax.tree.leaves(function(*inputs))
    for compiled in (compile_as_experiments_do, compile_as_users_do):
        for ours, other in zip(jax.tree.leaves(compiled(function)(*inputs)), expected, strict=True):
            assert np.all(np.isfinite(other))
            scale = float(np.max(np.abs(other), initial=least))
            np.testing.assert_allclose(ours, other, rtol=tolerance, atol=tolerance * scale)


def draw(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_the_version_that_loses_terms_is_not_installed():
    project = Path(__file__).parents[1] / "pyproject.toml"
    required = map(Requirement, tomllib.loads(project.read_text())["project"]["dependencies"])
    (versions,) = (each.specifier for each in required if each.name == "jax")
    assert [*versions.filter(["0.10.1", "0.10.2", "0.12.0.1"])] == ["0.10.1", "0.12.0.1"]


@pytest.mark.parametrize("compiled", [compile_as_experiments_do, compile_as_users_do])
def test_sums_over_many_rows_are_whole(compiled):
    rows = jnp.zeros((ROWS, 3)).at[:, 0].set(jnp.arange(ROWS, dtype=jnp.float32))

    @compiled
    def squares(rows):
        return jax.vmap(lambda row: jnp.sum((jnp.eye(3) @ row) ** 2))(rows)

    np.testing.assert_array_equal(squares(rows), np.arange(ROWS, dtype=np.float32) ** 2)


@pytest.mark.parametrize("name", GAMES)
def test_losses_of_many_logits(name):
    loss, logits = GAMES[name], (draw(ROWS), draw(ROWS, seed=1))

    def both(real, fake):
        seen = (fake, real) if loss.generator_sees_real else (fake,)
        return sum(loss.discriminator(real, fake)), loss.generator(*seen)

    check(lambda *logits: (both(*logits), jax.jacobian(both, (0, 1))(*logits)), *logits)


def test_losses_of_many_features_and_classes():
    def values(real, fake, labels):
        return (
            losses.feature_matching(real, fake),
            losses.class_cross_entropy(real, labels),
            losses.class_consistency(real, fake),
            losses.gaussian_kl(real, fake),
            losses.real_logits(real),
        )

    check(values, draw(ROWS, 3), draw(ROWS, 3, seed=1), jnp.arange(ROWS) % 3)


def test_losses_of_many_captions():
    def values(images, texts, tokens):
        return (
            losses.image_text_matching(5 * losses.cosine_similarities(images[:200], texts[:200])),
            losses.barlow_twins(images, texts),
            losses.word_prediction(images, tokens),
        )

    check(values, draw(ROWS, 3), draw(ROWS, 3, seed=1), jnp.arange(2 * ROWS).reshape(-1, 2) % 3)


@pytest.mark.parametrize(
    ("function", "kernel"),
    [
        (functools.partial(conv, strides=1), (3, 3, 3, 4)),
        (functools.partial(conv, strides=2), (4, 4, 3, 4)),
        (functools.partial(conv_transpose, strides=2), (4, 4, 3, 4)),
        (grouped_conv, (3, 3, 1, 3)),
    ],
    ids=["conv", "strided conv", "conv_transpose", "grouped_conv"],
)
def test_convolutions_and_their_gradients(function, kernel):
    x = draw(48, 28, 28, 3)

    def values(x, kernel):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(function(x, kernel)))

        return function(x, kernel), jax.grad(loss, (0, 1))(x, kernel)

    check(values, x, draw(*kernel, seed=1, scale=0.3))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_penalties_and_their_gradients(name):
    module = DCGANDiscriminator((4, 8), 3, batch_norm=False)
    real, fake = draw(*IMAGES), draw(*IMAGES, seed=1)
    variables = module.init(jax.random.key(0), real, train=False)

    def penalty(variables):
        def critic(images):
            return module.apply(variables, images, train=True)

        return getattr(penalties, name)(critic, real, fake, jax.random.key(1))

    check(jax.value_and_grad(penalty), variables)


def test_augmentations():
    check(lambda images: augment.diff_augment(images, jax.random.key(0)), draw(64, 28, 28, 3))


def test_features_of_digits():
    images = jnp.clip(draw(*IMAGES, scale=0.3), 0, 1)
    check(load_lenet(), images)


def test_images_as_inception_is_shown_them():
    check(prepare_images, draw(2, 28, 28, 1))


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_step_of_every_method(name):
    def one(state, data):
        state, metrics = step(name)(state, data)
        return state.generator.params, state.discriminator.params, metrics

    # CycleGAN's pool is a loop over images, which takes minutes operation by operation.
    size = 64 if name == "cyclegan" else 2080
    # Biases before batch norm have gradients of rounding alone.
    check(one, first_state(name), batch(name, size), least=1e-2)
