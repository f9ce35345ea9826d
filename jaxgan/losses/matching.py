"""Matching images with captions: each finds its own in the batch, and images tell its words."""

import jax
import jax.numpy as jnp
import optax

from jaxgan.errors import UserError

__all__ = ["barlow_twins", "cosine_similarities", "image_text_matching", "word_prediction"]

_EPSILON = 1e-4  # of a variance, so that an entry that never varies has no correlation


def cosine_similarities(image_embeddings: jax.Array, text_embeddings: jax.Array) -> jax.Array:
    """The cosine of the angle between every image and every caption.

        s_ij = <v_i, t_j> / (|v_i| |t_j|)

    Args:
      image_embeddings: (B, E) float, v.
      text_embeddings: (B, E) float, t; caption i is that of image i.

    Returns:
      float32 (B, B), images along the rows.

    Raises:
      UserError: embeddings that are not of one shape (B, E).

    Examples:
      >>> print(cosine_similarities(2 * jnp.eye(2), jnp.eye(2)))
      [[1. 0.]
       [0. 1.]]
    """
    _check_shapes(image_embeddings, text_embeddings)

    def unit(x):
        x = jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))
        return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, -1, keepdims=True), 1e-12))

    return unit(image_embeddings) @ unit(text_embeddings).T


def image_text_matching(logits: jax.Array, same: jax.Array | None = None) -> jax.Array:
    """Cross entropy of finding each image's caption, and each caption's image, in the batch.

        L = -1/2 E_i[log softmax_j(l_ij)_i + log softmax_j(l_ji)_i]

    Two examples whose captions say the same are no mistake to take for one another: such j are
    left out of the softmax of i.

    Args:
      logits: (B, B) float, images along the rows: `cosine_similarities` times a scale.
      same: (B, B) bool, symmetric, whether caption j is true of image i; what it says of i and i
        itself does not count. None where no two examples share a caption.

    Returns:
      float32 scalar in nats, at least 0; log B where all logits are alike.

    Raises:
      UserError: logits that are not square, or `same` of another shape.

    Examples:
      >>> print(f"{image_text_matching(jnp.zeros((4, 4))):.4f}")
      1.3863
      >>> print(f"{image_text_matching(jnp.zeros((2, 2)), jnp.ones((2, 2), bool)):.4f}")
      0.0000

    Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", section 2.3; van den Oord et al. 2018, "Representation Learning with Contrastive
    Predictive Coding", equation 4.
    """
    shape = jnp.shape(logits)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise UserError(f"logits: got shape {shape}, expected (B, B)")
    logits = jnp.asarray(logits, jnp.promote_types(jnp.result_type(logits), jnp.float32))
    if same is not None:
        if jnp.shape(same) != shape:
            raise UserError(f"same: got shape {jnp.shape(same)}, expected {shape}")
        logits = jnp.where(same & ~jnp.eye(shape[0], dtype=bool), -jnp.inf, logits)
    own = jnp.diagonal(logits)
    by_image = jax.nn.logsumexp(logits, axis=1) - own
    by_text = jax.nn.logsumexp(logits, axis=0) - own
    return 0.5 * (jnp.mean(by_image) + jnp.mean(by_text))


def barlow_twins(
    image_embeddings: jax.Array, text_embeddings: jax.Array, redundancy_weight: float = 0.02
) -> jax.Array:
    """Makes the entries of two embeddings agree one by one, and each say something of its own.

        L = 1/E [sum_i (1 - C_ii)^2 + w sum_(i != j) C_ij^2]

    C_ij is the correlation over the batch of entry i of the image embeddings with entry j of the
    text embeddings. Where examples are only to be told apart, a few entries do, and what is needed
    for the rare hard cases has no room.

    Args:
      image_embeddings: (B, E) float.
      text_embeddings: (B, E) float, row i of the same example.
      redundancy_weight: w.

    Returns:
      float32 scalar, 0 where C is the identity.

    Raises:
      UserError: embeddings that are not of one shape (B, E).

    Examples:
      >>> signs = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{barlow_twins(signs, 3 * signs):.4f} {barlow_twins(signs, -signs):.4f}")
      0.0000 3.9996

    Source: Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction",
    equation 1; there of two views of an image, and in the sum over the entries.
    """
    _check_shapes(image_embeddings, text_embeddings)

    def standardise(x):
        x = jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))
        x = x - jnp.mean(x, axis=0, keepdims=True)
        return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=0, keepdims=True) + _EPSILON)

    size, entries = jnp.shape(image_embeddings)
    correlations = standardise(image_embeddings).T @ standardise(text_embeddings) / size
    own = jnp.diagonal(correlations)
    others = jnp.sum(jnp.square(correlations)) - jnp.sum(jnp.square(own))
    return (jnp.sum(jnp.square(1 - own)) + redundancy_weight * others) / entries


def word_prediction(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    """Cross entropy of saying from an image which words its caption has, each word on its own.

        L = -E_i sum_w [y_iw log sigmoid(l_iw) + (1 - y_iw) log(1 - sigmoid(l_iw))]

    y_iw is 1 where word w is in caption i, else 0. Matching is done once captions are told apart,
    by whatever tells them apart most easily; this asks for the rest.

    Args:
      logits: (B, V) float, made of the images.
      tokens: int (B, L), the captions as numbers of words below V; 0 is padding and does not count.

    Returns:
      float32 scalar in nats, at least 0.

    Raises:
      UserError: shapes that do not belong together.

    Examples:
      >>> logits = jnp.array([[0.0, 20.0, -20.0]])
      >>> print(f"{word_prediction(logits, jnp.array([[1, 0]])):.4f}")
      0.0000
      >>> print(f"{word_prediction(0 * logits, jnp.array([[1, 0]])):.4f}")
      1.3863

    Source: Joulin et al. 2016, "Learning Visual Features from Large Weakly Supervised Data",
    section 3.1; there with a softmax.
    """
    shapes = jnp.shape(logits), jnp.shape(tokens)
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][0] != shapes[1][0]:
        raise UserError(
            f"tokens: got shape {shapes[1]} beside logits {shapes[0]}, expected (B, L) and (B, V)"
        )
    logits = jnp.asarray(logits, jnp.promote_types(jnp.result_type(logits), jnp.float32))
    rows = jnp.arange(len(tokens))[:, None]
    there = jnp.zeros_like(logits).at[rows, tokens].set(1.0)
    entropies = optax.sigmoid_binary_cross_entropy(logits, there)
    return jnp.mean(jnp.sum(entropies[:, 1:], axis=1))


def _check_shapes(image_embeddings: jax.Array, text_embeddings: jax.Array) -> None:
    shapes = jnp.shape(image_embeddings), jnp.shape(text_embeddings)
    if len(shapes[0]) != 2 or shapes[0] != shapes[1]:
        raise UserError(
            f"text_embeddings: got shape {shapes[1]} beside images {shapes[0]}, expected (B, E) of "
            "both"
        )
