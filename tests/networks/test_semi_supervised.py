"""The classifying discriminator against NumPy, and its pair."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import KEY, OTHER_KEY, abstract

from jaxgan.errors import UserError
from jaxgan.networks import SGANDiscriminator, describe, from_description, sgan

RNG = np.random.default_rng(0)
DISCRIMINATOR = SGANDiscriminator(3, widths=(4, 5, 6), kernels=(5, 3, 3), hidden=7)


def filled(module, *inputs):
    """Variables whose biases count as well."""
    variables = module.init(KEY, *inputs)
    return jax.tree.map(lambda x: RNG.normal(0, 0.3, x.shape).astype(x.dtype), variables)


def convolve(x, kernel, bias):
    """With zeros around the image, so that it keeps its size; then LeakyReLU."""
    pad = kernel.shape[0] // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    x = np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias
    return np.where(x > 0, x, 0.2 * x)


def numpys(params, x):
    """In float64: convolutions, the largest of each 2x2, two dense layers."""
    take = {k: {n: np.asarray(v, np.float64) for n, v in of.items()} for k, of in params.items()}
    for i in range(3):
        if i > 0:
            x = np.array(
                [
                    [x[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].max((1, 2))
                     for c in range(x.shape[2] // 2)]
                    for r in range(x.shape[1] // 2)
                ]
            ).transpose(2, 0, 1, 3)  # fmt: skip
        x = convolve(x, **take[f"Conv_{i}"])
    hidden, last = take["Dense_0"], take["class_logits"]
    x = x.reshape(len(x), -1) @ hidden["kernel"] + hidden["bias"]
    return np.where(x > 0, x, 0.2 * x) @ last["kernel"] + last["bias"]


@pytest.mark.parametrize("side", [8, 11])
def test_the_forward_pass_is_numpys(side):
    images = RNG.standard_normal((4, side, side, 2)).astype(np.float32)
    variables = filled(DISCRIMINATOR, images)
    logits = DISCRIMINATOR.apply(variables, images)
    expected = numpys(variables["params"], images.astype(np.float64))
    assert (logits.shape, logits.dtype) == ((4, 3), jnp.float32)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    coarse = DISCRIMINATOR.clone(dtype=jnp.bfloat16).apply(variables, images)
    assert coarse.dtype == jnp.float32
    assert 1e-4 < np.max(np.abs(coarse - logits)) < 0.3


@pytest.mark.parametrize("rates", [{"noise": 0.0}, {"dropout": 0.0}])
def test_dropout_and_noise_are_there_in_training_only(rates):
    images = RNG.standard_normal((4, 8, 8, 2)).astype(np.float32)
    variables = filled(DISCRIMINATOR, images)

    def train(key):
        module = DISCRIMINATOR.clone(**rates)
        return module.apply(variables, images, train=True, rngs={"dropout": key})

    np.testing.assert_array_equal(train(KEY), train(KEY))
    assert np.any(train(KEY) != train(OTHER_KEY))


def test_the_noise_has_its_deviation():
    """What a linear network gives of noise alone: with the identity for weights, the noise."""
    module = SGANDiscriminator(3, widths=(), kernels=(), hidden=4, dropout=0.0, noise=0.7)
    images = np.full((2_000, 2, 2, 1), 100.0, np.float32)  # beyond the bend of LeakyReLU
    eye = {"kernel": np.eye(4, dtype=np.float32), "bias": np.zeros(4, np.float32)}
    last = {"kernel": np.eye(4, 3, dtype=np.float32), "bias": np.zeros(3, np.float32)}
    params = {"Dense_0": eye, "class_logits": last}
    noise = module.apply({"params": params}, images, train=True, rngs={"dropout": KEY}) - 100
    assert np.mean(noise) == pytest.approx(0, abs=5 * 0.7 / np.sqrt(noise.size))
    assert np.std(noise) == pytest.approx(0.7, rel=5 / np.sqrt(2 * noise.size))


def test_the_pair_of_28_pixels_has_the_sizes_of_its_arithmetic():
    generator, discriminator = sgan(28, 1, num_classes=10)
    made, variables = abstract(generator, (2, 100))
    assert made.shape == (2, 28, 28, 1)
    assert count(variables["params"]) == (
        100 * 7 * 7 * 64 + 2 * 64 + (16 * 64 * 32 + 2 * 32) + (16 * 32 + 1)
    )
    logits, variables = abstract(discriminator, (2, 28, 28, 1))
    assert logits.shape == (2, 10)
    assert count(variables["params"]) == (
        (25 * 16 + 16)
        + (9 * 16 * 32 + 32)
        + (9 * 32 * 64 + 64)
        + (7 * 7 * 64 * 128 + 128)
        + (128 * 10 + 10)
    )


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("module", [*sgan(8, 1, num_classes=3, conditional=True)])
def test_describe_and_back(module):
    assert from_description(json.loads(json.dumps(describe(module)))) == module


@pytest.mark.parametrize("size", [30, 0, -4])
def test_a_side_that_four_does_not_divide_is_refused(size):
    with pytest.raises(UserError, match=f"^image_size: got {size}, expected a multiple of 4"):
        sgan(size, 1, num_classes=3)
