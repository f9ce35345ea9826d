"""The classifier without a generator, beside which a semi-supervised one is measured."""

from collections.abc import Callable

import flax.linen as nn
import jax
import optax

from jaxgan.losses import class_cross_entropy
from jaxgan.state import Player, PyTree, update_player
from jaxgan.step import Metrics, apply_train

__all__ = ["make_supervised_step"]


def make_supervised_step(
    classifier: nn.Module, tx: optax.GradientTransformation
) -> Callable[[Player, PyTree, jax.Array], tuple[Player, Metrics]]:
    """Builds the step of a network that learns from labelled images alone.

        L = E[-log p(y | x)]

    Args:
      classifier: module (B, H, W, C) -> class logits (B, K), taking `train`, such as the
        discriminator of `methods.sgan`.
      tx: its Optax optimiser.

    Returns:
      (player, batch, key) -> (player, {"class_loss"}), on batches {"image": (B, H, W, C) float32,
      "label": (B,) int32, -1 where it is not known}; the key is for dropout.

    Raises:
      UserError: while tracing, as `losses.class_cross_entropy`.

    Examples:
      >>> step = jax.jit(make_supervised_step(discriminator, tx))  # doctest: +SKIP
      >>> player, metrics = step(player, batch, key)  # doctest: +SKIP
    """

    def step(player: Player, batch: PyTree, key: jax.Array) -> tuple[Player, Metrics]:
        def loss_of(params):
            variables = {"params": params, **player.model_state}
            logits, model_state = apply_train(classifier, variables, batch["image"], key=key)
            return class_cross_entropy(logits, batch["label"]), model_state

        (loss, model_state), grads = jax.value_and_grad(loss_of, has_aux=True)(player.params)
        return update_player(player, grads, model_state, tx), {"class_loss": loss}

    return step
