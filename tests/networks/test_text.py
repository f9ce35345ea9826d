"""The encoders of captions and images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks import ImageEncoder, TextEncoder, describe, from_description

WORDS = TextEncoder(vocabulary_size=11, embedding_dim=6, width=8)
encode = jax.jit(WORDS.apply)
TOKENS = np.array([[2, 3, 4, 0, 0], [2, 4, 3, 0, 0], [5, 6, 7, 8, 9]], np.int32)


@pytest.fixture(scope="module")
def params():
    """Random throughout, so that every one counts."""
    shapes = jax.eval_shape(WORDS.init, jax.random.key(0), TOKENS)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32) / 2, shapes)


def norm(p, x):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * p["scale"] + p["bias"]


def dense(p, x):
    return x @ p["kernel"] + p["bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def by_numpy(params, tokens):
    """One caption, its padding not even looked at."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    tokens = tokens[tokens > 0]
    x = p["words"]["embedding"][tokens]
    for i in range(3):
        around = np.pad(norm(p[f"LayerNorm_{i}"], x), ((2, 2), (0, 0)))
        y = p[f"Conv_{i}"]["bias"] + sum(
            around[k : k + len(x)] @ p[f"Conv_{i}"]["kernel"][k] for k in range(5)
        )
        x = x + dense(p[f"Dense_{i}"], gelu(y))
    phrases = gelu(dense(p["Dense_3"], norm(p["LayerNorm_3"], x)))
    embedding = dense(p["embedding"], phrases.mean(0))
    return embedding / np.sqrt(np.mean(embedding**2))


def test_the_text_encoder_is_numpys(params):
    made = encode(params, TOKENS)
    assert made.dtype == jnp.float32
    expected = np.stack([by_numpy(params, row) for row in TOKENS])
    np.testing.assert_allclose(made, expected, atol=1e-4)
    # The order of the words counts.
    assert np.abs(made[0] - made[1]).max() > 1e-3


def test_an_empty_row_gives_no_nan(params):
    assert np.isfinite(encode(params, np.zeros_like(TOKENS))).all()


def test_embeddings_of_images_have_mean_square_one():
    images = np.random.default_rng(0).standard_normal((4, 16, 16, 3)).astype(np.float32)
    encoder = ImageEncoder(5, widths=(4, 6))
    (made, features), variables = jax.jit(encoder.init_with_output)(jax.random.key(0), images)
    assert made.shape == (4, 5)
    assert features.shape == (4, 4 * 4 * 6)
    made_of_them = features @ variables["params"]["embedding"]["kernel"]
    scale = np.sqrt(np.mean(np.square(made_of_them), -1, keepdims=True))
    np.testing.assert_allclose(made, made_of_them / scale, rtol=1e-3)
    np.testing.assert_allclose(np.mean(np.square(made), -1), 1, rtol=1e-2)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == (4 * 4 * 3 * 4 + 4) + (4 * 4 * 4 * 6 + 2 * 6) + (4 * 4 * 6 * 5 + 5)


@pytest.mark.parametrize("module", [WORDS, ImageEncoder(5, (4, 6))])
def test_they_are_described(module):
    assert from_description(describe(module)) == module


def test_bfloat16_gives_float32(params):
    made = jax.jit(WORDS.clone(dtype=jnp.bfloat16).apply)(params, TOKENS)
    assert made.dtype == jnp.float32
    np.testing.assert_allclose(made, encode(params, TOKENS), atol=0.2)
