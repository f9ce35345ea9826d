"""Values and derivatives of both convolutions against `lax`, in each formulation."""

import os
import re
import subprocess
import sys

import compiling
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import draw, up_to_second
from jax import lax

from jaxgan.networks import convolution
from jaxgan.networks.convolution import conv, conv_transpose, force_formulation

LAYOUT = ("NHWC", "HWIO", "NHWC")

# kernel, strides, (height, width), padding, channels in, channels out
CASES = [
    ((5, 5), 2, (7, 8), "SAME", 1, 5),  # DCGAN-28, first layer
    ((5, 5), 2, (6, 7), "SAME", 6, 5),
    ((4, 4), 2, (8, 6), "SAME", 3, 6),  # DCGAN-64
    ((4, 4), 1, (4, 4), "VALID", 6, 1),  # DCGAN-64, last layer
    ((5, 5), 1, (6, 5), "SAME", 5, 1),  # DCGAN-28, to the image: the mirrored map
    ((3, 3), 1, (5, 6), "SAME", 5, 6),
    ((1, 1), 1, (3, 4), "SAME", 3, 5),
    ((1, 1), 3, (7, 4), "VALID", 5, 2),  # kernel below the stride
    ((2, 1), (3, 2), (5, 6), "SAME", 5, 5),
    ((2, 3), (1, 3), (4, 9), "VALID", 3, 1),
    ((3, 4), (2, 1), (6, 5), 1, 5, 3),
    ((4, 3), 3, (8, 7), ((0, 2), (3, 1)), 6, 5),
    ((3, 2), 2, (7, 6), ((-1, 2), (1, -1)), 5, 6),  # cropped, and a last row that meets no tap
    ((5, 2), (2, 3), (5, 7), ((4, 6), (3, 0)), 1, 3),  # more zeros than taps
]


def lax_conv(x, kernel, *, strides, padding, **options):
    strides, padding = pairs(strides, padding)
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=LAYOUT, **options
    )


def lax_conv_transpose(x, kernel, *, strides, padding, **options):
    strides, padding = pairs(strides, padding)
    return lax.conv_transpose(x, kernel, strides, padding, dimension_numbers=LAYOUT, **options)


def pairs(strides, padding):
    strides = (strides, strides) if isinstance(strides, int) else strides
    padding = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    return strides, padding


OURS_AND_LAX = {"conv": (conv, lax_conv), "conv_transpose": (conv_transpose, lax_conv_transpose)}


def assert_close(ours, expected, tolerance):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = (np.asarray(z, np.float64) for z in (a, b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max()))


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
@pytest.mark.parametrize(("size", "strides", "shape", "padding", "inputs", "outputs"), CASES)
def test_equals_lax_to_second_derivatives(name, size, strides, shape, padding, inputs, outputs):
    ours, reference = OURS_AND_LAX[name]
    with jax.enable_x64(True):
        x = draw(2, *shape, inputs, dtype=np.float64)
        kernel = draw(*size, inputs, outputs, dtype=np.float64, seed=1)
        options = {"strides": strides, "padding": padding}
        expected = up_to_second(reference, **options)(x, kernel)
        for formulation in ("cpu", "lax", "platform"):
            with force_formulation(formulation):
                assert_close(up_to_second(ours, **options)(x, kernel), expected, 1e-10)


@pytest.mark.parametrize(("ours", "sides"), [(conv, (6, 8)), (conv_transpose, (3, 4))])
def test_kernels_of_five_pad_as_theano_does_for_images_in_a_mirror(ours, sides):
    """DCGAN's authors pad both ends by 2, and have the gradient of that for the transposed one."""
    x, kernel = draw(2, *sides, 3), draw(5, 5, 3, 4, seed=1)
    found = ours(x, kernel, strides=2)
    x, kernel = x[:, ::-1, ::-1], kernel[::-1, ::-1]

    def theirs(x, kernel):
        return lax_conv(x, kernel, strides=2, padding=2)

    if ours is conv_transpose:
        large = jnp.zeros((2, 2 * sides[0], 2 * sides[1], 4))
        # The kernel of the convolution whose gradient it is, as `lax` has it.
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        _, pull = jax.vjp(lambda large: theirs(large, turned), large)
        (expected,) = pull(x)
    else:
        expected = theirs(x, kernel)
    assert_close(found, expected[:, ::-1, ::-1], 1e-5)


