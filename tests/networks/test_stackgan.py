"""StackGAN's networks: the published sizes, layer by layer, and small ones against NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import random_leaves

from jaxgan.errors import UserError
from jaxgan.networks import (
    StackGANDiscriminator,
    StackGANStageOne,
    StackGANStageTwo,
    describe,
    from_description,
    stackgan_stage_one,
    stackgan_stage_two,
)

TEXT = 1024  # of the published embeddings


def shapes(module, *inputs):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    made, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), *arguments)
    params = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    return made, params, sum(leaf.size for leaf in jax.tree.leaves(variables["batch_stats"])) // 2


def dense(inputs, outputs):
    return inputs * outputs + outputs


def normed(side, inputs, outputs):
    """A convolution without bias, and batch norm's scale and bias."""
    return side * side * inputs * outputs + 2 * outputs


def test_stage_one_has_the_published_sizes():
    generator, discriminator = stackgan_stage_one()
    made, params, channels = shapes(generator, (2, 100 + 128), (2, TEXT))
    assert made.shape == (2, 64, 64, 3)
    assert params == (
        dense(TEXT, 2 * 128)  # mean and log sigma
        + ((100 + 128) * 4 * 4 * 1024 + 2 * 1024)
        + normed(3, 1024, 512)  # 8
        + normed(3, 512, 256)  # 16
        + normed(3, 256, 128)  # 32
        + (3 * 3 * 128 * 3 + 3)  # 64
    )
    assert channels == 1024 + 512 + 256 + 128
    made, params, channels = shapes(discriminator, (2, 64, 64, 3), (2, TEXT))
    assert made.shape == (2,)
    assert params == (
        (4 * 4 * 3 * 64 + 64)  # 32
        + normed(4, 64, 128)  # 16
        + normed(4, 128, 256)  # 8
        + normed(4, 256, 512)  # 4
        + dense(TEXT, 128)
        + normed(1, 512 + 128, 512)
        + dense(4 * 4 * 512, 1)
    )
    assert channels == 128 + 256 + 512 + 512


def test_stage_two_has_the_published_sizes():
    generator, discriminator = stackgan_stage_two()
    made, params, channels = shapes(generator, (2, 64, 64, 3), (2, 128), (2, TEXT))
    assert made.shape == (2, 256, 256, 3)
    assert params == (
        dense(TEXT, 2 * 128)
        + (3 * 3 * 3 * 128 + 128)  # 64
        + normed(4, 128, 256)  # 32
        + normed(4, 256, 512)  # 16
        + normed(3, 512 + 128, 512)
        + 4 * 2 * normed(3, 512, 512)
        + normed(3, 512, 256)  # 32
        + normed(3, 256, 128)  # 64
        + normed(3, 128, 64)  # 128
        + normed(3, 64, 32)  # 256
        + (3 * 3 * 32 * 3 + 3)
    )
    assert channels == 256 + 512 + 512 + 4 * 2 * 512 + 256 + 128 + 64 + 32
    made, params, channels = shapes(discriminator, (2, 256, 256, 3), (2, TEXT))
    assert made.shape == (2,)
    assert params == (
        (4 * 4 * 3 * 64 + 64)  # 128
        + sum(normed(4, 64 * 2**i, 64 * 2 ** (i + 1)) for i in range(5))  # 64 ... 4
        + normed(1, 2048, 1024)
        + normed(1, 1024, 512)
        + dense(TEXT, 128)
        + normed(1, 512 + 128, 512)
        + dense(4 * 4 * 512, 1)
    )
    assert channels == 128 + 256 + 512 + 1024 + 2048 + 1024 + 512 + 512


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_stage_one_makes_images_of_its_size(size):
    generator, discriminator = stackgan_stage_one(
        size, channels=1, gen_width=4, disc_width=2, latent_dim=3, condition_dim=5
    )
    made, _, _ = shapes(generator, (2, 8), (2, 7))
    assert made.shape == (2, size, size, 1)
    assert generator.widths[-1] == 4
    assert discriminator.widths[0] == 2
    # Both reach 4x4.
    assert 4 * 2 ** len(generator.widths) == size == 4 * 2 ** len(discriminator.widths)
    assert shapes(discriminator, (2, size, size, 1), (2, 7))[0].shape == (2,)


