"""VQGAN's autoencoder: its quantiser against NumPy, its shapes, what learns from what."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import abstract, every_dtype

from jaxgan import UserError
from jaxgan.networks import VectorQuantizer, VQAutoencoder

CODEBOOK = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((2, 4, 5, 3)).astype(np.float32)
VARIABLES = {"params": {"codebook": CODEBOOK}}


def test_each_vector_becomes_the_nearest_of_the_codebook():
    vectors, tokens, loss = VectorQuantizer(7, commitment=0.5).apply(VARIABLES, X)
    expected = np.argmin(np.linalg.norm(X[..., None, :] - CODEBOOK, axis=-1), axis=-1)
    np.testing.assert_array_equal(tokens, expected)
    assert tokens.dtype == jnp.int32
    np.testing.assert_allclose(vectors, CODEBOOK[expected], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss, 1.5 * np.mean((X - CODEBOOK[expected]) ** 2), rtol=1e-5)


def test_the_codebook_follows_what_it_is_given_and_gradients_pass_by_it():
    weights = np.random.default_rng(2).standard_normal(X.shape).astype(np.float32)

    def total(codebook, x):
        vectors, _, loss = VectorQuantizer(7).apply({"params": {"codebook": codebook}}, x)
        return jnp.sum(weights * vectors) + loss

    by_codebook, by_x = jax.grad(total, argnums=(0, 1))(CODEBOOK, X)
    _, tokens, _ = VectorQuantizer(7).apply(VARIABLES, X)
    off = (CODEBOOK[tokens] - X) * 2 / X.size
    expected = np.zeros_like(CODEBOOK)
    np.add.at(expected, np.asarray(tokens), off)
    np.testing.assert_allclose(by_codebook, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_x, weights - 0.25 * off, rtol=1e-4, atol=1e-6)


@every_dtype
def test_tokens_are_a_grid_and_images_are_float32(dtype):
    network = VQAutoencoder(dtype=dtype)
    made, variables = abstract(network, (2, 64, 64, 3))
    images, (_, tokens, loss) = jax.eval_shape(
        functools.partial(network.apply, method="reconstruct"), variables, jnp.zeros(made.shape)
    )
    assert made == images
    assert (images.shape, images.dtype) == ((2, 64, 64, 3), jnp.float32)
    assert (tokens.shape, tokens.dtype) == ((2, 8, 8), jnp.int32)
    assert (loss.shape, loss.dtype) == ((), jnp.float32)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_directions_are_compared_by_their_angles_alone():
    quantizer = VectorQuantizer(7, commitment=0.5, directions=True)
    lengths = np.random.default_rng(4).uniform(0.1, 9, (*X.shape[:-1], 1)).astype(np.float32)
    codes, x = (rows / np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (CODEBOOK, X))
    expected = np.argmax(np.einsum("...c,kc->...k", x, codes), axis=-1)
    vectors, tokens, loss = quantizer.apply(VARIABLES, X * lengths)
    np.testing.assert_array_equal(tokens, expected)
    np.testing.assert_allclose(vectors, codes[expected], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss, 1.5 * np.mean((x - codes[expected]) ** 2), rtol=1e-5)
    drawn = quantizer.init(jax.random.key(0), jnp.zeros((1, 1, 1, 3)))["params"]["codebook"]
    assert np.std(drawn) > 0.5  # and not 1 / codes
    by_x = jax.grad(lambda x: jnp.sum(quantizer.apply(VARIABLES, x).vectors))(jnp.zeros((1, 1, 3)))
    assert np.all(np.isfinite(by_x))


@pytest.mark.parametrize("directions", [False, True])
def test_images_are_decoded_from_their_tokens(directions):
    network = VQAutoencoder(1, widths=(4, 8), dim=3, codes=7, directions=directions)
    images = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (2, 8, 8, 1)), jnp.float32)
    variables = jax.jit(network.init)(jax.random.key(0), images)
    made, (_, tokens, _) = jax.jit(functools.partial(network.apply, method="reconstruct"))(
        variables, images
    )
    again = jax.jit(lambda v, x: network.apply(v, x, method="decode_tokens"))(variables, tokens)
    np.testing.assert_allclose(again, made, rtol=1e-4, atol=1e-5)
    grads = jax.jit(jax.grad(lambda v: jnp.mean(jnp.abs(network.apply(v, images) - images))))
    encoder = grads(variables)["params"]["encoder"]
    assert all(np.any(x != 0) for x in jax.tree.leaves(encoder))


def test_images_that_cannot_be_halved_so_often_are_refused():
    with pytest.raises(UserError, match=r"^image_size: got images"):
        abstract(VQAutoencoder(), (1, 64, 60, 3))
