"""A small classifier whose last hidden layer gives features: LeNet, trained on MNIST.

Features of photographs, as Inception's, say little of digits; these say what tells digits apart.
`experiments/classifier.py` trained the shipped weights, and trains others, for other data.
"""

import functools
import hashlib
import importlib.resources
import os
from pathlib import Path
from typing import Any, Protocol, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import serialization
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.network import Network

__all__ = ["VERSION", "LeNet", "load_lenet", "pack_lenet"]

PyTree = Any

# Of the shipped weights. Metrics by two versions cannot be compared.
VERSION = 1
# Accelerators would else round to bfloat16 or TF32, which shows in the metrics.
_PRECISION = jax.lax.Precision.HIGHEST


class LeNet(nn.Module):
    """Images (B, H, W, C) in [0, 1] -> (features (B, 84), logits (B, num_classes)).

    LeNet-5's plan, convolutions that halve the side, a hidden layer of 84, a linear classifier, in
    today's terms: strides in place of subsampling, batch norm, ReLU.

    Attributes:
      num_classes: of the data.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section
    II.B.
    """

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Images (B, H, W, C) float32 in [0, 1] -> (features (B, 84), logits (B, K))."""
        x = 2 * images - 1
        for channels in (32, 64, 64):
            x = nn.Conv(channels, (4, 4), (2, 2), use_bias=False, precision=_PRECISION)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        x = nn.Dense(84, use_bias=False, precision=_PRECISION)(x.reshape(len(x), -1))
        features = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return features, nn.Dense(self.num_classes, precision=_PRECISION)(features)


class Classifier(Network, Protocol):
    """A `Network` of images of one shape, which tells so many classes apart."""

    image_shape: tuple[int, int, int]
    num_classes: int


def load_lenet(path: str | os.PathLike | None = None) -> Classifier:
    """Loads the network as a function of images.

    Args:
      path: a file of `experiments/classifier.py`; None is the shipped one, of MNIST.

    Returns:
      A jitted function from images in [0, 1], (B, H, W, C) float of the size and channels that
      it was trained on, to {"features": (B, 84), "logits": (B, num_classes)}, float32. Its
      attributes are `name` ("lenet", or the file's name without its ending), `version` (the
      shipped weights' number, or the beginning of the file's SHA-256), `image_shape` and
      `num_classes`.

    Raises:
      UserError: the file cannot be read or holds something else; when called, images of another
        shape or not floating point.

    Examples:
      >>> lenet = load_lenet()
      >>> lenet(jnp.zeros((4, 28, 28, 1)))["features"].shape, lenet.name, lenet.version
      ((4, 84), 'lenet', '1')
    """
    if path is None:
        name, version = "lenet", str(VERSION)
        weights = importlib.resources.files("jaxgan.metrics") / "weights"
        packed = (weights / f"lenet_mnist_v{VERSION}.msgpack").read_bytes()
    else:
        try:
            packed = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"weights: cannot read {path}: {error.strerror}") from None
        name, version = Path(path).stem, hashlib.sha256(packed).hexdigest()[:8]
    variables, image_shape, num_classes = _unpack(packed, path)
    module = LeNet(num_classes)

    def classify(images: ArrayLike) -> dict[str, jax.Array]:
        shape, dtype = jnp.shape(images), jnp.result_type(images)
        if len(shape) != 4 or shape[1:] != image_shape or not shape[0]:
            expected = ", ".join(map(str, image_shape))
            raise UserError(f"images: got shape {shape}, expected (B, {expected}) for {name}")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise UserError(f"images: got dtype {dtype}, expected floating point in [0, 1]")
        return _apply(module, variables, images)

    network = cast(Classifier, classify)
    network.name = name
    network.version = version
    network.image_shape = image_shape
    network.num_classes = num_classes
    return network


def pack_lenet(variables: PyTree, image_shape: tuple[int, int, int]) -> bytes:
    """Packs weights as the content of a file that `load_lenet` reads.

    Args:
      variables: of a `LeNet`, {"params", "batch_stats"}.
      image_shape: (H, W, C), what it was trained on.

    Returns:
      MessagePack: the shape and the float32 arrays.

    Examples:
      >>> variables = LeNet(3).init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
      >>> Path("flowers.msgpack").write_bytes(pack_lenet(variables, (8, 8, 3))) > 300_000
      True
      >>> load_lenet("flowers.msgpack").num_classes
      3
    """
    variables = jax.tree.map(lambda leaf: jax.device_get(leaf).astype("float32"), variables)
    return serialization.msgpack_serialize(
        {"network": "LeNet", "image_shape": list(image_shape), "variables": variables}
    )


@functools.partial(jax.jit, static_argnums=0)
def _apply(module, variables, images):
    features, logits = module.apply(variables, jnp.asarray(images, jnp.float32))
    return {"features": features, "logits": logits}


def _unpack(packed, path):
    """The variables, the shape of the images and the number of classes, all of them checked."""
    wrong = f"weights: {path} holds no weights of LeNet, expected a file of classifier.py"
    try:
        content = serialization.msgpack_restore(packed)
        image_shape = tuple(int(side) for side in content["image_shape"])
        variables = content["variables"]
        num_classes = int(variables["params"]["Dense_1"]["bias"].shape[0])
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        like = jax.eval_shape(LeNet(num_classes).init, jax.random.key(0), images)
        got = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), variables)
        expected = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), like)
    except Exception:  # whatever the bytes of another file lead the reader to
        raise UserError(wrong) from None
    if got != expected:
        raise UserError(wrong)
    return jax.device_put(variables), image_shape, num_classes
