"""Inception-v3 as FID and the Inception Score use it: the TensorFlow graph of 2015-12-05.

It differs from the Inception-v3 of model libraries: 1008 classes, averages that leave out the
padding, a maximum in the last block's pooling branch. Names are those of the PyTorch port, whose
weight file is read.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.metrics.checks import check_images
from jaxgan.metrics.inception_weights import fetch_weights
from jaxgan.metrics.network import Network
from jaxgan.metrics.torch_file import convert_weights, read_torch_file

__all__ = ["InceptionV3", "load_inception", "prepare_images"]

SIDE = 299
# Accelerators would else round to bfloat16 or TF32, which shows in the metrics.
_PRECISION = jax.lax.Precision.HIGHEST


class InceptionV3(nn.Module):
    """Images (B, H, W, 3) in [-1, 1] -> (features (B, 2048), logits (B, 1008)).

    The features are the averages of the last feature maps. Batch norm uses stored statistics;
    there is no training mode. The scores are defined for H = W = 299; from 75 on any size runs.

    Source: Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision",
    section 6; Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium", for its use.
    """

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, 3) float32 in [-1, 1] -> (features (B, 2048), logits (B, 1008))."""
        x = ConvNorm(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(images)
        x = ConvNorm(32, (3, 3), 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = ConvNorm(64, (3, 3), name="Conv2d_2b_3x3")(x)
        x = _halve(x)
        x = ConvNorm(80, (1, 1), name="Conv2d_3b_1x1")(x)
        x = ConvNorm(192, (3, 3), 1, "VALID", name="Conv2d_4a_3x3")(x)
        x = _halve(x)
        x = InceptionA(32, name="Mixed_5b")(x)
        x = InceptionA(64, name="Mixed_5c")(x)
        x = InceptionA(64, name="Mixed_5d")(x)
        x = InceptionB(name="Mixed_6a")(x)
        x = InceptionC(128, name="Mixed_6b")(x)
        x = InceptionC(160, name="Mixed_6c")(x)
        x = InceptionC(160, name="Mixed_6d")(x)
        x = InceptionC(192, name="Mixed_6e")(x)
        x = InceptionD(name="Mixed_7a")(x)
        x = InceptionE(_average, name="Mixed_7b")(x)
        x = InceptionE(_maximum, name="Mixed_7c")(x)
        features = jnp.mean(x, axis=(1, 2))
        return features, nn.Dense(1008, precision=_PRECISION, name="fc")(features)


def load_inception(path: str | os.PathLike | None = None) -> Network:
    """Loads the network as a function of images.

    Args:
      path: the file pt_inception-2015-12-05-6726825d.pth; None fetches it once to
        ~/.cache/jaxgan.

    Returns:
      A jitted function from images in [0, 1], (B, H, W, C) float with C 1 or 3, to {"features":
      (B, 2048), "logits": (B, 1008)}, float32. The images are prepared by `prepare_images`. The
      logits include the biases, which the first code of the Inception Score left out. Its
      attributes `name` ("inception") and `version` (the beginning of the file's SHA-256) tell
      metrics of different weights apart.

    Raises:
      UserError: the file cannot be fetched or read, or is of another network; when called, as
        `prepare_images`.

    Examples:
      >>> inception = load_inception("pt_inception-2015-12-05-6726825d.pth")  # doctest: +SKIP
      >>> inception(jnp.zeros((4, 28, 28, 1)))["features"].shape  # doctest: +SKIP
      (4, 2048)

    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
    Nash Equilibrium", section 2, for the features; Salimans et al. 2016, "Improved Techniques
    for Training GANs", section 4, for the logits.
    """
    path = fetch_weights() if path is None else path
    tensors = read_torch_file(path)
    images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    like = jax.eval_shape(InceptionV3().init, jax.random.key(0), images)
    # An argument and not a constant of the compiled function, which would hold another copy.
    weights = jax.device_put(convert_weights(tensors, like))
    network = cast(Network, functools.partial(_apply, weights))
    network.name = "inception"
    network.version = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]
    return network


@jax.jit
def _apply(variables, images):
    features, logits = InceptionV3().apply(variables, prepare_images(images))
    return {"features": features, "logits": logits}


def prepare_images(images: jax.Array) -> jax.Array:
    """Brings images to the network's size, channels and range.

        2 resize(x, 299, 299) - 1,  grey repeated to three channels

    The resize is bilinear between pixel centres, without a low-pass filter where it shrinks:
    output pixel i lies at (i + 1/2) H / 299 - 1/2 of the input, held inside the image. That is
    pytorch-fid's `F.interpolate(mode="bilinear", align_corners=False)`. The first FID code, in
    TensorFlow 1, has output pixel i at i H / 299, which shifts images of another size than 299 by
    (1 - H / 299) / 2 of their pixels; scores differ between the two.

    Args:
      images: (B, H, W, C) float in [0, 1], C 1 or 3.

    Returns:
      (B, 299, 299, 3) float32 in [-1, 1].

    Raises:
      UserError: another shape, or images that are not floating point.

    Examples:
      >>> prepare_images(jnp.ones((2, 28, 28, 1))).shape
      (2, 299, 299, 3)

    Source: Parmar et al. 2022, "On Aliased Resizing and Surprising Subtleties in GAN
    Evaluation", for what the choice of a resize does to FID.
    """
    images = check_images(images)
    rows, columns = _interpolation(images.shape[1]), _interpolation(images.shape[2])
    images = jnp.einsum("ih,jw,bhwc->bijc", rows, columns, images, precision=_PRECISION)
    return 2 * jnp.broadcast_to(images, (*images.shape[:3], 3)) - 1


def _interpolation(size):
    """The weights (299, size) of linear interpolation; in float64, for float32 moves the pixels."""
    position = np.clip((np.arange(SIDE) + 0.5) * size / SIDE - 0.5, 0, size - 1)
    distance = np.abs(position[:, None] - np.arange(size))
    return np.maximum(0, 1 - distance).astype(np.float32)


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm with epsilon 1e-3, ReLU."""

    features: int
    kernel_size: tuple[int, int]
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H', W', features)."""
        x = nn.Conv(
            self.features,
            self.kernel_size,
            self.stride,
            self.padding,
            use_bias=False,
            precision=_PRECISION,
            name="conv",
        )(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


class InceptionA(nn.Module):
    """Kernels of 1, 5 and twice 3, and averages: (B, H, W, C) -> (B, H, W, 224 + P)."""

    pool_features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, 224 + pool_features)."""
        one = ConvNorm(64, (1, 1), name="branch1x1")(x)
        five = ConvNorm(48, (1, 1), name="branch5x5_1")(x)
        five = ConvNorm(64, (5, 5), name="branch5x5_2")(five)
        double = ConvNorm(64, (1, 1), name="branch3x3dbl_1")(x)
        double = ConvNorm(96, (3, 3), name="branch3x3dbl_2")(double)
        double = ConvNorm(96, (3, 3), name="branch3x3dbl_3")(double)
        pool = ConvNorm(self.pool_features, (1, 1), name="branch_pool")(_average(x))
        return jnp.concatenate([one, five, double, pool], axis=-1)


class InceptionB(nn.Module):
    """Halves the side of 35: (B, H, W, C) -> (B, H', W', C + 480)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, (H - 1) // 2, (W - 1) // 2, C + 480)."""
        three = ConvNorm(384, (3, 3), 2, "VALID", name="branch3x3")(x)
        double = ConvNorm(64, (1, 1), name="branch3x3dbl_1")(x)
        double = ConvNorm(96, (3, 3), name="branch3x3dbl_2")(double)
        double = ConvNorm(96, (3, 3), 2, "VALID", name="branch3x3dbl_3")(double)
        return jnp.concatenate([three, double, _halve(x)], axis=-1)


class InceptionC(nn.Module):
    """Kernels of 7, each as a row and a column, once and twice: (B, H, W, C) -> (B, H, W, 768)."""

    channels_7x7: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, 768)."""
        c, row, column = self.channels_7x7, (1, 7), (7, 1)
        one = ConvNorm(192, (1, 1), name="branch1x1")(x)
        seven = ConvNorm(c, (1, 1), name="branch7x7_1")(x)
        seven = ConvNorm(c, row, name="branch7x7_2")(seven)
        seven = ConvNorm(192, column, name="branch7x7_3")(seven)
        double = ConvNorm(c, (1, 1), name="branch7x7dbl_1")(x)
        double = ConvNorm(c, column, name="branch7x7dbl_2")(double)
        double = ConvNorm(c, row, name="branch7x7dbl_3")(double)
        double = ConvNorm(c, column, name="branch7x7dbl_4")(double)
        double = ConvNorm(192, row, name="branch7x7dbl_5")(double)
        pool = ConvNorm(192, (1, 1), name="branch_pool")(_average(x))
        return jnp.concatenate([one, seven, double, pool], axis=-1)


class InceptionD(nn.Module):
    """Halves the side of 17: (B, H, W, C) -> (B, H', W', C + 512)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, (H - 1) // 2, (W - 1) // 2, C + 512)."""
        three = ConvNorm(192, (1, 1), name="branch3x3_1")(x)
        three = ConvNorm(320, (3, 3), 2, "VALID", name="branch3x3_2")(three)
        seven = ConvNorm(192, (1, 1), name="branch7x7x3_1")(x)
        seven = ConvNorm(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = ConvNorm(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = ConvNorm(192, (3, 3), 2, "VALID", name="branch7x7x3_4")(seven)
        return jnp.concatenate([three, seven, _halve(x)], axis=-1)


class InceptionE(nn.Module):
    """Kernels of 3 that end in a row beside a column: (B, H, W, C) -> (B, H, W, 2048)."""

    pool: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, 2048)."""
        row, column = (1, 3), (3, 1)
        one = ConvNorm(320, (1, 1), name="branch1x1")(x)
        three = ConvNorm(384, (1, 1), name="branch3x3_1")(x)
        double = ConvNorm(448, (1, 1), name="branch3x3dbl_1")(x)
        double = ConvNorm(384, (3, 3), name="branch3x3dbl_2")(double)
        branches = [
            one,
            ConvNorm(384, row, name="branch3x3_2a")(three),
            ConvNorm(384, column, name="branch3x3_2b")(three),
            ConvNorm(384, row, name="branch3x3dbl_3a")(double),
            ConvNorm(384, column, name="branch3x3dbl_3b")(double),
            ConvNorm(192, (1, 1), name="branch_pool")(self.pool(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


def _halve(x):
    return nn.max_pool(x, (3, 3), (2, 2), "VALID")


def _average(x):
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _maximum(x):
    return nn.max_pool(x, (3, 3), (1, 1), "SAME")
