"""Grouped convolutions against `lax` and against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import draw, grouped_by_lax, up_to_second
from jax.sharding import PartitionSpec as P

from jaxgan.networks.grouped import grouped_conv
from jaxgan.networks.layers import GroupedConv

# kernel, strides, padding, channels in, size of a group, channels out
CASES = [
    (3, 1, "SAME", 32, 16, 32),  # all groups in one dense convolution
    (3, 1, "SAME", 48, 16, 48),  # two and one
    (3, 1, "SAME", 66, 33, 4),  # groups above what is taken together
    (3, 1, "SAME", 6, 1, 6),  # depthwise
    (3, 1, "SAME", 6, 1, 12),  # the same, of two kernels a channel
    (4, 2, "VALID", 12, 4, 6),
    (1, 1, "SAME", 5, 5, 3),  # one group
]


@pytest.mark.parametrize(("size", "strides", "padding", "inputs", "group", "outputs"), CASES)
def test_equals_lax_to_second_derivatives(size, strides, padding, inputs, group, outputs):
    with jax.enable_x64(True):
        x = draw(2, 5, 6, inputs, dtype=np.float64)
        kernel = draw(size, size, group, outputs, dtype=np.float64, seed=1)
        options = {"strides": strides, "padding": padding}
        actual = up_to_second(grouped_conv, **options)(x, kernel)
        expected = up_to_second(grouped_by_lax, **options)(x, kernel)
        for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * (1 + np.abs(b).max()))


def test_each_group_sees_its_own_channels():
    x, kernel = (np.asarray(a, np.float64) for a in (draw(2, 3, 3, 6), draw(3, 3, 2, 9, seed=1)))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((2, 3, 3, 9))
    for i, j, a, b, o in np.ndindex(3, 3, 3, 3, 9):
        own = padded[:, i + a, j + b, 2 * (o // 3) : 2 * (o // 3) + 2]
        expected[:, i, j, o] += own @ kernel[a, b, :, o]
    actual = grouped_conv(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32():
    x, kernel = draw(4, 6, 6, 32).astype(jnp.bfloat16), draw(3, 3, 16, 32).astype(jnp.bfloat16)
    actual = grouped_conv(x, kernel)
    assert actual.dtype == jnp.bfloat16
    expected = grouped_conv(x.astype(jnp.float32), kernel.astype(jnp.float32))
    error = np.linalg.norm(np.asarray(actual, np.float32) - expected)
    assert error < 0.02 * np.linalg.norm(expected)


def test_only_the_formulation_of_the_platform_is_compiled():
    x, kernel = draw(2, 6, 6, 8), draw(3, 3, 4, 8)
    program = jax.jit(jax.grad(lambda kernel, x: jnp.sum(grouped_conv(x, kernel) ** 2)))
    modules = {
        platform: jax.export.export(program, platforms=[platform])(kernel, x).mlir_module()
        for platform in ("cpu", "cuda")
    }
    grouped = "feature_group_count = 2"
    assert grouped in modules["cuda"]
    assert grouped not in modules["cpu"]


@pytest.mark.parametrize("check_vma", [True, False])
def test_eight_devices_equal_one(mesh, check_vma):
    x, kernel = draw(8, 4, 4, 6), draw(3, 3, 2, 6, seed=1)

    def penalty(kernel, x):
        slope = jax.grad(lambda x: jnp.sum(jnp.tanh(grouped_conv(x, kernel))))(x)
        return jnp.sum(slope**2)

    def reduced(kernel, x):
        slope = jax.grad(penalty)(kernel, x)
        # Of what all devices hold alike, JAX sums the gradients itself where it checks.
        return slope if check_vma else jax.lax.psum(slope, "data")

    mapped = jax.shard_map(
        reduced, mesh=mesh, in_specs=(P(), P("data")), out_specs=P(), check_vma=check_vma
    )
    expected = jax.jit(jax.grad(penalty))(kernel, x)
    x = jax.device_put(x, jax.NamedSharding(mesh, P("data")))
    np.testing.assert_allclose(jax.jit(mapped)(kernel, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("inputs", "group", "outputs"), [(6, 4, 6), (6, 3, 5)])
def test_channels_that_do_not_come_in_groups_are_told(inputs, group, outputs):
    with pytest.raises(ValueError, match=r"^grouped convolution of \(1, 4, 4, 6\)"):
        grouped_conv(jnp.ones((1, 4, 4, inputs)), jnp.ones((3, 3, group, outputs)))


def test_the_layer_has_a_kernel_of_its_group_and_a_bias():
    x, layer = draw(2, 4, 4, 6), GroupedConv(9, (3, 3), group_size=2)
    params = jax.jit(layer.init)(jax.random.key(0), x)["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == {
        "kernel": (3, 3, 2, 9),
        "bias": (9,),
    }
    params["bias"] = draw(9)
    expected = grouped_conv(x, params["kernel"]) + params["bias"].reshape(1, 1, 1, 9)
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=1e-6)
