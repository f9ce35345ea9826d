"""The matching loss, against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_expit, logsumexp

from jaxgan.errors import UserError
from jaxgan.losses import (
    barlow_twins,
    cosine_similarities,
    image_text_matching,
    word_prediction,
)


def by_loops(logits, same):
    total = 0.0
    count = len(logits)
    for i in range(count):
        others = [j for j in range(count) if j == i or not same[i, j]]
        total += logsumexp([logits[i, j] for j in others]) - logits[i, i]
        total += logsumexp([logits[j, i] for j in others]) - logits[i, i]
    return total / (2 * count)


def random_case(seed=0, count=7):
    rng = np.random.default_rng(seed)
    meanings = rng.integers(0, 4, count)
    return 3 * rng.standard_normal((count, count)), meanings[:, None] == meanings[None]


def test_it_is_the_mean_of_both_cross_entropies():
    logits, same = random_case()
    assert same.sum() > 7
    nothing = np.zeros_like(same)
    expected = by_loops(logits, nothing)
    logits = logits.astype(np.float32)
    assert float(image_text_matching(logits)) == pytest.approx(expected, rel=1e-5)
    assert float(image_text_matching(logits, jnp.eye(7, dtype=bool))) == pytest.approx(
        expected, rel=1e-5
    )
    masked = by_loops(logits, same)
    assert float(image_text_matching(logits, jnp.asarray(same))) == pytest.approx(masked, rel=1e-5)
    assert masked < expected


def test_the_same_caption_is_no_negative():
    """Nothing pulls at pairs that say the same; the gradient stays finite though all do."""
    logits, same = random_case()
    gradient = jax.grad(image_text_matching)(jnp.float32(logits), jnp.asarray(same))
    others = same & ~np.eye(7, dtype=bool)
    assert others.any()
    np.testing.assert_array_equal(np.asarray(gradient)[others], 0)
    assert (np.asarray(gradient)[~same] > 0).all()
    assert (np.diagonal(gradient) < 0).any()
    nothing_left = jax.grad(image_text_matching)(jnp.float32(logits), jnp.ones((7, 7), bool))
    np.testing.assert_array_equal(nothing_left, 0)


def test_images_and_captions_change_places():
    logits, same = random_case(1)
    loss = image_text_matching(jnp.float32(logits), jnp.asarray(same))
    turned = image_text_matching(jnp.float32(logits.T), jnp.asarray(same))
    assert float(loss) == pytest.approx(float(turned), rel=1e-6)


def test_cosines_are_numpys_whatever_the_lengths():
    rng = np.random.default_rng(0)
    images, texts = rng.standard_normal((2, 5, 3))
    expected = np.empty((5, 5))
    for i in range(5):
        for j in range(5):
            lengths = np.linalg.norm(images[i]) * np.linalg.norm(texts[j])
            expected[i, j] = images[i] @ texts[j] / lengths
    made = cosine_similarities(jnp.float32(7 * images), jnp.float32(texts))
    np.testing.assert_allclose(made, expected, atol=1e-6)
    half = cosine_similarities(jnp.bfloat16(images), jnp.bfloat16(texts))
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, expected, atol=0.02)


def test_an_embedding_of_zero_gives_no_nan():
    gradient = jax.grad(lambda x: jnp.sum(cosine_similarities(x, jnp.ones((2, 3)))))(
        jnp.zeros((2, 3))
    )
    assert np.isfinite(gradient).all()


def test_correlations_are_numpys_whatever_the_scale_and_place():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 3))
    texts = images + rng.standard_normal((40, 3))
    correlations = np.corrcoef(images.T, texts.T)[:3, 3:]
    wrong = (correlations - np.eye(3)) ** 2
    expected = (np.trace(wrong) + 0.5 * (wrong.sum() - np.trace(wrong))) / 3
    made = barlow_twins(jnp.float32(5 * images + 2), jnp.float32(7 * texts), 0.5)
    assert float(made) == pytest.approx(expected, rel=2e-5)
    still = jax.grad(barlow_twins)(jnp.ones((4, 2)), jnp.ones((4, 2)))
    assert np.isfinite(still).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: barlow_twins(jnp.zeros((2, 3)), jnp.zeros((1, 3))),
            "text_embeddings: got shape (1, 3) beside images (2, 3), expected (B, E) of both",
        ),
        (lambda: image_text_matching(jnp.zeros((2, 3))), "logits: got shape (2, 3), expected"),
        (lambda: image_text_matching(jnp.zeros(4)), "logits: got shape (4,), expected (B, B)"),
        (
            lambda: image_text_matching(jnp.zeros((2, 2)), jnp.ones((2, 1), bool)),
            "same: got shape (2, 1), expected (2, 2)",
        ),
        (
            lambda: cosine_similarities(jnp.zeros((2, 3)), jnp.zeros((2, 4))),
            "text_embeddings: got shape (2, 4) beside images (2, 3), expected (B, E) of both",
        ),
        (
            lambda: cosine_similarities(jnp.zeros(3), jnp.zeros(3)),
            "text_embeddings: got shape (3,) beside images (3,)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_words_are_told_each_on_its_own():
    rng = np.random.default_rng(2)
    logits, tokens = 3 * rng.standard_normal((5, 6)), rng.integers(0, 6, (5, 4))
    tokens[0] = [3, 3, 0, 0]  # a word that comes twice is one word
    total = 0.0
    for row, words in zip(logits, tokens, strict=True):
        for word in range(1, 6):
            total -= log_expit(row[word] if word in words else -row[word])
    made = word_prediction(jnp.float32(logits), jnp.asarray(tokens))
    assert float(made) == pytest.approx(total / 5, rel=1e-5)
    # Padding is no word to tell.
    gradient = jax.grad(word_prediction)(jnp.float32(logits), jnp.asarray(tokens))
    np.testing.assert_array_equal(gradient[:, 0], 0)
    assert np.all(gradient[:, 1:] != 0)


@pytest.mark.parametrize("shape", [(4,), (4, 1, 2), (3, 2)])
def test_captions_of_other_images_have_no_words_to_tell(shape):
    with pytest.raises(UserError, match=r"^tokens: got shape .* beside logits \(4, 6\), expected"):
        word_prediction(jnp.zeros((4, 6)), jnp.zeros(shape, jnp.int32))
