"""The networks of the games in PyTorch, as its users write them.

Strided convolutions of 5x5 have one border more to pad on one side than on the other: PyTorch's
`padding=2` puts it first, SAME puts it last. So the DCGANs are the others seen in a mirror, which
changes no loss and no time.
"""

import math
from itertools import pairwise

import torch
from games import Game
from torch import nn
from torch.nn import functional

__all__ = ["SpectralNorm", "discriminator", "generator"]


def generator(game: Game) -> nn.Module:
    """Latents (B, D) -> images (B, C, H, W); of CycleGAN images -> images."""
    (height, _, channels), widths = game.image_shape, game.widths
    if game.name == "cyclegan":
        return cyclegan_generator(channels, widths[0], game.blocks)
    if game.name == "r3gan":
        return R3GANGenerator(game.latent_dim, height >> (len(widths) - 1), widths, game, channels)
    if game.name == "sn_resnet":
        return sn_resnet_generator(game.latent_dim, height >> len(widths), widths, channels)
    if game.name == "mlp":
        return nn.Sequential(
            nn.Linear(game.latent_dim, widths[0]),
            nn.ReLU(True),
            nn.Linear(*widths),
            nn.ReLU(True),
            nn.Linear(widths[1], math.prod(game.image_shape)),
            nn.Unflatten(1, (channels, height, height)),
            nn.Tanh(),
        )
    if game.name == "dcgan28":
        side = height >> (len(widths) - 1)
        up = {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
        last = nn.Conv2d(widths[-1], channels, 5, padding=2)
    else:
        side = height >> len(widths)
        up = {"kernel_size": 4, "stride": 2, "padding": 1}
        last = nn.ConvTranspose2d(widths[-1], channels, **up)
    layers = [
        nn.Linear(game.latent_dim, widths[0] * side * side, bias=False),
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


def discriminator(game: Game) -> nn.Module:
    """Images (B, C, H, W) -> logits (B,); of CycleGAN (B, 1, h, w)."""
    (height, _, channels), widths = game.image_shape, game.widths
    if game.name == "cyclegan":
        return patch_discriminator(channels, widths[0], 4 if height >= 70 else 3)
    if game.name == "r3gan":
        return R3GANDiscriminator(height >> (len(widths) - 1), widths[::-1], game, channels)
    if game.name == "sn_resnet":
        return SNResNetDiscriminator(widths[0] // 2, channels)
    if game.name == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(game.image_shape), widths[0]),
            nn.LeakyReLU(0.2, True),
            nn.Linear(*widths),
            nn.LeakyReLU(0.2, True),
            nn.Linear(widths[1], 1),
            nn.Flatten(0),
        )
    widths = widths[::-1]
    if game.name == "dcgan28":
        down = {"kernel_size": 5, "stride": 2, "padding": 2}
    else:
        down = {"kernel_size": 4, "stride": 2, "padding": 1}
    layers = [nn.Conv2d(channels, widths[0], **down), nn.LeakyReLU(0.2, True)]
    for inputs, outputs in pairwise(widths):
        layers += [
            nn.Conv2d(inputs, outputs, bias=False, **down),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.2, True),
        ]
    side = -(-height // 2 ** len(widths))
    last = nn.Linear(side * side * widths[-1], 1)
    return nn.Sequential(*layers, nn.Flatten(), last, nn.Flatten(0))


# CycleGAN.


def _normed(layer: nn.Module, channels: int, activation: nn.Module | None = None) -> list:
    # The bias, which the norm subtracts again, is the paper's.
    return [layer, nn.InstanceNorm2d(channels), *([activation] if activation else [])]


class CycleGANBlock(nn.Module):
    """x + norm(3x3 (ReLU (norm (3x3 x)))), with reflected borders."""

    def __init__(self, width: int) -> None:
        super().__init__()
        options = {"padding": 1, "padding_mode": "reflect"}
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(width, width, 3, **options), width, nn.ReLU(True)),
            *_normed(nn.Conv2d(width, width, 3, **options), width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        return x + self.layers(x)


def cyclegan_generator(channels: int, width: int, blocks: int) -> nn.Sequential:
    """Images (B, C, H, W) -> images."""
    wide = {"kernel_size": 7, "padding": 3, "padding_mode": "reflect"}
    half = {"kernel_size": 3, "stride": 2, "padding": 1}
    layers = _normed(nn.Conv2d(channels, width, **wide), width, nn.ReLU(True))
    for inputs in (width, 2 * width):
        outputs = 2 * inputs
        layers += _normed(nn.Conv2d(inputs, outputs, **half), outputs, nn.ReLU(True))
    layers += [CycleGANBlock(4 * width) for _ in range(blocks)]
    for inputs in (4 * width, 2 * width):
        outputs = inputs // 2
        double = nn.ConvTranspose2d(inputs, outputs, output_padding=1, **half)
        layers += _normed(double, outputs, nn.ReLU(True))
    return nn.Sequential(*layers, nn.Conv2d(width, channels, **wide), nn.Tanh())


def patch_discriminator(channels: int, width: int, depth: int) -> nn.Sequential:
    """Images (B, C, H, W) -> logits (B, 1, h, w), with `depth` feature maps."""
    layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for i in range(1, depth):
        stride = 2 if i < depth - 1 else 1
        outputs = 2 * width
        layers += _normed(nn.Conv2d(width, outputs, 4, stride, 1), outputs, nn.LeakyReLU(0.2, True))
        width = outputs
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))


