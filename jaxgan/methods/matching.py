"""Training of a text encoder and an image encoder until captions find their images."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan.losses import (
    barlow_twins,
    cosine_similarities,
    image_text_matching,
    word_prediction,
)
from jaxgan.state import Player, PyTree, create_player, init_variables, update_player
from jaxgan.step import Metrics

__all__ = ["init_matching", "make_matching_step"]

_FIRST_SCALE, _LARGEST_SCALE = 1 / 0.07, 100.0
_WORD_WEIGHT = 0.3


def init_matching(
    key: jax.Array,
    text_encoder: nn.Module,
    image_encoder: nn.Module,
    tx: optax.GradientTransformation,
    *,
    length: int,
    image_shape: tuple[int, int, int],
) -> Player:
    """Initialises both encoders and the scale of their similarities.

    Args:
      key: `jax.random.key(seed)`.
      text_encoder: module, int32 (B, length) -> (B, E), with a `vocabulary_size`.
      image_encoder: module, (B, H, W, C) -> ((B, E), features (B, F)), taking `train`.
      tx: the Optax optimiser of all that is learnt.
      length: of an encoded caption.
      image_shape: (H, W, C).

    Returns:
      A `Player` of params {"text", "image", "words", "log_scale"}, of which "words" are a dense
      layer from the features to the words; its model state is the image encoder's.
    """
    text_key, image_key = jax.random.split(key)
    images = jnp.zeros((1, *image_shape))
    text = init_variables(text_encoder, text_key, jnp.ones((1, length), jnp.int32))
    image = init_variables(image_encoder, image_key, images)
    _, features = jax.eval_shape(image_encoder.apply, image, images)
    # It begins at 0: no random number is drawn from the key.
    words = _word_layer(text_encoder).init(key, jnp.zeros(features.shape))
    params = {
        "text": text["params"],
        "image": image.pop("params"),
        "words": words["params"],
        "log_scale": jnp.asarray(math.log(_FIRST_SCALE), jnp.float32),
    }
    return create_player({"params": params, **image}, tx)


def make_matching_step(
    text_encoder: nn.Module, image_encoder: nn.Module, tx: optax.GradientTransformation
) -> Callable[[Player, PyTree], tuple[Player, Metrics]]:
    """Builds the pure step of matching images with captions.

        L = image_text_matching(scale cosine(images, captions)) + barlow_twins(images, captions)
            + 0.3 word_prediction(W features(images), captions), with the scale and W learnt

    Without the second term the embeddings of many things lie in few dimensions: enough to tell the
    images of a batch apart, too little to say which of two things is the red one. The third has
    the features see what seldom decides between captions, as what digit the second one is.

    Afterwards `text_encoder.apply({"params": player.params["text"]}, tokens)` are the embeddings.

    Args:
      text_encoder, image_encoder, tx: as in `init_matching`.

    Returns:
      (player, batch) -> (player, metrics), on batches {"image": (B, H, W, C) float, "tokens":
      int32 (B, length), "meaning": int32 (B,), optional, equal where captions say the same}.
      Captions of the same words are taken to say the same without it. `metrics` are float32
      scalars: `matching_loss`, `correlation_loss`, `word_loss`, `scale`, and the shares of images
      whose caption is found first, `image_to_text`, and of captions whose image is,
      `text_to_image`.

    Examples:
      >>> step = jax.jit(make_matching_step(text, image, tx), donate_argnums=0)  # doctest: +SKIP
      >>> player, metrics = step(player, batch)  # doctest: +SKIP

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", section 2.3; Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via
    Redundancy Reduction", equation 1; Joulin et al. 2016, "Learning Visual Features from Large
    Weakly Supervised Data", section 3.1.
    """

    def step(player: Player, batch: PyTree) -> tuple[Player, Metrics]:
        tokens = batch["tokens"]
        same = jnp.all(tokens[:, None] == tokens[None], axis=-1)
        if "meaning" in batch:
            same |= batch["meaning"][:, None] == batch["meaning"][None]

        def loss_fn(params):
            texts = text_encoder.apply({"params": params["text"]}, tokens, train=True)
            (images, features), model_state = image_encoder.apply(
                {"params": params["image"], **player.model_state},
                batch["image"],
                train=True,
                mutable=list(player.model_state),
            )
            scale = jnp.minimum(jnp.exp(params["log_scale"]), _LARGEST_SCALE)
            similarities = cosine_similarities(images, texts)
            loss = image_text_matching(scale * similarities, same)
            agreement = barlow_twins(images, texts)
            logits = _word_layer(text_encoder).apply({"params": params["words"]}, features)
            words = word_prediction(logits, tokens)
            metrics = {
                "matching_loss": loss,
                "correlation_loss": agreement,
                "word_loss": words,
                "scale": scale,
                **_shares(similarities, same),
            }
            return loss + agreement + _WORD_WEIGHT * words, (dict(model_state), metrics)

        grads, (model_state, metrics) = jax.grad(loss_fn, has_aux=True)(player.params)
        return update_player(player, grads, model_state, tx), metrics

    return step


def _word_layer(text_encoder: nn.Module) -> nn.Dense:
    return nn.Dense(text_encoder.vocabulary_size, kernel_init=nn.initializers.zeros)


def _shares(similarities: jax.Array, same: jax.Array) -> Metrics:
    """How many find their own, or what says the same, first."""

    def share(rows):
        return jnp.mean(jnp.take_along_axis(same, jnp.argmax(rows, 1)[:, None], 1))

    return {"image_to_text": share(similarities), "text_to_image": share(similarities.T)}