@pytest.mark.parametrize(("batch", "side"), [(0, 5), (2, 2)])
def test_empty_batch_and_empty_result(batch, side):
    x, kernel = draw(batch, side, side, 2), draw(3, 3, 2, 4)
    value, first, second = up_to_second(conv, strides=1, padding="VALID")(x, kernel)
    assert value.shape == lax_conv(x, kernel, strides=1, padding="VALID").shape
    for gradient in (*first, *second):
        assert not np.any(gradient)


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
@pytest.mark.parametrize("inputs", [3, 16])
def test_bfloat16_stays_near_float32(name, inputs):
    ours, reference = OURS_AND_LAX[name]
    x, kernel = draw(4, 8, 8, inputs), draw(4, 4, inputs, 8) / 8
    low = (x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
    expected = up_to_second(reference, strides=2, padding="SAME")(
        *(z.astype(jnp.float32) for z in low)
    )
    with force_formulation("cpu"):
        actual = up_to_second(ours, strides=2, padding="SAME")(*low)
    for a, b in zip(jax.tree.leaves(actual[:2]), jax.tree.leaves(expected[:2]), strict=True):
        assert a.dtype == jnp.bfloat16
        a = np.asarray(a, np.float32)
        assert np.linalg.norm(a - b) < 0.02 * np.linalg.norm(b)


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
def test_preferred_element_type_is_the_dtype_of_the_result(name):
    ours, reference = OURS_AND_LAX[name]
    x, kernel = draw(2, 6, 6, 8).astype(jnp.bfloat16), draw(4, 4, 8, 8).astype(jnp.bfloat16)
    options = {"strides": 2, "padding": "SAME", "preferred_element_type": jnp.float32}
    assert_close(ours(x, kernel, **options), reference(x, kernel, **options), 1e-6)
    gradients = jax.grad(lambda *a: jnp.sum(ours(*a, **options) ** 2), (0, 1))(x, kernel)
    assert {g.dtype for g in gradients} == {jnp.dtype(jnp.bfloat16)}


def test_vmap_over_each_argument_and_both():
    x, kernel = draw(3, 2, 6, 6, 5), draw(3, 4, 4, 5, 6)

    def gradients(function):
        def loss(x, kernel):
            return jnp.sum(function(x, kernel, strides=2, padding="SAME") ** 3)

        return jax.grad(loss, (0, 1))

    with force_formulation("cpu"):
        for axes, arguments in (
            ((0, None), (x, kernel[0])),
            ((None, 0), (x[0], kernel)),
            ((0, 0), (x, kernel)),
        ):
            expected = jax.jit(jax.vmap(gradients(lax_conv), axes))(*arguments)
            assert_close(jax.jit(jax.vmap(gradients(conv), axes))(*arguments), expected, 1e-4)


def test_scan_and_eval_shape():
    x, kernel = draw(2, 6, 6, 5), draw(3, 3, 5, 5) / 8

    def loss(function, kernel):
        def body(x, _):
            return function(x, kernel, strides=1, padding="SAME"), None

        return jnp.sum(lax.scan(body, x, length=3)[0] ** 2)

    expected = jax.jit(jax.grad(lambda k: loss(lax_conv, k)))(kernel)
    with force_formulation("cpu"):
        assert_close(jax.jit(jax.grad(lambda k: loss(conv, k)))(kernel), expected, 1e-4)
    out = jax.eval_shape(lambda x: conv_transpose(x, kernel, strides=2), x)
    assert (out.shape, out.dtype) == ((2, 12, 12, 5), x.dtype)


def test_only_the_formulation_of_the_platform_is_compiled():
    x, kernel = draw(2, 6, 6, 5), draw(4, 4, 5, 6)
    program = jax.jit(lambda x, kernel: conv_transpose(x, kernel, strides=2))
    modules = {
        platform: jax.export.export(program, platforms=[platform])(x, kernel).mlir_module()
        for platform in ("cpu", "cuda")
    }
    dilated = "lhs_dilate = [2, 2]"
    assert dilated in modules["cuda"]
    assert dilated not in modules["cpu"]
    both = jax.export.export(program, platforms=["cpu", "cuda"])(x, kernel)
    assert_close(both.call(x, kernel), program(x, kernel), 1e-6)


def test_inside_a_loop_no_convolution_is_left_in_an_order_that_xla_computes_naively():
    x, kernel = draw(2, 8, 8, 6), draw(4, 4, 6, 8)

    def body(kernel, _):
        gradients = jax.grad(lambda x, k: jnp.sum(conv(x, k, strides=2) ** 2), (0, 1))(x, kernel)
        return kernel - gradients[1], jnp.sum(gradients[0])

    program = jax.jit(lambda kernel: jax.lax.scan(body, kernel, None, length=3))
    text = program.lower(kernel).compile().as_text()
    orders = re.findall(r" convolution\(.*dim_labels=(\S+),", text)
    assert len(orders) >= 3
    assert set(orders) == {"b01f_01io->b01f"}


def test_bad_arguments_are_told():
    x, kernel = jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 2))
    with pytest.raises(ValueError, match="convolution of"):
        conv(x, jnp.ones((3, 3, 4, 2)))
    with pytest.raises(ValueError, match="convolution of"):
        conv_transpose(x[0], kernel)
    with pytest.raises(TypeError, match="equal dtypes"):
        conv(x, kernel.astype(jnp.bfloat16))
    with pytest.raises(ValueError, match="padding"):
        conv_transpose(x, kernel, padding="SAME_LOWER")


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxgan.networks.convolution import conv, conv_transpose, force_formulation