# SN-ResNet.


class UpBlock(nn.Module):
    """norm, ReLU, up, 3x3, norm, ReLU, 3x3; beside it up and 1x1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.up = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.beside = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C', 2 H, 2 W)."""
        y = functional.interpolate(torch.relu(self.norm1(x)), scale_factor=2)
        y = self.conv(torch.relu(self.norm2(self.up(y))))
        return y + functional.interpolate(self.beside(x), scale_factor=2)


def sn_resnet_generator(
    latent_dim: int, side: int, widths: tuple[int, ...], channels: int
) -> nn.Sequential:
    """Latents (B, D) -> images (B, C, H, W)."""
    return nn.Sequential(
        nn.Linear(latent_dim, side * side * widths[0]),
        nn.Unflatten(1, (widths[0], side, side)),
        *(UpBlock(inputs, outputs) for inputs, outputs in pairwise((widths[0], *widths))),
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(True),
        nn.Conv2d(widths[-1], channels, 3, padding=1),
        nn.Tanh(),
    )


class SpectralNorm(nn.Module):
    """A layer whose weight is divided by its largest singular value, by one power iteration a pass.

    PyTorch's own begins an iteration with the other of the two vectors, and carries it on in the
    generator's update as well; this one is algorithm 1 of the paper, and `keep = False` leaves the
    vector as it was.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer, self.keep = layer, True
        self.register_buffer("u", torch.randn(len(layer.weight)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the layer's."""
        weight, layer = self.layer.weight, self.layer
        # Outputs x inputs; sums in float32, also under autocast.
        with torch.autocast(x.device.type, enabled=False):
            matrix = weight.flatten(1)
            with torch.no_grad():
                v = functional.normalize(matrix.mT @ self.u, dim=0, eps=1e-12)
                u = functional.normalize(matrix @ v, dim=0, eps=1e-12)
                if self.keep:
                    self.u.copy_(u)
            weight = weight / torch.dot(u, matrix @ v)
        if isinstance(layer, nn.Linear):
            return functional.linear(x, weight, layer.bias)
        return functional.conv2d(x, weight, layer.bias, layer.stride, layer.padding)


