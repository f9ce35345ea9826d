"""The train step of `classifier.py`, and its accuracy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import data, metrics


def make_step(module, tx, arrays, shift):
    """(state, indices) -> state, one step on the training images of these numbers."""

    def move(image, corner):
        padded = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
        return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), image.shape)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, indices):
        variables = state["variables"]
        key, shift_key = jax.random.split(jax.random.wrap_key_data(state["key"]))
        batch = data.take_batch(arrays, indices, (0.0, 1.0))
        corners = jax.random.randint(shift_key, (len(indices), 2), 0, 2 * shift + 1)
        images = jax.vmap(move)(batch["image"], corners)

        def loss(params):
            (_, logits), updates = module.apply(
                {**variables, "params": params}, images, train=True, mutable="batch_stats"
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            return jnp.mean(losses), updates

        gradient, updates = jax.grad(loss, has_aux=True)(variables["params"])
        changes, opt_state = tx.update(gradient, state["opt_state"])
        params = optax.apply_updates(variables["params"], changes)
        return {
            "variables": {"params": params, **updates},
            "opt_state": opt_state,
            "key": jax.random.key_data(key),
        }

    return step


def measure_accuracy(module, variables, arrays, size=500):
    """The share of images that the classifier puts in their class."""
    classify = jax.jit(lambda images: module.apply(variables, images)[1])
    blocks = np.split(arrays["image"], range(size, len(arrays["image"]), size))
    logits = np.concatenate([classify(block.astype(np.float32) / 255) for block in blocks])
    return metrics.accuracy(metrics.count_right(logits, arrays["label"], module.num_classes))