mesh = Mesh(np.asarray(jax.devices()), ("batch",))
rng = np.random.default_rng(0)
x = rng.standard_normal((32, 8, 8, 5), np.float32)
first = rng.standard_normal((4, 4, 5, 6), np.float32) / 8
second = rng.standard_normal((4, 4, 6, 3), np.float32) / 8

def penalty(kernels, x):
    def score(x):
        y = jnp.tanh(conv(x, kernels[0], strides=2))
        return jnp.sum(jnp.tanh(conv_transpose(y, kernels[1], strides=2)))
    value, slope = jax.value_and_grad(score)(x)
    return value + jnp.sum(slope**2)

both = jax.value_and_grad(penalty)

def mapped(kernels, x):
    return jax.tree.map(lambda z: jax.lax.psum(z, "batch"), both(kernels, x))

def reduced(kernels, x):
    # Kernels are the same on all devices, so their gradients are already sums.
    value, slopes = both(kernels, x)
    return jax.lax.psum(value, "batch"), slopes

def check(actual, expected):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())

with force_formulation("cpu"):
    expected = jax.jit(both)((first, second), x)
    sharded = jax.device_put(x, NamedSharding(mesh, P("batch")))
    check(jax.jit(both)((first, second), sharded), expected)
    shard = dict(mesh=mesh, in_specs=(P(), P("batch")), out_specs=P())
    check(jax.jit(jax.shard_map(reduced, **shard))((first, second), x), expected)
    with force_formulation("platform"):
        check(jax.jit(jax.shard_map(reduced, **shard))((first, second), x), expected)
    unchecked = jax.shard_map(mapped, **shard, check_vma=False)
    check(jax.jit(unchecked)((first, second), x), expected)
    pmapped = jax.pmap(mapped, "batch", in_axes=(None, 0))
    parts = pmapped((first, second), x.reshape(8, 4, *x.shape[1:]))
    check(jax.tree.map(lambda z: z[0], parts), expected)
"""


def test_eight_devices_equal_one():
    flags = f"--xla_force_host_platform_device_count=8 {compiling.FLAGS}"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHARDED],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_examples_in_the_docstrings():
    import doctest

    names = {"jnp": jnp}
    assert doctest.testmod(convolution, extraglobs=names).failed == 0
