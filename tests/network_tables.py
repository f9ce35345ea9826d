"""The networks that the tests run through: the published pairs as shapes, and small ones."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
    dcgan,
    dcgan_paper,
    mlp,
    r3gan,
    sn_resnet,
)

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def random_leaves(shapes, seed):
    """Variables of these shapes, at random: kernels of unit gain, scales and variances positive."""
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        values = rng.standard_normal(leaf.shape)
        if path[-1].key == "kernel":
            values /= math.sqrt(math.prod(leaf.shape[:-1]))
        elif path[-1].key in ("scale", "var"):
            values = 0.5 + values**2
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)


def flat(tree):
    """Pytree of dictionaries -> {"Dense_0/kernel": leaf}."""
    return {
        "/".join(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


# The published architectures, as shapes alone.


def dense(inputs, outputs):
    return inputs * outputs + outputs


def norm(features):
    return 2 * features  # scale and bias


class Pair(NamedTuple):
    """A published pair; the counts are the architecture's arithmetic, layer by layer."""

    make: Callable
    latent_dim: int
    image_shape: tuple[int, int, int]
    generator_kernels: list[tuple[int, ...]]
    discriminator_kernels: list[tuple[int, ...]]
    generator_count: int
    discriminator_count: int
    # Channels under batch norm, each with a running mean and a running variance.
    generator_normed: int = 0
    discriminator_normed: int = 0


def dcgan_28(channels, upsampling):
    c, k = channels, 5 if upsampling == "transpose" else 3
    return Pair(
        lambda **options: dcgan(28, channels, upsampling=upsampling, **options),
        100,
        (28, 28, c),
        [(100, 7 * 7 * 128), (k, k, 128, 64), (k, k, 64, 32), (5, 5, 32, c)],
        [(5, 5, c, 32), (5, 5, 32, 64), (5, 5, 64, 128), (4 * 4 * 128, 1)],
        100 * 7 * 7 * 128
        + norm(128)
        + (k * k * 128 * 64 + norm(64))
        + (k * k * 64 * 32 + norm(32))
        + (5 * 5 * 32 * c + c),
        # 28 -> 14 -> 7 -> 4
        (5 * 5 * c * 32 + 32)
        + (5 * 5 * 32 * 64 + norm(64))
        + (5 * 5 * 64 * 128 + norm(128))
        + dense(4 * 4 * 128, 1),
        128 + 64 + 32,
        64 + 128,
    )


def dcgan_tutorial(size, widths, channels, upsampling):
    """`widths` from the latent's side to the image's."""
    c, k = channels, 4 if upsampling == "transpose" else 3
    ups = list(itertools.pairwise(widths))
    downs = [(o, i) for i, o in reversed(ups)]
    return Pair(
        lambda **options: dcgan(size, channels, upsampling=upsampling, **options),
        100,
        (size, size, c),
        [(100, 4 * 4 * widths[0]), *((k, k, i, o) for i, o in ups), (k, k, widths[-1], c)],
        [(4, 4, c, 64), *((4, 4, i, o) for i, o in downs), (4 * 4 * widths[0], 1)],
        (100 * 4 * 4 * widths[0] + norm(widths[0]))
        + sum(k * k * i * o + norm(o) for i, o in ups)
        + (k * k * 64 * c + c),
        (4 * 4 * c * 64 + 64)
        + sum(4 * 4 * i * o + norm(o) for i, o in downs)
        + dense(4 * 4 * widths[0], 1),
        sum(widths),
        sum(widths[:-1]),
    )


def radford(channels):
    """The kernels of the authors' program, faces/train_uncond_dcgan.py; no biases."""
    c = channels
    inner = [(5, 5, 1024, 512), (5, 5, 512, 256), (5, 5, 256, 128)]
    back = [(h, w, o, i) for h, w, i, o in inner]
    between = sum(math.prod(kernel) for kernel in inner)
    return Pair(
        partial(dcgan_paper, channels),
        100,
        (64, 64, c),
        [(100, 4 * 4 * 1024), *inner, (5, 5, 128, c)],
        [(5, 5, c, 128), *back, (4 * 4 * 1024, 1)],
        # Their first batch norm is of a matrix, with a scale and a bias for each of its columns.
        (100 * 4 * 4 * 1024 + norm(4 * 4 * 1024))
        + (between + norm(512) + norm(256) + norm(128))
        + 5 * 5 * 128 * c,
        5 * 5 * c * 128 + (between + norm(256) + norm(512) + norm(1024)) + 4 * 4 * 1024,
        4 * 4 * 1024 + 512 + 256 + 128,
        256 + 512 + 1024,
    )


