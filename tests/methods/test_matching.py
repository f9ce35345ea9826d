"""The step of matching images with captions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import difference

from jaxgan.losses import (
    barlow_twins,
    cosine_similarities,
    image_text_matching,
    word_prediction,
)
from jaxgan.methods import init_matching, make_matching_step
from jaxgan.networks import ImageEncoder, TextEncoder

TEXT, IMAGE = TextEncoder(8, 6, 8, 1), ImageEncoder(6, (4, 6))
TX = optax.adam(1e-2)


def batch(seed=0, size=12):
    """The first word of a caption, of six, is the bright row of its image; the second is noise."""
    rng = np.random.default_rng(seed)
    words = rng.integers(2, 8, size)
    images = 0.05 * rng.standard_normal((size, 8, 8, 1))
    images[np.arange(size), words] += 1
    tokens = np.stack([words, rng.integers(2, 8, size), np.zeros(size)], 1)
    return {
        "image": images.astype(np.float32),
        "tokens": tokens.astype(np.int32),
        "meaning": words.astype(np.int32),
    }


def new():
    return init_matching(jax.random.key(0), TEXT, IMAGE, TX, length=3, image_shape=(8, 8, 1))


@pytest.fixture(scope="module")
def step():
    return jax.jit(make_matching_step(TEXT, IMAGE, TX))


def test_captions_find_their_images(step):
    player = new()
    _, before = step(player, batch())
    for seed in range(1, 100):
        player, metrics = step(player, batch(seed))
    assert float(metrics["matching_loss"]) < 0.2 < 0.8 < float(before["matching_loss"])
    assert float(metrics["image_to_text"]) > 0.95 > float(before["image_to_text"])
    assert float(metrics["text_to_image"]) > 0.95
    assert step._cache_size() == 1


@pytest.mark.parametrize("with_meaning", [False, True])
def test_one_step_is_the_gradient_of_the_loss(with_meaning):
    data = batch(3)
    data["tokens"][1] = data["tokens"][0]  # which say the same with or without "meaning"
    meaning = data["meaning"] if with_meaning else None
    if not with_meaning:
        del data["meaning"]
    player, tx = new(), optax.sgd(0.1)
    player = player.replace(opt_state=tx.init(player.params))
    made, metrics = jax.jit(make_matching_step(TEXT, IMAGE, tx))(player, data)

    same = np.zeros((12, 12), bool)
    for i, j in np.ndindex(same.shape):
        same[i, j] = (data["tokens"][i] == data["tokens"][j]).all()
        same[i, j] |= with_meaning and meaning[i] == meaning[j]
    assert same.sum() >= 14

    def loss(params):
        (images, features), _ = IMAGE.apply(
            {"params": params["image"], **player.model_state},
            data["image"], train=True, mutable="batch_stats",
        )  # fmt: skip
        texts = TEXT.apply({"params": params["text"]}, data["tokens"])
        logits = jnp.exp(params["log_scale"]) * cosine_similarities(images, texts)
        words = features @ params["words"]["kernel"] + params["words"]["bias"][None]
        parts = {
            "matching_loss": image_text_matching(logits, jnp.asarray(same)),
            "correlation_loss": barlow_twins(images, texts),
            "word_loss": word_prediction(words, data["tokens"]),
        }
        total = parts["matching_loss"] + parts["correlation_loss"] + 0.3 * parts["word_loss"]
        return total, parts

    (_, parts), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(player.params)
    for name, value in parts.items():
        assert float(metrics[name]) == pytest.approx(float(value), rel=1e-4)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, player.params, grads)
    assert difference(made.params, expected) < 1e-5
    assert difference(made.params, player.params) > 1e-4
    assert difference(made.model_state, player.model_state) > 1e-4
    assert float(metrics["scale"]) == pytest.approx(1 / 0.07, rel=1e-5)


def test_the_scale_has_a_bound(step):
    player = new()
    params = {**player.params, "log_scale": jnp.float32(9.0)}
    _, metrics = step(player.replace(params=params), batch())
    assert float(metrics["scale"]) == pytest.approx(100, rel=1e-5)
