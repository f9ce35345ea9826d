"""SRVGGNet: its published size, and what it makes against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from network_tables import abstract, every_dtype, random_leaves

from jaxgan.networks import SRVGGNet


def test_it_counts_as_the_authors_code_does():
    """Their general model, x4 with 32 convolutions in between."""
    _, variables = abstract(SRVGGNet(depth=32), (1, 16, 16, 3))
    assert sum(x.size for x in jax.tree.leaves(variables)) == 1_213_296


@every_dtype
def test_images_are_float32_and_of_any_shape(dtype):
    made, variables = abstract(SRVGGNet(1, width=4, depth=1, scale=2, dtype=dtype), (2, 5, 7, 1))
    assert (made.shape, made.dtype) == ((2, 10, 14, 1), jnp.float32)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_each_pixel_becomes_a_square_of_its_own():
    """Convolutions that see their own pixel alone: PReLU, and the order of the last channels."""
    network, s = SRVGGNet(3, width=6, depth=1, scale=2), 2
    images = np.random.default_rng(0).uniform(-1, 1, (2, 4, 5, 3)).astype(np.float32)
    shapes = abstract(network, images.shape)[1]["params"]
    params = random_leaves(shapes, 0)
    x = np.float64(images)
    for name in ("Conv_0", "Conv_1", "Conv_2"):
        kernel = params[name]["kernel"]
        kernel[np.arange(9).reshape(3, 3) != 4] = 0
        x = x @ kernel[1, 1] + params[name]["bias"]
        if name != "Conv_2":
            slopes = params[f"PReLU_{name[-1]}"]["slopes"]
            x = np.maximum(x, 0) + slopes * np.minimum(x, 0)
    expected = np.repeat(np.repeat(images, s, 1), s, 2)
    for row in range(s):
        for column in range(s):
            first = 3 * (s * row + column)
            expected[:, row::s, column::s] += x[..., first : first + 3]
    made = jax.jit(network.apply)({"params": params}, images)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)