@pytest.mark.parametrize(
    ("size", "first", "downs", "ups"),
    [
        (32, 16, (8,), (4,)),
        (64, 16, (8,), (4, 2)),
        (64, 32, (8, 16), (8, 4)),
        (128, 64, (8, 16, 32), (16, 8, 4)),
    ],
)
def test_stage_two_makes_images_of_its_size(size, first, downs, ups):
    generator, discriminator = stackgan_stage_two(
        size, first, gen_width=8, disc_width=2, residual_blocks=2, condition_dim=5
    )
    assert (generator.down_widths, generator.up_widths) == (downs, ups)
    made, _, _ = shapes(generator, (2, first, first, 3), (2, 5), (2, 7))
    assert made.shape == (2, size, size, 3)
    assert shapes(discriminator, (2, size, size, 3), (2, 7))[0].shape == (2,)
    # Not narrowed before it is wider than 8 times its first.
    assert discriminator.narrow_widths == ((16,) if size == 128 else ())


# Small ones, run.

RNG = np.random.default_rng(0)
B, E = 3, 7
ONE = StackGANStageOne((6, 4), 2, 3, 5)
TWO = StackGANStageTwo((4, 6), 2, (5, 3), 2, 5)
JUDGE = StackGANDiscriminator((4, 6), (5,), 3)
LATENTS, NOISE = RNG.standard_normal((B, 8)), RNG.standard_normal((B, 5))
EMBEDDINGS, IMAGES = RNG.standard_normal((B, E)), RNG.standard_normal((B, 16, 16, 2))
INPUTS = {
    ONE: (LATENTS, EMBEDDINGS),
    TWO: (IMAGES, NOISE, EMBEDDINGS),
    JUDGE: (IMAGES, EMBEDDINGS),
}
NAMES = {"stage one": ONE, "stage two": TWO, "discriminator": JUDGE}
every_module = pytest.mark.parametrize("module", NAMES.values(), ids=NAMES.keys())


def random_variables(module):
    inputs = [jnp.float32(x) for x in INPUTS[module]]
    return random_leaves(jax.eval_shape(module.init, jax.random.key(0), *inputs), 1)


class Numpy:
    """The same networks in float64, from the paper's description."""

    def __init__(self, variables):
        self.params, self.statistics = variables["params"], variables["batch_stats"]
        self.used = set()
        self.numbers = {}

    def node(self, tree, path):
        for part in path.split("/"):
            tree = tree[part]
        return {name: np.asarray(leaf, np.float64) for name, leaf in tree.items()}

    def name(self, scope, kind):
        number = self.numbers.setdefault((scope, kind), itertools.count())
        return f"{scope}{kind}_{next(number)}"

    def dense(self, path, x):
        self.used.add(path)
        layer = self.node(self.params, path)
        return x @ layer["kernel"] + layer.get("bias", 0.0)

    def norm(self, x, scope=""):
        path = self.name(scope, "BatchNorm") + "/norm"
        self.used.add(path)
        layer, seen = self.node(self.params, path), self.node(self.statistics, path)
        return (x - seen["mean"]) / np.sqrt(seen["var"] + 1e-5) * layer["scale"] + layer["bias"]

    def conv(self, x, stride=1, path=None, scope=""):
        path = path or self.name(scope, "Conv")
        self.used.add(path)
        layer = self.node(self.params, path)
        kernel = layer["kernel"]
        k, size = len(kernel), x.shape[1]
        missing = (size // stride - 1) * stride + k - size
        pad = (missing // 2, missing - missing // 2)
        x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))
        made = np.einsum("bhwcij,ijco->bhwo", windows[:, ::stride, ::stride], kernel)
        return made + layer.get("bias", 0.0)

    def up(self, x):
        x = x.repeat(2, axis=1).repeat(2, axis=2)
        return self.conv(x, path=self.name("", "Upsample") + "/Conv_0")

    def condition(self, embeddings, noise):
        both = self.dense("augmentation/Dense_0", embeddings)
        mean, log_sigma = both[:, :5], both[:, 5:]
        return mean + np.exp(log_sigma) * noise

    def stage_one(self, latents, embeddings):
        z, noise = latents[:, :3], latents[:, 3:]
        c = self.condition(embeddings, noise)
        x = self.dense("Dense_0", np.concatenate([z, c], 1)).reshape(-1, 4, 4, 6)
        x = relu(self.norm(x))
        x = relu(self.norm(self.up(x)))
        return np.tanh(self.up(x))

    def stage_two(self, images, noise, embeddings):
        x = relu(self.conv(images))
        x = relu(self.norm(self.conv(x, 2)))
        x = beside(x, self.condition(embeddings, noise))
        x = relu(self.norm(self.conv(x)))
        for _ in range(2):
            y = relu(self.norm(self.conv(x)))
            x = relu(x + self.norm(self.conv(y)))
        for _ in range(2):
            x = relu(self.norm(self.up(x)))
        return np.tanh(self.conv(x))

    def discriminator(self, images, embeddings):
        x = leaky(self.conv(images, 2))
        x = leaky(self.norm(self.conv(x, 2)))
        x = leaky(self.norm(self.conv(x)))
        x = beside(x, leaky(self.dense("pair/Dense_0", embeddings)))
        x = leaky(self.norm(self.conv(x, scope="pair/"), scope="pair/"))
        return self.dense("pair/logits", x.reshape(len(x), -1))[:, 0]


