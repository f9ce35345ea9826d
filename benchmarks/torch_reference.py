"""The games in PyTorch, as its users write them, and tuned.

Strided convolutions of 5x5 have one border more to pad on one side than on the other: PyTorch's
`padding=2` puts it first, SAME puts it last. So these networks are the others seen in a mirror,
which changes no loss and no time.
"""

import os
from collections.abc import Callable
from itertools import pairwise

import torch
from games import GAMES, LEARNING_RATE
from torch import nn
from torch.nn.functional import softplus
from torch.optim.swa_utils import AveragedModel

__all__ = ["average", "discriminator", "generator", "make_players", "make_step", "prepare"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def generator(name: str) -> nn.Sequential:
    """Latents (B, D) -> images (B, C, H, W)."""
    if name == "mlp":
        return nn.Sequential(
            nn.Linear(64, 256),
            nn.ReLU(True),
            nn.Linear(256, 256),
            nn.ReLU(True),
            nn.Linear(256, 28 * 28),
            nn.Unflatten(1, (1, 28, 28)),
            nn.Tanh(),
        )
    if name == "dcgan28":
        side, widths = 7, (128, 64, 32)
        up = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
        last = nn.Conv2d(32, 1, 5, padding=2)
    else:
        side, widths = 4, (512, 256, 128, 64)
        up = {"kernel_size": 4, "stride": 2, "padding": 1}
        last = nn.ConvTranspose2d(64, 3, **up)
    layers = [
        nn.Linear(100, widths[0] * side * side, bias=False),
        nn.Unflatten(1, (widths[0], side, side)),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(True),
    ]
    for inputs, outputs in pairwise(widths):
        layers += [
            nn.ConvTranspose2d(inputs, outputs, bias=False, **up),
            nn.BatchNorm2d(outputs),
            nn.ReLU(True),
        ]
    return nn.Sequential(*layers, last, nn.Tanh())


def discriminator(name: str) -> nn.Sequential:
    """Images (B, C, H, W) -> logits (B,)."""
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(28 * 28, 256),
            nn.LeakyReLU(0.2, True),
            nn.Linear(256, 256),
            nn.LeakyReLU(0.2, True),
            nn.Linear(256, 1),
            nn.Flatten(0),
        )
    if name == "dcgan28":
        widths, down = (1, 32, 64, 128), {"kernel_size": 5, "stride": 2, "padding": 2}
    else:
        widths, down = (3, 64, 128, 256, 512), {"kernel_size": 4, "stride": 2, "padding": 1}
    layers = [nn.Conv2d(widths[0], widths[1], **down), nn.LeakyReLU(0.2, True)]
    for inputs, outputs in pairwise(widths[1:]):
        layers += [
            nn.Conv2d(inputs, outputs, bias=False, **down),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * widths[-1], 1), nn.Flatten(0))


def make_players(name: str, tuned: bool) -> tuple[nn.Sequential, nn.Sequential]:
    """(generator, discriminator), their weights from N(0, 0.02) as DCGAN's are."""
    players = generator(name), discriminator(name)
    for player in players:
        for layer in player:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.02)
    if tuned:
        return tuple(player.to(memory_format=torch.channels_last) for player in players)
    return players


def make_step(
    name: str,
    dtype: str,
    tuned: bool,
    gen: nn.Sequential,
    disc: nn.Sequential,
    learning_rate: float = LEARNING_RATE,
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]:
    """(images, latents) -> the losses (real, fake, generator), detached.

    Tuned differs in three things: parameters and images are channels-last, which is the caller's,
    the generator's update computes no gradients of the discriminator's parameters, and Adam is the
    fused one.
    """
    adam = {"lr": learning_rate, "betas": (GAMES[name].b1, 0.999), "fused": tuned}
    gen_optimizer = torch.optim.Adam(gen.parameters(), **adam)
    disc_optimizer = torch.optim.Adam(disc.parameters(), **adam)

    def precision():
        return torch.autocast("cpu", DTYPES[dtype], enabled=dtype != "float32")

    def step(images, latents):
        disc_optimizer.zero_grad()
        with precision():
            fakes = gen(latents)
            real_loss = softplus(-disc(images).float()).mean()
        real_loss.backward()
        with precision():
            fake_loss = softplus(disc(fakes.detach()).float()).mean()
        fake_loss.backward()
        disc_optimizer.step()

        gen_optimizer.zero_grad()
        if tuned:
            disc.requires_grad_(False)
        with precision():
            gen_loss = softplus(-disc(fakes).float()).mean()
        gen_loss.backward()
        if tuned:
            disc.requires_grad_(True)
        gen_optimizer.step()
        return real_loss.detach(), fake_loss.detach(), gen_loss.detach()

    return step


def average(gen: nn.Sequential, decay: float) -> AveragedModel:
    """The average of a generator's parameters from now on, by the rule of jaxgan's train step.

    After each step `update_parameters(gen)` is to be called; step t, from 0 on, keeps
    min(decay, (1 + t) / (10 + t)) of the average.
    """

    def keep(averaged, trained, count):
        # Before step 0 the start itself has been counted.
        kept = min(decay, int(count) / (9 + int(count)))
        return kept * averaged + (1 - kept) * trained

    averaged = AveragedModel(gen, avg_fn=keep)
    averaged.update_parameters(gen)  # which takes the start as it is
    return averaged


def prepare(name: str, dtype: str, tuned: bool) -> tuple[Callable, Callable]:
    """(does one step, waits for it)."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    game = GAMES[name]
    height, width, channels = game.image_shape
    players = make_players(name, tuned)
    images = torch.rand(game.batch, channels, height, width) * 2 - 1
    if tuned:
        images = images.to(memory_format=torch.channels_last)
    step = make_step(name, dtype, tuned, *players)
    return lambda: step(images, torch.randn(game.batch, game.latent_dim)), lambda: None
