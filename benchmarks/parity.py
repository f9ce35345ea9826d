"""That all sides train the same game: the same losses from the same weights, step by step."""

from collections.abc import Iterator

import flax_reference
import jax
import jax.numpy as jnp
import jaxgan_side
import numpy as np
import torch
import torch_reference
from flax.traverse_util import flatten_dict, unflatten_dict
from games import GAMES
from torch import nn

from jaxgan.latent import sample_latents
from jaxgan.state import TrainState

__all__ = ["STEPS", "TOLERANCE", "largest_difference"]

STEPS = 10

TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}
"""Of the losses, relative."""

LEARNING_RATE = 1e-5
"""Adam's first updates are the signs of the gradients, so that a rounding may turn a weight's
whole update. At the rate of training it grows to 1% of a float32 loss in ten steps; at this one the
losses still fall by a third or more, and roundings stay small."""


def largest_difference(name: str, dtype: str) -> dict[str, float]:
    """Trains every side from jaxgan's weights on the same images and latents.

    Args:
      name: of the game.
      dtype: "float32" or "bfloat16".

    Returns:
      For each other side, the largest relative difference of its losses from jaxgan's, over
      all steps and the three losses.
    """
    game = GAMES[name]
    state = jaxgan_side.init(name)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (STEPS, game.batch, *game.image_shape)).astype(np.float32)
    latents = [np.array(_latents(state, i, game.batch, game.latent_dim)) for i in range(STEPS)]
    rest = (state, images, latents)
    sides = {
        "flax": _flax_losses(name, dtype, *rest),
        "torch": _torch_losses(name, dtype, False, *rest),
        "torch_tuned": _torch_losses(name, dtype, True, *rest),
    }
    ours = np.array(list(_jaxgan_losses(name, dtype, state, images)))
    return {
        side: float(np.max(np.abs(np.array(list(losses)) / ours - 1)))
        for side, losses in sides.items()
    }


def _latents(state: TrainState, step: int, batch: int, latent_dim: int) -> jax.Array:
    """Those that jaxgan's step draws for itself."""
    key = jax.random.fold_in(jax.random.fold_in(state.key, step), 0)
    return sample_latents(jax.random.split(key)[0], batch, latent_dim)


def _jaxgan_losses(name, dtype, state, images) -> Iterator[list[float]]:
    step = jax.jit(jaxgan_side.make_step(name, dtype, LEARNING_RATE))
    for image in images:
        state, metrics = step(state, {"image": image})
        names = ("discriminator_loss_real", "discriminator_loss_fake", "generator_loss")
        yield [float(metrics[name]) for name in names]


def _flax_losses(name, dtype, state, images, latents) -> Iterator[list[float]]:
    gen, disc = (
        player.replace(params=unflatten_dict(_flax_params(ours.params)))
        for player, ours in zip(
            flax_reference.init(name, dtype, LEARNING_RATE),
            (state.generator, state.discriminator),
            strict=True,
        )
    )
    for image, latent in zip(images, latents, strict=True):
        gen, disc, losses = flax_reference.train_step(gen, disc, image, latent)
        yield [float(loss) for loss in losses]


def _torch_losses(name, dtype, tuned, state, images, latents) -> Iterator[list[float]]:
    players = torch_reference.make_players(name, tuned)
    channels = GAMES[name].image_shape[2]
    for player, ours in zip(players, (state.generator, state.discriminator), strict=True):
        _to_torch(ours.params, player, channels)
    step = torch_reference.make_step(name, dtype, tuned, *players, LEARNING_RATE)
    for image, latent in zip(images, latents, strict=True):
        image = _mirrored(image, (1, 2)).transpose(0, 3, 1, 2)
        losses = step(torch.tensor(image.copy()), torch.tensor(latent))
        yield [loss.item() for loss in losses]


def _flax_params(params) -> dict[tuple[str, str], jax.Array]:
    """jaxgan's parameters under the names that Flax gives to layers of its own."""
    flat = {}
    for path, value in flatten_dict(params).items():
        layer = path[0].replace("Upsample", "ConvTranspose")
        if layer == "logits":
            layer = f"Dense_{sum(path[0].startswith('Dense') for path in flat if 'kernel' in path)}"
        flat[layer, path[-1]] = jnp.copy(value)
    return flat


NAMES = {
    nn.Linear: "Dense",
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    nn.BatchNorm2d: "BatchNorm",
}


def _to_torch(params, player: nn.Sequential, channels: int) -> None:
    """Copies jaxgan's parameters; layers of a kind stand in the same order on both sides.

    Args:
      params: of jaxgan's network.
      player: its counterpart, changed in place.
      channels: of the images, which a discriminator starts from.
    """
    params = {path: np.asarray(value) for path, value in _flax_params(params).items()}
    seen = dict.fromkeys(NAMES.values(), 0)
    layers = list(player)
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
        if type(layer) not in NAMES:
            continue
        kind = NAMES[type(layer)]
        name = f"{kind}_{seen[kind]}"
        seen[kind] += 1
        weight = params.pop((name, "scale" if kind == "BatchNorm" else "kernel"))
        bias = params.pop((name, "bias"), None)
        if kind == "Conv":
            weight = _mirrored(weight, (0, 1)).transpose(3, 2, 0, 1)
        if kind == "ConvTranspose":
            # Flax's transposed convolution has PyTorch's kernel reversed; in the mirror, as it is.
            weight = weight.transpose(2, 3, 0, 1)
        if kind == "Dense":
            weight = weight.T
            if i and isinstance(layers[i - 1], nn.Flatten):
                weight = _pixels(weight.T, channels).T
            if isinstance(layers[i + 1], nn.Unflatten):
                channels = layers[i + 1].unflattened_size[0]
                weight = _pixels(weight, channels)
                bias = bias if bias is None else _pixels(bias, channels)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weight.copy()))
            if bias is not None:
                layer.bias.copy_(torch.tensor(bias.copy()))
    if params:
        raise ValueError(f"no counterpart in PyTorch for {sorted(params)}")


def _mirrored(x: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    return np.flip(x, axes)


def _pixels(x: np.ndarray, channels: int) -> np.ndarray:
    """(H W C, ...) -> (C H W, ...), mirrored."""
    side = int((len(x) // channels) ** 0.5)
    x = _mirrored(x.reshape(side, side, channels, -1), (0, 1)).transpose(2, 0, 1, 3)
    return x.reshape(len(x) * side * side, -1).squeeze()