def sn_resnet_pair(make, size, channels, base, ups, width):
    """`ups` blocks of the generator, each with two 3x3 convolutions and a 1x1; no bias at the end
    of the discriminator."""
    c, w, d = channels, width, width // 2
    return Pair(
        make,
        128,
        (size, size, c),
        [(128, base * base * w), *([(3, 3, w, w), (3, 3, w, w), (1, 1, w, w)] * ups),
         (3, 3, w, c)],
        [(3, 3, c, d), (3, 3, d, d), (1, 1, c, d), (3, 3, d, d), (3, 3, d, d), (1, 1, d, d),
         *[(3, 3, d, d)] * 4, (d, 1)],
        dense(128, base * base * w)
        + ups * (2 * (9 * w * w + w) + (w * w + w) + 2 * norm(w))
        + norm(w)
        + (9 * w * c + c),
        (9 * c * d + d) + (9 * d * d + d) + (c * d + d)  # down, from the image
        + 2 * (9 * d * d + d) + (d * d + d)  # down
        + 4 * (9 * d * d + d)  # two plain ones
        + d,
        (2 * ups + 1) * w,
    )  # fmt: skip


def sn_resnet_imagenet(make, size, channels, up, down):
    """A width for each size: `up` from the generator's first feature map, `down` of each block."""
    c, w = channels, [channels, *down]
    up_blocks, down_blocks = list(itertools.pairwise(up)), list(enumerate(itertools.pairwise(w)))
    # A block's first convolution is as wide as its input; of the first one, as its output.
    inner = [
        [(3, 3, i, i if n else o), (3, 3, i if n else o, o), *([(1, 1, i, o)] if n < 5 else [])]
        for n, (i, o) in down_blocks
    ]
    discriminator = [*(kernel for kernels in inner for kernel in kernels), (w[-1], 1)]
    generator = [
        (128, 16 * up[0]),
        *(kernel for i, o in up_blocks for kernel in ((3, 3, i, o), (3, 3, o, o), (1, 1, i, o))),
        (3, 3, up[-1], c),
    ]
    norms = sum(i + o for i, o in up_blocks) + up[-1]
    return Pair(
        make,
        128,
        (size, size, c),
        generator,
        discriminator,
        sum(math.prod(kernel) + kernel[-1] for kernel in generator) + 2 * norms,
        # No bias at the end.
        sum(math.prod(kernel) + kernel[-1] for kernel in discriminator) - 1,
        norms,
    )


def r3gan_pair(make, size, channels, base, widths, blocks, group=16):
    """Stages of these widths from the generator's first to its last, each of twice the side."""
    c, width, last = channels, widths[0], widths[-1]
    assert size == base * 2 ** (len(widths) - 1)
    inner = [
        [(1, 1, w, 2 * w), (3, 3, group, 2 * w), (1, 1, 2 * w, w)]
        for w in widths
        for _ in range(blocks)
    ]
    inner = [kernel for block in inner for kernel in block]
    between = [(a, b) for a, b in itertools.pairwise(widths) if a != b]
    shared = (
        sum(blocks * (2 * w * w + 2 * w + 9 * group * 2 * w + 2 * w + 2 * w * w) for w in widths)
        + sum(i * o for i, o in between)
        + base * base * width
    )
    return Pair(
        make,
        64,
        (size, size, c),
        [(64, width), *inner, *((1, 1, i, o) for i, o in between), (1, 1, last, c)],
        [(1, 1, c, last), *inner, *((1, 1, o, i) for i, o in between), (width, 1)],
        shared + 64 * width + last * c,
        shared + width + last * c,
    )


def kernels(*widths):
    return list(itertools.pairwise(widths))


PAIRS = {
    "mlp plain": Pair(
        lambda **options: mlp("plain", **options),
        64,
        (28, 28, 1),
        kernels(64, 256, 256, 784),
        kernels(784, 256, 256, 1),
        dense(64, 256) + dense(256, 256) + dense(256, 784),
        dense(784, 256) + dense(256, 256) + dense(256, 1),
    ),
    "mlp plain 32x32x3": Pair(
        lambda **options: mlp("plain", (32, 32, 3), **options),
        64,
        (32, 32, 3),
        kernels(64, 256, 256, 3072),
        kernels(3072, 256, 256, 1),
        dense(64, 256) + dense(256, 256) + dense(256, 3072),
        dense(3072, 256) + dense(256, 256) + dense(256, 1),
    ),
    "mlp dropout": Pair(
        lambda **options: mlp("dropout", **options),
        100,
        (28, 28, 1),
        kernels(100, 256, 512, 1024, 784),
        kernels(784, 1024, 512, 256, 1),
        dense(100, 256) + dense(256, 512) + dense(512, 1024) + dense(1024, 784),
        dense(784, 1024) + dense(1024, 512) + dense(512, 256) + dense(256, 1),
    ),
    "mlp batch_norm": Pair(
        lambda **options: mlp("batch_norm", **options),
        100,
        (28, 28, 1),
        kernels(100, 196, 289, 361, 400, 512, 625, 784, 784),
        kernels(784, 441, 256, 32, 1),
        # A layer that batch norm follows has no bias.
        (100 * 196 + norm(196))
        + (196 * 289 + norm(289))
        + (289 * 361 + norm(361))
        + (361 * 400 + norm(400))
        + (400 * 512 + norm(512))
        + (512 * 625 + norm(625))
        + (625 * 784 + norm(784))
        + dense(784, 784),
        dense(784, 441) + dense(441, 256) + dense(256, 32) + dense(32, 1),
        196 + 289 + 361 + 400 + 512 + 625 + 784,
    ),
}
for _channels in (1, 3):
    for _upsampling in ("transpose", "resize"):
        _name = f"{_channels} {_upsampling}"
        PAIRS[f"dcgan 28 {_name}"] = dcgan_28(_channels, _upsampling)
        for _size, _widths in (
            (32, (256, 128, 64)),
            (64, (512, 256, 128, 64)),
            (128, (1024, 512, 256, 128, 64)),
        ):
            PAIRS[f"dcgan {_size} {_name}"] = dcgan_tutorial(_size, _widths, _channels, _upsampling)
    PAIRS[f"dcgan paper {_channels}"] = radford(_channels)
