"""Guided gradients against a network written out in NumPy, and the features they start from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgan import networks
from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import guided_backpropagation, last_features

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (3, 4, 4, 1)).astype(np.float32)
MLP = networks.MLPDiscriminator(hidden=(7, 5))
VARIABLES = {
    "params": {
        name: {
            "kernel": (RNG.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32),
            "bias": np.zeros(outputs, np.float32),
        }
        for name, inputs, outputs in (("Dense_0", 16, 7), ("Dense_1", 7, 5), ("logits", 5, 1))
    }
}


def mlp(images):
    return MLP.apply(VARIABLES, images)


def by_hand():
    """Features, plain gradient and guided gradient of the logits, in NumPy."""
    layers = [
        (np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64))
        for layer in (VARIABLES["params"][name] for name in ("Dense_0", "Dense_1", "logits"))
    ]
    x, inner = IMAGES.reshape(3, -1).astype(np.float64), []
    for kernel, bias in layers[:2]:
        inner.append(x @ kernel + bias)
        x = np.where(inner[-1] > 0, inner[-1], 0.2 * inner[-1])
    gradients = []
    for guided in (False, True):
        slope = np.tile(layers[2][0][:, 0], (3, 1))
        for (kernel, _), before in zip(layers[1::-1], inner[::-1], strict=True):
            slope = np.maximum(slope, 0) if guided else slope
            slope = np.where(before > 0, slope, 0.2 * slope) @ kernel.T
        gradients.append(slope.reshape(IMAGES.shape))
    return x, *gradients


def test_against_numpy():
    features, plain, guided = by_hand()
    assert np.abs(plain - guided).max() > 0.05
    np.testing.assert_allclose(last_features(mlp, IMAGES), features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(guided_backpropagation(mlp, IMAGES), guided, rtol=1e-4, atol=1e-6)
    # Outside, gradients are as they were.
    ordinary = jax.grad(lambda x: jnp.sum(mlp(x)))(IMAGES)
    np.testing.assert_allclose(ordinary, plain, rtol=1e-4, atol=1e-6)


def test_the_gradient_of_one_feature():
    # Of the last layer but one the guided rule lets the gradient of a feature through once.
    def feature(images):
        return last_features(mlp, images)[:, 2]

    kernels = [np.asarray(VARIABLES["params"][f"Dense_{i}"]["kernel"]) for i in (0, 1)]
    hidden = IMAGES.reshape(3, -1) @ kernels[0]
    last = np.where(hidden > 0, hidden, 0.2 * hidden) @ kernels[1]
    slope = np.where(last[:, 2:3] > 0, 1, 0.2) * kernels[1][:, 2]
    slope = np.maximum(slope, 0) * np.where(hidden > 0, 1, 0.2)
    expected = (slope @ kernels[0].T).reshape(IMAGES.shape)
    guided = guided_backpropagation(feature, IMAGES)
    np.testing.assert_allclose(guided, expected, rtol=1e-4, atol=1e-6)


def test_a_convolutional_discriminator():
    _, discriminator = tiny.players()
    variables = tiny.state().discriminator.variables
    images = tiny.batch(4)["image"]

    def apply(images):
        return discriminator.apply(variables, images)

    features = jax.jit(lambda x: last_features(apply, x))(images)
    assert features.shape == (4, 4, 4, 8)
    logits = variables["params"]["logits"]
    expected = features.reshape(4, -1) @ logits["kernel"] + logits["bias"][None]
    np.testing.assert_allclose(apply(images), expected[:, 0], rtol=1e-4, atol=1e-6)
    guided = guided_backpropagation(apply, images)
    assert guided.shape == images.shape
    # An image's gradient is its own.
    alone = guided_backpropagation(apply, images[:1])
    np.testing.assert_allclose(guided[:1], alone, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("function", [guided_backpropagation, last_features])
def test_a_network_that_cannot_be_seen_into_is_refused(function):
    with pytest.raises(UserError) as error:
        function(lambda x: jnp.sum(x), jnp.ones((1, 2, 2, 1)))
    assert str(error.value).startswith("function: got ")
    assert "\n" not in str(error.value)
