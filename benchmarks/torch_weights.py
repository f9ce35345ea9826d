"""jaxgan's weights and images, as PyTorch's networks take them."""

import collections

import numpy as np
import torch
import torch_networks
from parity import Start
from torch import nn

__all__ = ["inputs", "load"]

MIRRORED = ("dcgan28", "dcgan64", "mlp")
"""See `torch_networks`."""


def inputs(start: Start, step: int) -> tuple[torch.Tensor, ...]:
    """(images (B, C, H, W), latents), or the images of both domains."""
    mirror = start.game.name in MIRRORED
    images = [
        (np.flip(image, (1, 2)) if mirror else image).transpose(0, 3, 1, 2)
        for image in start.images(step)
    ]
    given = images if len(images) > 1 else [*images, start.latents[step]]
    return tuple(torch.tensor(np.ascontiguousarray(array)) for array in given)


def load(start: Start, players: tuple[nn.Module, nn.Module]) -> None:
    """Copies jaxgan's weights into (generator, discriminator), changed in place."""
    mirror = start.game.name in MIRRORED
    for name, player in zip(("generator", "discriminator"), players, strict=True):
        vectors = {
            path[-1].removesuffix("/kernel/u"): array
            for path, array in start.weights.items()
            if path[:2] == (name, "spectral") and path[-1].endswith("/u")
        }
        params = start.params(name)
        channels = 0 if name == "generator" else start.game.image_shape[2]
        _Loader(params, vectors, mirror, channels).network(player, ())
        if params:
            raise ValueError(f"no counterpart in PyTorch for {sorted(params)}")


class _Loader:
    """Layers of a kind stand in the same order on both sides.

    Attributes:
      params: path -> array; what has been copied is taken out.
      vectors: layer -> its spectral vector.
      mirror: whether the network is seen in a mirror.
      channels: of the feature map that a dense layer flattens.
    """

    def __init__(self, params, vectors, mirror: bool, channels: int) -> None:
        self.params, self.vectors = params, vectors
        self.mirror, self.channels = mirror, channels

    def network(self, module: nn.Module, path: tuple[str, ...], seen=None) -> None:
        """All of a module, which is called `path` in jaxgan."""
        seen = collections.Counter() if seen is None else seen
        if isinstance(getattr(module, "basis", None), nn.Parameter):
            self.copy(module.basis, self.params.pop((*path, "basis")).transpose(2, 0, 1))
        layers = list(module.named_children())
        for i, (name, layer) in enumerate(layers):
            flattened = i > 0 and isinstance(layers[i - 1][1], nn.Flatten)
            unflattened = i + 1 < len(layers) and isinstance(layers[i + 1][1], nn.Unflatten)
            if isinstance(module, nn.ModuleDict):
                self.network(layer, (*path, name))
            elif isinstance(layer, torch_networks.ResidualBlock):
                self.network(layer, (*path, f"ResidualBlock_{seen['ResidualBlock']}"))
                seen["ResidualBlock"] += 1
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                self.convolution(layer, path, name, seen)
            elif isinstance(layer, torch_networks.SpectralNorm):
                if isinstance(layer.layer, nn.Linear):
                    own = self.dense(layer.layer, path, seen)
                else:
                    own = self.convolution(layer.layer, path, name, seen)
                self.copy(layer.u, self.vectors[own][0])
            elif isinstance(layer, nn.Linear):
                shape = layers[i + 1][1].unflattened_size if unflattened else None
                self.dense(layer, path, seen, flattened, shape)
            elif isinstance(layer, nn.BatchNorm2d):
                norm = (*path, f"BatchNorm_{seen['BatchNorm']}", "norm")
                seen["BatchNorm"] += 1
                self.copy(layer.weight, self.params.pop((*norm, "scale")))
                self.copy(layer.bias, self.params.pop((*norm, "bias")))
            else:
                self.network(layer, path, seen)

    def convolution(self, layer, path, name: str, seen) -> str:
        """Of either kind; what jaxgan calls it."""
        transposed = isinstance(layer, nn.ConvTranspose2d)
        kind = "ConvTranspose" if transposed else "GroupedConv" if layer.groups > 1 else "Conv"
        kind = {"up": "UpConv", "down": "ConvDown"}.get(name, kind)
        own = f"{kind}_{seen[kind]}"
        inner = (*path, own)
        if (*inner, "kernel") not in self.params:
            inner = (*path, f"Upsample_{seen[kind]}", "ConvTranspose_0")
        seen[kind] += 1
        kernel = self.params.pop((*inner, "kernel"))
        # Flax's transposed convolution has PyTorch's kernel reversed.
        if self.mirror != transposed:
            kernel = np.flip(kernel, (0, 1))
        self.copy(layer.weight, kernel.transpose((2, 3, 0, 1) if transposed else (3, 2, 0, 1)))
        if layer.bias is not None:
            self.copy(layer.bias, self.params.pop((*inner, "bias")))
        self.channels = layer.out_channels
        return own

    def dense(self, layer, path, seen, flattened: bool = False, shape=None) -> str:
        """What jaxgan calls it."""
        own = f"Dense_{seen['Dense']}"
        own = own if (*path, own, "kernel") in self.params else "logits"
        seen["Dense"] += 1
        weight = self.params.pop((*path, own, "kernel")).T
        if flattened:
            weight = self.pixels(weight.T, self.channels).T
        if shape is not None:
            self.channels = shape[0]
            weight = self.pixels(weight, shape[0])
        self.copy(layer.weight, weight)
        if layer.bias is not None:
            bias = self.params.pop((*path, own, "bias"))
            self.copy(layer.bias, bias if shape is None else self.pixels(bias, shape[0]))
        return own

    def pixels(self, x: np.ndarray, channels: int) -> np.ndarray:
        """(H W C, ...) -> (C H W, ...)."""
        side = int((len(x) // channels) ** 0.5)
        x = x.reshape(side, side, channels, *x.shape[1:])
        x = np.flip(x, (0, 1)) if self.mirror else x
        return np.moveaxis(x, 2, 0).reshape(-1, *x.shape[3:])

    @torch.no_grad()
    def copy(self, to: torch.Tensor, array: np.ndarray) -> None:
        """Refuses another shape."""
        if tuple(to.shape) != array.shape:
            raise ValueError(f"got {array.shape}, expected {tuple(to.shape)}")
        to.copy_(torch.tensor(np.ascontiguousarray(array)))
