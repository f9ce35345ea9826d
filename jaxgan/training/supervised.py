"""A game with few labels, and the classifier without a generator that it is measured beside."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import config_dict

from jaxgan import data
from jaxgan.losses import class_cross_entropy
from jaxgan.methods import Method
from jaxgan.state import Player, PyTree, create_player, init_variables, update_player
from jaxgan.step import Metrics, apply_train
from jaxgan.training import generation
from jaxgan.training.config import image_shape

__all__ = ["draw_labelled", "few_labels_game", "make_supervised_step"]


def draw_labelled(config: config_dict.ConfigDict, source, num_classes: int) -> dict[str, jax.Array]:
    """The images that keep their labels, {"image": uint8 (N, H, W, C), "label": int32 (N,)}."""
    arrays = data.load_arrays(source, image_size=config.image_size, channels=config.channels)
    options = {"num_classes": num_classes, "seed": config.seed}
    chosen = data.balanced_subset(arrays["label"], config.labels, **options)
    return {name: jnp.asarray(array[chosen]) for name, array in arrays.items()}


def few_labels_game(
    config: config_dict.ConfigDict,
    key: jax.Array,
    generator: nn.Module,
    discriminator: nn.Module,
    method: Method,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    labelled: dict[str, jax.Array],
) -> generation.Game:
    """The game of a discriminator that is the classifier, with a rival at its side.

    Of each batch `labelled_batch_size` images have labels; the rival, the same network in the
    state's `extra`, learns from those alone, by the same optimiser.

    Args:
      config: of the experiment.
      key: of all that is drawn.
      generator, discriminator, method, gen_tx, disc_tx: as for `generation.game_of`.
      labelled: from `draw_labelled`.
    """
    game_key, alone_key, labelled_key = jax.random.split(key, 3)
    players = generator, discriminator, method, gen_tx, disc_tx
    game = generation.game_of(config, game_key, *players, held_out=None)
    alone = init_variables(discriminator, alone_key, jnp.zeros((1, *image_shape(config))))
    learn_alone = make_supervised_step(discriminator, disc_tx)

    def step(state, batch):
        draw_key, alone_key = jax.random.split(jax.random.fold_in(labelled_key, state.step))
        count = config.labelled_batch_size * config.disc_steps
        index = jax.random.randint(draw_key, (count,), 0, config.labels)
        few = data.take_batch(labelled, index, generator.value_range)
        unknown = jnp.full(len(batch["image"]), -1, jnp.int32)
        both = {
            "image": jnp.concatenate([few["image"], batch["image"]]),
            "label": jnp.concatenate([few["label"], unknown]),
        }
        state, metrics = game.step(state, both)
        alone, learnt = learn_alone(state.extra, few, alone_key)
        metrics["class_loss_supervised"] = learnt["class_loss"]
        return state.replace(extra=alone), metrics

    def evaluate(state, batch, key):
        alone = method.evaluate(state.replace(discriminator=state.extra), batch, key)
        measured = method.evaluate(state, batch, key)
        return {**measured, "accuracy_supervised": alone["accuracy"]}

    state = game.state.replace(extra=create_player(alone, disc_tx))
    own = "1: each seed has labelled images of its own"
    return game._replace(state=state, step=step, evaluate=evaluate, one_seed=own)


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
