"""The checkerboard (Odena et al. 2016), measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks.layers import Upsample


def checkerboard(method, kernel, weights):
    """Share of the energy at the stride's frequency in the image of a constant.

    A pattern of period 2 has four Fourier coefficients: the constant, alternation along height,
    along width, and along both. A constant image has the first alone.
    """
    layer = Upsample(1, method, kernel, use_bias=False)
    x = jnp.ones((1, 12, 12, 8))
    shapes = jax.eval_shape(layer.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: jnp.asarray(weights(leaf.shape), leaf.dtype), shapes)
    image = np.asarray(layer.apply(variables, x), np.float64)[0, :, :, 0]
    assert image.shape == (24, 24)
    image = image[4:-4, 4:-4]  # away from the borders, where the padding shows
    signs = (-1.0) ** np.arange(16)
    ones = np.ones(16)
    energy = [
        np.mean(image * np.outer(v, h)) ** 2
        for v, h in ((ones, ones), (signs, ones), (ones, signs), (signs, signs))
    ]
    # Nothing else is there: the pattern repeats with the stride.
    np.testing.assert_allclose(np.mean(image**2), sum(energy), rtol=1e-5)
    return sum(energy[1:]), sum(energy)


def share(method, kernel, seeds):
    total = np.zeros(2)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        total += checkerboard(method, kernel, lambda shape, rng=rng: rng.standard_normal(shape))
    return total[0] / total[1]


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_random_transposed_convolutions_leave_a_checkerboard(kernel):
    # The four phases of the stride meet taps of their own, so that their values are independent,
    # and three of the four coefficients are not the constant's: 3/4 of the energy on average.
    assert 0.6 < share("transpose", kernel, range(40)) < 0.9


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_random_resize_convolutions_leave_none(kernel):
    assert share("resize", kernel, range(10)) < 1e-10


@pytest.mark.parametrize(
    ("method", "kernel", "expected"),
    [
        # Taps a phase meets, per axis, and the energies of their products:
        ("transpose", 4, 0.0),  # 2 and 2: a stride that divides the kernel overlaps evenly
        # 2 and 1: mean 1.5, alternation 0.5
        ("transpose", 3, (2 * (1.5 * 0.5) ** 2 + 0.5**4) / (1.5**2 + 0.5**2) ** 2),
        # 3 and 2: mean 2.5, alternation 0.5
        ("transpose", 5, (2 * (2.5 * 0.5) ** 2 + 0.5**4) / (2.5**2 + 0.5**2) ** 2),
        ("resize", 4, 0.0),
    ],
)
def test_the_checkerboard_of_uneven_overlap(method, kernel, expected):
    """What equal weights leave: the overlap alone."""
    alternation, total = checkerboard(method, kernel, np.ones)
    assert alternation / total == pytest.approx(expected, rel=1e-5, abs=1e-10)