def relu(x):
    return np.maximum(x, 0)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def beside(x, condition):
    made = np.empty((*x.shape[:3], x.shape[3] + condition.shape[1]))
    made[..., : x.shape[3]] = x
    for row, column in np.ndindex(x.shape[1:3]):
        made[:, row, column, x.shape[3] :] = condition
    return made


@every_module
def test_the_forward_pass_is_numpys(module):
    variables, inputs = random_variables(module), INPUTS[module]
    numpy = Numpy(variables)
    way = {ONE: numpy.stage_one, TWO: numpy.stage_two, JUDGE: numpy.discriminator}[module]
    expected = way(*inputs)
    made = jax.jit(module.apply)(variables, *(jnp.float32(x) for x in inputs))
    assert made.dtype == jnp.float32
    np.testing.assert_allclose(made, expected, atol=1e-5, rtol=1e-5)
    leaves = jax.tree_util.tree_flatten_with_path(variables["params"])[0]
    assert numpy.used == {"/".join(key.key for key in path[:-1]) for path, _ in leaves}


@every_module
def test_bfloat16_gives_float32_and_is_described(module):
    variables, inputs = random_variables(module), [jnp.float32(x) for x in INPUTS[module]]
    half = module.clone(dtype=jnp.bfloat16)
    made = jax.jit(half.apply)(variables, *inputs)
    assert made.dtype == jnp.float32
    np.testing.assert_allclose(made, jax.jit(module.apply)(variables, *inputs), atol=0.2)
    assert from_description(describe(half)) == half


def test_several_captions_of_an_image_are_judged_as_each_alone():
    variables = random_variables(JUDGE)
    images, right = (jnp.float32(x) for x in INPUTS[JUDGE])
    wrong = jnp.roll(right, 1, axis=0)
    for train in (False, True):

        @jax.jit
        def judge(embeddings, train=train):
            made, _ = JUDGE.apply(variables, images, embeddings, train=train, mutable="batch_stats")
            return made

        both = judge(jnp.stack([right, wrong]))
        assert both.shape == (2, B)
        np.testing.assert_allclose(both[0], judge(right), rtol=1e-5)
        np.testing.assert_allclose(both[1], judge(wrong), rtol=1e-5)
        assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stackgan_stage_one(28), "image_size: got 28, expected 8, 16, 32, ..."),
        (lambda: stackgan_stage_one(4), "image_size: got 4, expected 8"),
        (lambda: stackgan_stage_one("64"), "image_size: got 64, expected 8"),
        (lambda: stackgan_stage_two(100), "image_size: got 100, expected 32, 64, 128, ..."),
        (lambda: stackgan_stage_two(16, 16), "image_size: got 16, expected 32"),
        (lambda: stackgan_stage_two(64, 8), "first_size: got 8, expected"),
        (lambda: stackgan_stage_two(64, 64), "first_size: got 64, expected less than 64"),
        (lambda: stackgan_stage_two(256, 16, gen_width=8), "gen_width: got 8, expected 8 at 16"),
        (lambda: shapes(ONE, (2, 7), (2, E)), "latents: got shape (2, 7), expected (B, 8)"),
        (lambda: shapes(ONE, (8,), (2, E)), "latents: got shape (8,), expected (B, 8)"),
        (
            lambda: shapes(TWO, (2, 16, 16, 2), (2, 4), (2, E)),
            "noise: got shape (2, 4), expected (B, 5)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
