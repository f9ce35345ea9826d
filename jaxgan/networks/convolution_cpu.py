"""The bilinear maps of `convolution` as convolutions that XLA computes fast on CPU.

Measured with JAX 0.10.2 on two AVX-512 cores whose matrix products reach 250 to 290 GFLOP/s,
compiled with `jaxgan.cpu.compiler_options`. A plain convolution runs near that; one of a dilated
input or with a large dilated kernel, which the gradients of strided and of transposed convolutions
are to `lax`, at a tenth of it, or a hundredth.
"""

import functools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["by_input", "by_weights"]

FEW = 4
"""Channels (of images) so few that moving pixels costs more than the products."""


class _Lattice(NamedTuple):
    """Along one axis, the large pixels `start`, `start + stride`, ..., which meet the same taps.

    The k-th of `count` pixels meets small pixel `first + k - t` through the t-th of `taps`.
    """

    taps: range
    first: int
    count: int  # type: ignore[assignment]
    small: int

    def padding(self) -> tuple[int, int]:
        """Zeros around the small map for a convolution by the reversed taps to give all pixels."""
        return self.shift(len(self.taps) - 1)[0], self.shift(0)[1]

    def shift(self, t: int) -> tuple[int, int]:
        """Zeros around the small map that bring pixel `first + k - t` to place k."""
        return t - self.first, self.first + self.count - t - self.small


def _lattices(kernel: int, stride: int, low: int, large: int, small: int) -> list[_Lattice]:
    # Of equal lengths, so that they weave; the pixels beyond the large map are cropped.
    count = -(-large // stride)
    return [
        _Lattice(
            range((start + low) % stride, kernel, stride), (start + low) // stride, count, small
        )
        for start in range(stride)
    ]


def by_input(geometry, dtype: jnp.dtype, y: jax.Array, w: jax.Array) -> jax.Array:
    """The large map, (y, w) -> x, of a `convolution.Geometry`.

    Pixels of x that are a stride apart meet the same taps. So each such lattice of pixels is a
    convolution of stride 1 by every stride-th tap: 12 ms where a convolution of the dilated input
    takes 144 (100 x 14x14x64 to 28x28x32 by 5x5).
    """
    rows, columns = (_lattices(*axis) for axis in geometry.axes())
    channels = w.shape[2]
    shape = (y.shape[0], rows[0].count, columns[0].count, channels)
    if channels <= FEW:
        # One product for all taps, then their sum, each moved to where it belongs: 3 against 12 ms
        # for 100 x 28x28x32 to 28x28x1 by 5x5.
        sum_dtype = jnp.promote_types(dtype, jnp.float32)
        products = jnp.einsum("nijo,abco->nijabc", y, w, preferred_element_type=sum_dtype)
        lattice = partial(_sum_of_products, products)
    else:
        lattice = partial(_convolution, y, w)
    woven = [
        # With a stride above the kernel's size, some pixels meet no tap.
        lattice(dtype, row, column) if row.taps and column.taps else jnp.zeros(shape, dtype)
        for row in rows
        for column in columns
    ]
    x = jnp.stack(woven, axis=3).reshape(*shape[:3], *geometry.strides, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(shape[0], shape[1] * len(rows), shape[2] * len(columns), channels)
    return x[:, : geometry.large[0], : geometry.large[1]]


def _sum_of_products(
    products: jax.Array, dtype: jnp.dtype, row: _Lattice, column: _Lattice
) -> jax.Array:
    none = (0, 0, 0)
    shifted = [
        lax.pad(
            products[:, :, :, a, b],
            jnp.zeros((), products.dtype),
            (none, (*row.shift(i), 0), (*column.shift(j), 0), none),
        )
        for i, a in enumerate(row.taps)
        for j, b in enumerate(column.taps)
    ]
    return functools.reduce(jnp.add, shifted).astype(dtype)


def _convolution(
    y: jax.Array, w: jax.Array, dtype: jnp.dtype, row: _Lattice, column: _Lattice
) -> jax.Array:
    taps = w[row.taps.start :: row.taps.step, column.taps.start :: column.taps.step]
    return lax.conv_general_dilated(
        y,
        taps[::-1, ::-1].swapaxes(2, 3),
        (1, 1),
        [row.padding(), column.padding()],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=dtype,
    )


def by_weights(geometry, dtype: jnp.dtype, x: jax.Array, y: jax.Array) -> jax.Array:
    """The kernel, (x, y) -> w, as one convolution of axes in the order that XLA's fast one takes.

    XLA reorders the axes by itself, but not inside a loop, as `lax.scan` makes: there the same
    convolution took 3,400 ms in place of 23 (100 x 14x14x64 to 7x7x128 by 5x5).
    """
    low, high = geometry.low, geometry.high()
    if any(max(pad) > k // 2 for *pad, k in zip(low, high, geometry.kernel, strict=True)):
        # More zeros than SAME has, as from a mirrored VALID convolution: XLA's own padding then
        # takes 97 ms in place of 9 for 16 x 34x34x32 to 28x28x3 by 7x7.
        none, zero = (0, 0, 0), jnp.zeros((), x.dtype)
        pads = [(*pad, 0) for pad in zip(low, high, strict=True)]
        x, low, high = lax.pad(x, zero, (none, *pads, none)), (0, 0), (0, 0)
    # Some rows of pixels at a time, so that what is read in strides stays in cache: 2.6 against
    # 5.6 ms for 100 x 28x28x32.
    rows = -(-x.shape[1] // 32)
    slabs = [x[:, i : i + rows].transpose(3, 1, 2, 0) for i in range(0, x.shape[1], rows)]
    w = lax.conv_general_dilated(
        jnp.concatenate(slabs, axis=1),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        list(zip(low, high, strict=True)),
        rhs_dilation=geometry.strides,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=dtype,
    )
    return w.transpose(1, 2, 0, 3)
