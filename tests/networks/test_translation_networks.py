"""The networks that translate images: published sizes, values against NumPy, what a logit sees."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import KEY, abstract, every_dtype, flat, random_leaves
from scipy.special import expit

from jaxgan.errors import UserError
from jaxgan.networks import (
    DiscoGANDiscriminator,
    DiscoGANGenerator,
    PatchDiscriminator,
    ResNetGenerator,
    cyclegan,
    describe,
    discogan,
    from_description,
)
from jaxgan.networks.layers import InstanceNorm

# The architectures' arithmetic, layer by layer.


def conv(kernel, inputs, outputs, bias=True):
    return kernel * kernel * inputs * outputs + (outputs if bias else 0)


def resnet_count(blocks, width=64, channels=3):
    w = width
    return (
        conv(7, channels, w)
        + (conv(3, w, 2 * w) + conv(3, 2 * w, 4 * w))
        + blocks * 2 * conv(3, 4 * w, 4 * w)
        + (conv(3, 4 * w, 2 * w) + conv(3, 2 * w, w))
        + conv(7, w, channels)
    )


def patch_count(widths, channels=3):
    return sum(conv(4, i, o) for i, o in itertools.pairwise((channels, *widths, 1)))


def normed(kernel, inputs, outputs):
    return conv(kernel, inputs, outputs, bias=False) + 2 * outputs  # scale and bias of the norm


def disco_counts():
    down = [(64, 128), (128, 256), (256, 512)]
    encoder = conv(4, 3, 64, bias=False) + sum(normed(4, i, o) for i, o in down)
    decoder = sum(normed(4, o, i) for i, o in down) + conv(4, 64, 3, bias=False)
    return encoder + decoder, encoder + conv(4, 512, 1, bias=False)


def count(module, shape):
    made, variables = abstract(module, shape)
    return made, sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(("size", "blocks"), [(256, 9), (128, 6)])
def test_cyclegan_has_the_published_sizes(size, blocks):
    generator, discriminator = cyclegan(size)
    made, number = count(generator, (1, size, size, 3))
    assert made.shape == (1, size, size, 3)
    # The authors' network prints 11,378,179 parameters with nine blocks, 7,837,699 with six.
    assert number == resnet_count(blocks) == {9: 11_378_179, 6: 7_837_699}[blocks]
    made, number = count(discriminator, (1, size, size, 3))
    assert number == patch_count((64, 128, 256, 512)) == 2_764_737
    # 256 -> 128 -> 64 -> 32 -> 31 -> 30
    assert made.shape == (1, size // 8 - 2, size // 8 - 2)


def test_discogan_has_the_published_sizes():
    generator, discriminator = discogan()
    made, number = count(generator, (2, 64, 64, 3))
    assert (made.shape, number) == ((2, 64, 64, 3), disco_counts()[0])
    (logits, features), number = count(discriminator, (2, 64, 64, 3))
    assert (logits.shape, number) == ((2,), disco_counts()[1])
    assert [layer.shape for layer in features] == [(2, 16, 16, 128), (2, 8, 8, 256), (2, 4, 4, 512)]


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("make", [cyclegan, discogan])
@every_dtype
def test_pairs_for_small_images(make, size, dtype):
    generator, discriminator = make(size, 1, width=4, dtype=dtype)
    for module in (generator, discriminator):
        made, variables = abstract(module, (2, size, size, 1))
        made = jax.tree.leaves(made)[0]
        assert made.dtype == jnp.float32
        assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {
            jnp.dtype("float32")
        }
        # Patches: 28 -> 14 -> 7 -> 6 -> 5.
        logits = (size // 4 - 2, size // 4 - 2) if make is cyclegan else ()
        assert made.shape == ((2, size, size, 1) if module is generator else (2, *logits))
        assert from_description(describe(module)) == module


def seen_by_one_logit(discriminator, size):
    """Height and width of the pixels that the middle logit depends on."""
    images = jnp.zeros((1, size, size, 1))
    _, variables = abstract(discriminator, images.shape)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: rng.standard_normal(x.shape).astype(x.dtype), variables)

    def middle(images):
        logits = discriminator.apply(variables, images)
        return logits[0, logits.shape[1] // 2, logits.shape[2] // 2]

    # Without the norm, through which every pixel counts a little.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InstanceNorm, "__call__", lambda self, x: x)
        slope = np.asarray(jax.grad(middle)(images))[0, :, :, 0]
    rows, columns = (np.flatnonzero(np.any(slope != 0, axis)) for axis in (1, 0))
    return rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


@pytest.mark.parametrize(("widths", "field"), [((2,) * 4, 70), ((2,) * 3, 34), ((2,) * 2, 16)])
def test_a_logit_sees_a_patch(widths, field):
    assert seen_by_one_logit(PatchDiscriminator(widths), 128) == (field, field)


# Values, against NumPy in float64.


def correlate(x, kernel, bias, stride, mode, pad):
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)), mode=mode)
    k = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))
    return np.einsum("bhwcij,ijco->bhwo", windows[:, ::stride, ::stride], kernel) + bias


def instance_norm(x):
    out = np.empty_like(x)
    for i, c in itertools.product(range(x.shape[0]), range(x.shape[3])):
        channel = x[i, :, :, c]
        out[i, :, :, c] = (channel - channel.mean()) / math.sqrt(channel.var() + 1e-5)
    return out


def relu(x, slope=0.0):
    return np.where(x > 0, x, slope * x)


class Numpy:
    """The parameters of a network, filled at random, and its layers in their order."""

    def __init__(self, module, shape):
        self.variables = random_leaves(abstract(module, shape)[1], 0)
        self.used = {"Conv": 0, "ConvTranspose": 0, "BatchNorm": 0}

    def take(self, kind):
        name = f"{kind}_{self.used[kind]}"
        self.used[kind] += 1
        return {k: np.asarray(v, np.float64) for k, v in self.variables["params"][name].items()}

    def conv(self, x, stride, pad, mode="constant"):
        layer = self.take("Conv")
        return correlate(x, layer["kernel"], layer.get("bias", 0.0), stride, mode, (pad, pad))

    def up(self, x, pad):
        """Every pixel spread out with zeros between, as `torch.nn.ConvTranspose2d` pads it."""
        layer = self.take("ConvTranspose")
        b, h, w, c = x.shape
        spread = np.zeros((b, 2 * h - 1, 2 * w - 1, c))
        spread[:, ::2, ::2] = x
        return correlate(spread, layer["kernel"], layer.get("bias", 0.0), 1, "constant", pad)

    def batch_norm(self, x):
        name = f"BatchNorm_{self.used['BatchNorm']}"
        self.used["BatchNorm"] += 1
        layer = self.variables["params"][name]["norm"]
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) / np.sqrt(var + 1e-5) * layer["scale"] + layer["bias"]

    def all_used(self):
        return sum(self.used.values()) == len(self.variables["params"])


SHAPE = (2, 12, 8, 3)
IMAGES = np.random.default_rng(1).uniform(-1, 1, SHAPE).astype(np.float32)


def compare(module, network, images, *expected):
    assert network.all_used()
    output, _ = module.apply(network.variables, images, train=True, mutable=["batch_stats"])
    leaves = jax.tree.leaves(output)
    assert len(leaves) == len(expected)
    for one, other in zip(leaves, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-4)


def test_the_resnet_generator_is_numpys():
    module = ResNetGenerator(2, width=3, blocks=2)
    network = Numpy(module, SHAPE)
    x = relu(instance_norm(network.conv(IMAGES.astype(np.float64), 1, 3, "reflect")))
    for _ in range(2):
        x = relu(instance_norm(network.conv(x, 2, 1)))
    for _ in range(2):
        y = relu(instance_norm(network.conv(x, 1, 1, "reflect")))
        x = x + instance_norm(network.conv(y, 1, 1, "reflect"))
    for _ in range(2):
        x = relu(instance_norm(network.up(x, (1, 2))))
    compare(module, network, IMAGES, np.tanh(network.conv(x, 1, 3, "reflect")))


def test_the_patch_discriminator_is_numpys():
    module = PatchDiscriminator((3, 4, 5))
    images = np.random.default_rng(2).uniform(-1, 1, (2, 20, 16, 3)).astype(np.float32)
    network = Numpy(module, images.shape)
    x = relu(network.conv(images.astype(np.float64), 2, 1), 0.2)
    x = relu(instance_norm(network.conv(x, 2, 1)), 0.2)
    x = relu(instance_norm(network.conv(x, 1, 1)), 0.2)
    compare(module, network, images, network.conv(x, 1, 1)[..., 0])


def test_the_discogan_generator_is_numpys():
    module = DiscoGANGenerator(2, (3, 4))
    network = Numpy(module, SHAPE)
    x = relu(network.conv(IMAGES.astype(np.float64), 2, 1), 0.2)
    x = relu(network.batch_norm(network.conv(x, 2, 1)), 0.2)
    x = relu(network.batch_norm(network.up(x, (2, 2))))
    compare(module, network, IMAGES, expit(network.up(x, (2, 2))))


def test_the_discogan_discriminator_is_numpys():
    module = DiscoGANDiscriminator((3, 4, 5))
    images = np.random.default_rng(2).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    network = Numpy(module, images.shape)
    x, features = relu(network.conv(images.astype(np.float64), 2, 1), 0.2), []
    for _ in range(2):
        x = relu(network.batch_norm(network.conv(x, 2, 1)), 0.2)
        features.append(x)
    compare(module, network, images, network.conv(x, 1, 0)[:, 0, 0, 0], *features)


@every_dtype
def test_instance_norm_keeps_its_dtype_and_its_precision(dtype):
    # Far from 0, where sums in bfloat16 would lose the variance.
    x = (100 + np.random.default_rng(0).standard_normal((2, 8, 8, 3))).astype(dtype)
    y = InstanceNorm().apply({}, jnp.asarray(x))
    assert y.dtype == jnp.dtype(dtype)
    expected = instance_norm(x.astype(np.float64))
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=0.02)


def test_instance_norm_of_a_flat_image_is_zero():
    np.testing.assert_array_equal(InstanceNorm().apply({}, jnp.full((1, 4, 4, 2), 3.0)), 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cyclegan(30), "image_size: got 30, expected a multiple of 4 from 16 on"),
        (lambda: cyclegan(28, width=0), "width: got 0"),
        (lambda: cyclegan(28, blocks=-1), "blocks: got -1"),
        (lambda: discogan(256), "image_size: got 256, expected 28, 32 or 64 for a DiscoGAN"),
        (lambda: discogan(28, width=0.5), "width: got 0.5"),
        (
            lambda: abstract(ResNetGenerator(3, 2, 1), (1, 30, 28, 3)),
            r"image_size: got images \(1, 30, 28, 3\), expected height and width to be multiples",
        ),
        (
            lambda: abstract(DiscoGANGenerator(3, (2, 2, 2)), (1, 28, 28, 3)),
            r"image_size: got images \(1, 28, 28, 3\), expected height and width to be multiples",
        ),
        (
            lambda: abstract(PatchDiscriminator((2, 2, 2)), (1, 8, 8, 3)),
            r"image_size: got images \(1, 8, 8, 3\), expected larger ones",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(UserError, match=f"^{message}") as error:
        call()
    assert "\n" not in str(error.value)


def test_weights_are_drawn_as_published():
    generator, discriminator = cyclegan(28, width=16, blocks=1)
    for module in (generator, discriminator):
        variables = jax.jit(module.init)(KEY, jnp.zeros((1, 28, 28, 3)))
        for name, leaf in flat(variables["params"]).items():
            if name.endswith("bias"):
                assert not np.any(leaf), name
            else:
                assert abs(np.std(leaf) - 0.02) < 5 * 0.02 / math.sqrt(2 * leaf.size), name