class DownBlock(nn.Module):
    """ReLU (but of images), 3x3, ReLU, 3x3 and, if it halves the side, the mean of 2x2."""

    def __init__(self, inputs: int, outputs: int, halves: bool, first: bool = False) -> None:
        super().__init__()
        self.halves, self.first = halves, first
        self.conv1 = SpectralNorm(nn.Conv2d(inputs, outputs, 3, padding=1))
        conv2 = SpectralNorm(nn.Conv2d(outputs, outputs, 3, padding=1))
        if halves:
            self.beside = SpectralNorm(nn.Conv2d(inputs, outputs, 1))
            self.down = conv2
        else:
            self.conv2 = conv2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C', H, W), or half of the side."""
        y = torch.relu(self.conv1(x if self.first else torch.relu(x)))
        if not self.halves:
            return x + self.conv2(y)
        # A 1x1 convolution of means is the mean of 1x1 convolutions.
        return functional.avg_pool2d(self.down(y), 2) + self.beside(functional.avg_pool2d(x, 2))


class SNResNetDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B,)."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            DownBlock(channels, width, halves=True, first=True),
            DownBlock(width, width, halves=True),
            DownBlock(width, width, halves=False),
            DownBlock(width, width, halves=False),
        )
        self.logits = SpectralNorm(nn.Linear(width, 1, bias=False))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) -> logits (B,)."""
        features = torch.relu(self.blocks(images)).float().sum((2, 3))
        with torch.autocast(images.device.type, enabled=False):
            return self.logits(features)[:, 0]


# R3GAN.


class ResidualBlock(nn.Module):
    """x + 1x1 (LeakyReLU (3x3 in groups of 16 (LeakyReLU (1x1 (x))))), twice as wide within."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = 2 * width
        self.layers = nn.Sequential(
            nn.Conv2d(width, inner, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner // 16),
            nn.LeakyReLU(0.2),
            nn.Conv2d(inner, width, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        return x + self.layers(x)


class Resample(nn.Module):
    """Doubles or halves the side by the filter [1, 3, 3, 1] of either axis, zeros outside."""

    def __init__(self, width: int, doubles: bool) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if doubles else 8)
        self.register_buffer("filter", torch.outer(taps, taps).repeat(width, 1, 1, 1))
        self.function = functional.conv_transpose2d if doubles else functional.conv2d

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W), or half of the sides."""
        return self.function(x, self.filter, stride=2, padding=1, groups=len(self.filter))


def _r3gan_layers(widths: tuple[int, ...], blocks: int, up: bool) -> list[nn.Module]:
    layers = [ResidualBlock(widths[0]) for _ in range(blocks)]
    for inputs, outputs in pairwise(widths):
        fit = [] if inputs == outputs else [nn.Conv2d(inputs, outputs, 1, bias=False)]
        layers += [*fit, Resample(outputs, True)] if up else [Resample(inputs, False), *fit]
        layers += [ResidualBlock(outputs) for _ in range(blocks)]
    return layers


class R3GANGenerator(nn.Module):
    """Latents (B, D) -> images (B, C, H, W)."""

    def __init__(self, latent_dim: int, side: int, widths, game: Game, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(widths[0], side, side))
        self.weights = nn.Linear(latent_dim, widths[0], bias=False)
        self.layers = nn.Sequential(
            *_r3gan_layers(widths, game.blocks, up=True),
            nn.Conv2d(widths[-1], channels, 1, bias=False),
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, D) -> images (B, C, H, W)."""
        weights = self.weights(latents)[:, :, None, None]
        return self.layers(weights * self.basis.to(weights.dtype)).float()


class R3GANDiscriminator(nn.Module):
    """Images (B, C, H, W) -> logits (B,)."""

    def __init__(self, side: int, widths, game: Game, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, widths[0], 1, bias=False),
            *_r3gan_layers(widths, game.blocks, up=False),
        )
        self.basis = nn.Parameter(torch.randn(widths[-1], side, side) / side)
        self.logits = nn.Linear(widths[-1], 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) -> logits (B,)."""
        x = self.layers(images)
        return self.logits((x * self.basis.to(x.dtype)).sum((2, 3)))[:, 0].float()
