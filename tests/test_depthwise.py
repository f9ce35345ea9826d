"""Depthwise convolutions against `lax` and against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import draw, grouped_by_lax, up_to_second
from jax.sharding import PartitionSpec as P

from jaxgan.depthwise import depthwise_conv

# kernel, strides, padding, height, width
CASES = [
    ((3, 3), 1, "SAME", 5, 6),
    ((3, 3), 2, "SAME", 6, 4),  # zeros after alone
    ((3, 3), 2, "SAME", 5, 7),  # zeros on both sides
    ((5, 5), 2, "SAME", 8, 5),
    ((5, 5), 1, "SAME", 2, 2),  # a kernel beyond the image
    ((3, 2), 2, "VALID", 7, 6),
    ((3, 3), 1, "VALID", 2, 5),  # no pixel left
]


@pytest.mark.parametrize(("size", "strides", "padding", "height", "width"), CASES)
def test_equals_lax_to_second_derivatives(size, strides, padding, height, width):
    with jax.enable_x64(True):
        x = draw(2, height, width, 3, dtype=np.float64)
        kernel = draw(*size, 1, 3, dtype=np.float64, seed=1)
        options = {"strides": strides, "padding": padding}
        actual, expected = (
            (
                up_to_second(function, **options)(x, kernel),
                jax.jvp(lambda x, f=function: f(x, kernel, **options), (x,), (jnp.cos(x),)),
            )
            for function in (depthwise_conv, grouped_by_lax)
        )
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_each_channel_has_its_own_kernel():
    x, kernel = np.asarray(draw(2, 3, 4, 5)), np.asarray(draw(3, 3, 1, 5, seed=1))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((2, 3, 4, 5))
    for i, j, a, b, c in np.ndindex(3, 4, 3, 3, 5):
        expected[:, i, j, c] += padded[:, i + a, j + b, c] * kernel[a, b, 0, c]
    np.testing.assert_allclose(depthwise_conv(x, kernel), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_summed_as_exactly_as_by_lax():
    x, kernel = draw(4, 6, 6, 8).astype(jnp.bfloat16), draw(5, 5, 1, 8).astype(jnp.bfloat16)
    actual = depthwise_conv(x, kernel)
    assert actual.dtype == jnp.bfloat16
    exact = depthwise_conv(x.astype(jnp.float32), kernel.astype(jnp.float32))
    np.testing.assert_allclose(actual.astype(jnp.float32), exact, rtol=2**-8, atol=1e-6)


def test_only_the_formulation_of_the_platform_is_compiled():
    x, kernel = draw(2, 6, 6, 8), draw(3, 3, 1, 8)
    program = jax.jit(jax.grad(lambda x, kernel: jnp.sum(depthwise_conv(x, kernel) ** 2)))
    modules = {
        platform: jax.export.export(program, platforms=[platform])(x, kernel).mlir_module()
        for platform in ("cpu", "cuda")
    }
    assert "convolution" in modules["cuda"]
    assert "convolution" not in modules["cpu"]


@pytest.mark.parametrize("check_vma", [True, False])
def test_eight_devices_equal_one(mesh, check_vma):
    x, kernel = draw(8, 4, 4, 6), draw(3, 3, 1, 6, seed=1)

    def slope(kernel, x):
        return jax.grad(lambda k: jnp.sum(jnp.tanh(depthwise_conv(x, k))))(kernel)

    def reduced(kernel, x):
        # Of what all devices hold alike, JAX sums the gradients itself where it checks.
        return slope(kernel, x) if check_vma else jax.lax.psum(slope(kernel, x), "data")

    mapped = jax.shard_map(
        reduced, mesh=mesh, in_specs=(P(), P("data")), out_specs=P(), check_vma=check_vma
    )
    expected = jax.jit(slope)(kernel, x)
    x = jax.device_put(x, jax.NamedSharding(mesh, P("data")))
    np.testing.assert_allclose(jax.jit(mapped)(kernel, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 3, 4, 4), (3, 3, 1, 8), (3, 3, 4)])
def test_other_kernels_are_told(shape):
    with pytest.raises(ValueError, match=r"^depthwise convolution of \(1, 4, 4, 4\) by "):
        depthwise_conv(jnp.ones((1, 4, 4, 4)), jnp.ones(shape))


def test_other_dtypes_are_told():
    with pytest.raises(TypeError, match=r"^depthwise convolution of float32 by bfloat16"):
        depthwise_conv(jnp.ones((1, 4, 4, 4)), jnp.ones((3, 3, 1, 4), jnp.bfloat16))
