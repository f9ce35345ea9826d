"""What the metrics are given by `anchors.py` and `efficientnet.py`, and by the tests.

There others' code judges it. All of it is embedded, or drawn by NumPy from seeds, so that the tests
have the same inputs without PyTorch.
"""

from collections.abc import Mapping

import numpy as np

from jaxgan import data

__all__ = [
    "IMAGE_SIZES",
    "SOME",
    "SOME_FEATURES",
    "SOME_LOGITS",
    "SPLITS",
    "draw_emoji",
    "draw_images",
    "draw_logits",
    "feature_pairs",
    "inception_weights",
    "random_tensors",
    "tied_pairs",
]

IMAGE_SIZES = {
    "28x28 grey": (28, 28, 1),
    "96x64": (96, 64, 3),
    "299x299": (299, 299, 3),
    "340x512": (340, 512, 3),
}
SOME_FEATURES, SOME_LOGITS = slice(None, None, 16), slice(None, None, 8)
"""Which of an image's 2048 features and 1008 logits are kept; every branch has some of the first,
every feature has a share in the second."""

SOME = {
    **{"features": 16, "logits": 8, "gradient": 193},
    **{"stage 0": 97, "stage 1": 61, "stage 2": 43, "stage 3": 31},
}
"""Of what EfficientNet-Lite says of an image of 64 pixels, every how manieth number is kept."""

SPLITS = {"1": 1, "6": 6, "20": 20}
"""Of the inception score; they divide the 60 logits, since others cut what is left elsewhere."""


def draw_images(size: str) -> np.ndarray:
    """Two images (2, H, W, C) float32 in [0, 1] of one of `IMAGE_SIZES`."""
    rng = np.random.default_rng(list(size.encode()))
    return rng.random((2, *IMAGE_SIZES[size]), np.float32)


def inception_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Random weights of which every layer has an effect that neither fades nor explodes.

    Args:
      shapes: of the kernels in PyTorch's layout by the layers' names: (out, in, h, w) of a
        convolution, which has a batch norm after it, (out, in) of a dense layer.

    Returns:
      The tensors by PyTorch's names.
    """
    tensors = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(list(name.encode()))
        kernel = rng.standard_normal(shape, np.float32)

        def uniform(low, high, rng=rng, size=shape[0]):
            return rng.uniform(low, high, size).astype(np.float32)

        if len(shape) == 2:
            tensors[f"{name}.weight"] = kernel / np.float32(30)
            tensors[f"{name}.bias"] = uniform(-1, 1)
            continue
        tensors[f"{name}.conv.weight"] = kernel * np.float32((np.prod(shape[1:]) / 2) ** -0.5)
        tensors[f"{name}.bn.weight"] = uniform(0.5, 1.4)
        tensors[f"{name}.bn.bias"] = uniform(-0.3, 0.3)
        tensors[f"{name}.bn.running_mean"] = uniform(-0.3, 0.3)
        tensors[f"{name}.bn.running_var"] = uniform(0.5, 1.5)
        tensors[f"{name}.bn.num_batches_tracked"] = np.array(0)
    return tensors


def draw_emoji(count: int) -> np.ndarray:
    """Emoji (count, 64, 64, 3) float32 in [0, 1], from all over the test split."""
    return data.spread_images(data.emoji("test"), count, image_size=64, channels=3)


def random_tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Random weights of a network of convolutions, batch norms and dense layers.

    Args:
      shapes: of the tensors by PyTorch's names.

    Returns:
      The tensors, with effects that neither fade nor explode.
    """
    uniform = {"weight": (0.5, 1.4), "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3),
               "running_var": (0.5, 1.5)}  # fmt: skip
    tensors = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(list(name.encode()))
        if not shape:
            tensors[name] = np.array(0)
        elif len(shape) > 1:
            kernel = rng.standard_normal(shape, np.float32)
            tensors[name] = kernel * np.float32((np.prod(shape[1:]) / 2) ** -0.5)
        else:
            ends = uniform[name.rpartition(".")[2]]
            tensors[name] = rng.uniform(*ends, shape).astype(np.float32)
    return tensors


def feature_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of sets of features (N, D) and (M, D), float64 and without ties."""
    return {
        "4 dimensions": _pair(4, 200, 200, np.ones(4)),
        "64 dimensions": _pair(64, 300, 300, np.linspace(0.5, 2, 64)),
        "200 dimensions, 400 and 300 samples": _pair(200, 400, 300, np.linspace(0.1, 2, 200)),
        "variances from 1 to 1e-8": _pair(24, 300, 300, np.geomspace(1, 1e-4, 24)),
        "fewer samples than dimensions": _pair(64, 40, 40, np.ones(64)),
    }


def tied_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of sets of features of few values, on the edges of one another's balls."""
    rng = np.random.default_rng(0)
    return {
        "three values": (1.0 * rng.integers(0, 3, (300, 4)), 1.0 * rng.integers(1, 4, (150, 4))),
        "lattice in the plane": (
            1.0 * rng.integers(0, 9, (150, 2)),
            1.0 * rng.integers(4, 25, (120, 2)),
        ),
    }


def draw_logits() -> dict[str, np.ndarray]:
    """Logits (60, C) of classifiers that are hardly, somewhat and very sure."""
    rng = np.random.default_rng(0)
    return {
        "hardly sure": 0.1 * rng.standard_normal((60, 10)),
        "somewhat sure": 2 * rng.standard_normal((60, 1008)),
        "very sure": 50 * rng.standard_normal((60, 10)),
    }


def _pair(dim, real_count, fake_count, std):
    """Correlated features; the fakes are moved and spread otherwise."""
    rng = np.random.default_rng(dim)
    real, fake = rng.standard_normal((real_count, dim)), rng.standard_normal((fake_count, dim))
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return (real * std) @ rotation, 0.1 + (1.2 * fake * std) @ rotation