PAIRS |= {
    "sn_resnet 32 3": sn_resnet_pair(partial(sn_resnet, 32, 3), 32, 3, 4, 3, 256),
    "sn_resnet 64 3": sn_resnet_imagenet(
        partial(sn_resnet, 64, 3), 64, 3, (1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024)
    ),
    "sn_resnet 128 3": sn_resnet_imagenet(
        partial(sn_resnet, 128, 3),
        128,
        3,
        (1024, 1024, 512, 256, 128, 64),
        (64, 128, 256, 512, 1024, 1024),
    ),
    "sn_resnet 28 1": sn_resnet_pair(partial(sn_resnet, 28, 1), 28, 1, 7, 2, 64),
    "sn_resnet 28 3 narrow": sn_resnet_pair(partial(sn_resnet, 28, 3, width=16), 28, 3, 7, 2, 16),
    "r3gan 32 3 published": r3gan_pair(
        partial(r3gan, 32, 3, width=768, blocks=2), 32, 3, 4, [768] * 4, 2
    ),
    "r3gan 64 3 published": r3gan_pair(
        partial(r3gan, 64, 3, width=768, blocks=2), 64, 3, 4, [*[768] * 4, 384], 2
    ),
    "r3gan 64 3 imagenet": r3gan_pair(
        partial(r3gan, 64, 3, width=1536, blocks=2, group_size=32, narrowing=False),
        64,
        3,
        4,
        [1536] * 5,
        2,
        32,
    ),
    "r3gan 128 3": r3gan_pair(
        partial(r3gan, 128, 3, width=768, blocks=2), 128, 3, 4, [*[768] * 4, 384, 192], 2
    ),
    "r3gan 256 3 published": r3gan_pair(
        partial(r3gan, 256, 3, width=768, blocks=2), 256, 3, 4, [*[768] * 4, 384, 192, 96], 2
    ),
    "r3gan 28 1": r3gan_pair(partial(r3gan, 28, 1), 28, 1, 7, [64, 32, 16], 1),
    "r3gan 28 3 wide": r3gan_pair(
        partial(r3gan, 28, 3, width=96, group_size=8), 28, 3, 7, [96, 48, 24], 1, 8
    ),
}

every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
every_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES.keys())


def abstract(module, shape):
    """(output, variables) of a module as shapes, nothing computed."""
    return jax.eval_shape(
        module.init_with_output, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32)
    )


# Small networks, run: each against NumPy, in both dtypes, in both modes.

LATENT_DIM = 5
BATCH = 6
# For dropout; this generator compiles in a tenth of the default one's time.
KEY, OTHER_KEY = (jax.random.key(seed, impl="rbg") for seed in (0, 1))
TINY = {
    "mlp generator, plain": MLPGenerator((8, 7), (4, 3, 1), slope=0.0),
    "mlp generator, leaky and dropout": MLPGenerator((8, 7), (4, 3, 3), dropout=(0.5, 0.4)),
    "mlp generator, batch norm": MLPGenerator(
        (8, 7), (4, 3, 1), dropout=(0.5, 0.4), batch_norm=True, sigmoid=True
    ),
    "mlp discriminator, plain": MLPDiscriminator((8, 7)),
    "mlp discriminator, dropout": MLPDiscriminator((8, 7), dropout=0.3),
    "dcgan generator, 5x5": DCGANGenerator(3, (6, 4), 1, 5, False),
    "dcgan generator, 4x4": DCGANGenerator(2, (6, 4), 3, 4, True),
    "dcgan generator, 5x5, resize": DCGANGenerator(3, (6, 4), 3, 5, False, "resize"),
    "dcgan generator, 4x4, resize": DCGANGenerator(2, (6, 4), 1, 4, True, "resize"),
    "dcgan discriminator, 5x5": DCGANDiscriminator((4, 6), 5),
    "dcgan discriminator, 4x4": DCGANDiscriminator((4, 6, 5), 4),
    "dcgan generator, paper": DCGANGenerator(
        2, (6, 4), 3, 5, True, use_bias=False, norm_units=True
    ),
    "dcgan discriminator, paper": DCGANDiscriminator((4, 6), 5, use_bias=False),
}
every_tiny = pytest.mark.parametrize("name", TINY)
