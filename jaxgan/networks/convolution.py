"""Convolutions whose gradients are as fast as their values, also on CPU.

A convolution ties three arrays together: a large map `x` (N, H, W, C), a kernel `w`
(kh, kw, C, O) and a small map `y` (N, h, w, O), where tap t of the kernel joins pixel i of the
small map to pixel `stride * i + t - low` of the large one. Summing over all such pairs while one
of the arrays is left free gives three bilinear maps:

    forward     (x, w) -> y      a convolution
    by_input    (y, w) -> x      a transposed convolution
    by_weights  (x, y) -> w      the gradient of either by its kernel

The derivative of each by either argument is another of the three, at every order; that is all the
differentiation there is here. GPU and TPU compute each as one `lax.conv_general_dilated`. On CPU,
where XLA turns some of them into naive loops, `convolution_cpu` computes them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from jaxgan.networks import convolution_cpu

__all__ = ["conv", "conv_transpose"]

Pair = tuple[int, int]
Padding = str | int | Sequence[int | Sequence[int]]

_formulation = "platform"


@contextlib.contextmanager
def force_formulation(name: str) -> Iterator[None]:
    """Convolutions traced inside are "lax" or "cpu" everywhere, for tests and benchmarks.

    "onnx" is "lax" with kernels whose axes are in the one order that jax2onnx knows.
    """
    global _formulation
    before, _formulation = _formulation, name
    try:
        yield
    finally:
        _formulation = before


def formulation() -> str:
    """The one in force: "platform", unless `force_formulation` says another."""
    return _formulation


class Geometry(NamedTuple):
    """Which pixels meet, per axis: large = stride * small + tap - low."""

    kernel: Pair
    strides: Pair
    low: Pair
    large: Pair
    small: Pair
    formulation: str

    def axes(self) -> Iterator[tuple[int, int, int, int, int]]:
        return zip(*self[:5], strict=True)

    def high(self) -> list[int]:
        """Zeros after the large map; negative where its last pixels meet no tap."""
        return [(n - 1) * s + k - low - size for k, s, low, size, n in self.axes()]

    def mirrored(self) -> "Geometry":
        """The same pairs with large and small exchanged and the taps reversed (stride 1)."""
        low = _pair([k - 1 - low for k, low in zip(self.kernel, self.low, strict=True)])
        return self._replace(low=low, large=self.small, small=self.large)


def conv(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: int | Pair = 1,
    padding: Padding = "SAME",
    preferred_element_type: DTypeLike | None = None,
) -> jax.Array:
    """The convolution that `flax.linen.Conv` computes, with fast gradients of every order.

    out[n, i, j, o] = Σ_{a, b, c} x[n, s i + a - low, s j + b - low, c] kernel[a, b, c, o]

    Args:
      x: (N, H, W, C), floating.
      kernel: (kh, kw, C, O), of the same dtype.
      strides: one for both axes or one for each.
      padding: "SAME", "VALID", one number for all four borders, or for each axis a number or
        (low, high).
      preferred_element_type: dtype of the result; that of `x` unless given.

    Returns:
      (N, h, w, O), exactly what `lax.conv_general_dilated` gives. Reverse mode of every order,
      `vmap`, `jit`, `shard_map` and `pmap` apply; forward mode (`jvp`, `jacfwd`) does not.

    Raises:
      ValueError: wrong ranks, or channels that disagree.
      TypeError: dtypes that differ.

    Examples:
      >>> x, kernel = jnp.ones((1, 28, 28, 1)), jnp.ones((5, 5, 1, 32))
      >>> conv(x, kernel, strides=2).shape
      (1, 14, 14, 32)
    """
    _check(x, kernel)
    x, kernel = _varying_alike(x, kernel)
    strides = _pair(strides)
    size, large = _pair(kernel.shape[:2]), _pair(x.shape[1:3])
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(large, size, strides, padding)
    pads = _pads(padding)
    small = _pair(
        [
            max((n + sum(pad) - k) // s + 1, 0)
            for n, k, s, pad in zip(large, size, strides, pads, strict=True)
        ]
    )
    low = _pair([before for before, _ in pads])
    geometry = Geometry(size, strides, low, large, small, _formulation)
    dtype = jnp.dtype(preferred_element_type or x.dtype)
    if strides == (1, 1) and kernel.shape[3] < kernel.shape[2]:
        # A convolution of stride 1 is also a transposed one, of the mirrored kernel. The maps are
        # fastest when the large side has the fewer channels: 28x28x32 to 28x28x1 by 5x5, batch
        # 100, takes 2 ms so and 11 ms else, its gradient by weights 4 and 27.
        return _by_input(geometry.mirrored(), dtype, x, _mirror(kernel))
    return _forward(geometry, dtype, x, kernel)


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: int | Pair = 1,
    padding: Padding = "SAME",
    preferred_element_type: DTypeLike | None = None,
) -> jax.Array:
    """The transposed convolution that `flax.linen.ConvTranspose` computes, with fast gradients.

    out[n, u, v, o] = Σ_{a, b, c} z[n, u + a - low, v + b - low, c] kernel[a, b, c, o], where z is
    `x` with `stride - 1` zeros between its pixels.

    Args:
      x: (N, H, W, C), floating.
      kernel: (kh, kw, C, O), of the same dtype.
      strides: one for both axes or one for each.
      padding: "SAME", "VALID", or zeros around z as in `conv`.
      preferred_element_type: dtype of the result; that of `x` unless given.

    Returns:
      (N, h, w, O), exactly what `lax.conv_transpose(..., transpose_kernel=False)` gives; "SAME" has
      h = H * stride. It differentiates as `conv` does.

    Raises:
      ValueError: wrong ranks, or channels that disagree.
      TypeError: dtypes that differ.

    Examples:
      >>> x, kernel = jnp.ones((1, 7, 7, 128)), jnp.ones((5, 5, 128, 64))
      >>> conv_transpose(x, kernel, strides=2).shape
      (1, 14, 14, 64)
    """
    _check(x, kernel)
    x, kernel = _varying_alike(x, kernel)
    strides = _pair(strides)
    size, small = _pair(kernel.shape[:2]), _pair(x.shape[1:3])
    if isinstance(padding, str):
        padding = [_transposed_padding(k, s, padding) for k, s in zip(size, strides, strict=True)]
    pads = _pads(padding)
    large = _pair(
        [
            max((n - 1) * s + 1 + sum(pad) - k + 1, 0)
            for n, k, s, pad in zip(small, size, strides, pads, strict=True)
        ]
    )
    low = _pair([k - 1 - before for k, (before, _) in zip(size, pads, strict=True)])
    geometry = Geometry(size, strides, low, large, small, _formulation)
    dtype = jnp.dtype(preferred_element_type or x.dtype)
    if strides == (1, 1) and kernel.shape[2] < kernel.shape[3]:
        return _forward(geometry.mirrored(), dtype, x, kernel)
    return _by_input(geometry, dtype, x, _mirror(kernel))


def _varying_alike(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both marked as differing along the same axes of a `shard_map`, if inside of one.

    Gradients of what every device holds alike are then summed over the devices by JAX itself.
    """

    def axes(z):
        # JAX 0.8 and 0.9 keep them as `vma`.
        z = jax.typeof(z)
        return z.manual_axis_type.varying if hasattr(z, "manual_axis_type") else z.vma

    every = axes(x) | axes(kernel)
    x, kernel = (lax.pcast(z, tuple(every - axes(z)), to="varying") for z in (x, kernel))
    return x, kernel


def _mirror(kernel: jax.Array) -> jax.Array:
    """Taps reversed, input and output exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _check(x: jax.Array, kernel: jax.Array) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        raise ValueError(
            f"convolution of {x.shape} by {kernel.shape}: expected (N, H, W, C) and (h, w, C, O)"
        )
    if x.dtype != kernel.dtype:
        raise TypeError(f"convolution of {x.dtype} by {kernel.dtype}: expected equal dtypes")


def _pair(value: int | Sequence[int]) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


def _pads(padding: int | Sequence[int | Sequence[int]]) -> list[Pair]:
    both = (padding, padding) if isinstance(padding, int) else padding
    return [_pair(pad) for pad in both]


def _transposed_padding(kernel: int, stride: int, padding: str) -> Pair:
    """Zeros before and after the spread-out input, as `lax.conv_transpose` has them."""
    if padding == "SAME":
        total = kernel + stride - 2
        before = kernel - 1 if stride > kernel - 1 else -(-total // 2)
    elif padding == "VALID":
        total = kernel + stride - 2 + max(kernel - stride, 0)
        before = kernel - 1
    else:
        raise ValueError(f"padding {padding!r}: expected 'SAME', 'VALID' or numbers")
    return before, total - before


# The three maps. Each takes (geometry, dtype of the result, two arrays).


def _map(lax_map, cpu_map, geometry, dtype, shape, a, b):
    """One of the maps in the formulation of the platform that the program is lowered for."""
    lax_map, cpu_map = (partial(f, geometry, dtype) for f in (lax_map, cpu_map))
    if 0 in (*shape, *a.shape, *b.shape):
        return jnp.zeros(shape, dtype)
    if geometry.formulation in ("lax", "onnx") or not jnp.issubdtype(dtype, jnp.floating):
        return lax_map(a, b)
    if geometry.formulation == "cpu":
        return cpu_map(a, b)
    # Only the branch of the platform is lowered; no conditional is left in the program.
    return lax.platform_dependent(a, b, cpu=cpu_map, default=lax_map)


# Without `jit`, a call outside `jit` would compile `platform_dependent` anew every time.
_jit = partial(jax.jit, static_argnums=(0, 1), inline=True)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
@_jit
def _forward(geometry: Geometry, dtype: jnp.dtype, x: jax.Array, w: jax.Array) -> jax.Array:
    shape = (x.shape[0], *geometry.small, w.shape[3])
    # XLA's own is at the peak of the machine on CPU too.
    return _map(_lax_forward, _lax_forward, geometry, dtype, shape, x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
@_jit
def _by_input(geometry: Geometry, dtype: jnp.dtype, y: jax.Array, w: jax.Array) -> jax.Array:
    shape = (y.shape[0], *geometry.large, w.shape[2])
    return _map(_lax_by_input, convolution_cpu.by_input, geometry, dtype, shape, y, w)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
@_jit
def _by_weights(geometry: Geometry, dtype: jnp.dtype, x: jax.Array, y: jax.Array) -> jax.Array:
    shape = (*geometry.kernel, x.shape[3], y.shape[3])
    return _map(_lax_by_weights, convolution_cpu.by_weights, geometry, dtype, shape, x, y)


def _forward_vjp(geometry, dtype, arrays, dy):
    x, w = arrays
    dy = dy.astype(x.dtype)
    return _by_input(geometry, x.dtype, dy, w), _by_weights(geometry, w.dtype, x, dy)


def _by_input_vjp(geometry, dtype, arrays, dx):
    y, w = arrays
    dx = dx.astype(y.dtype)
    return _forward(geometry, y.dtype, dx, w), _by_weights(geometry, w.dtype, dx, y)


def _by_weights_vjp(geometry, dtype, arrays, dw):
    x, y = arrays
    dw = dw.astype(x.dtype)
    return _by_input(geometry, x.dtype, y, dw), _forward(geometry, y.dtype, x, dw)


for _one, _vjp in (
    (_forward, _forward_vjp),
    (_by_input, _by_input_vjp),
    (_by_weights, _by_weights_vjp),
):
    _one.defvjp(lambda geometry, dtype, a, b, one=_one: (one(geometry, dtype, a, b), (a, b)), _vjp)


# The maps as single convolutions of `lax`.


def _lax_forward(geometry, dtype, x, w):
    return lax.conv_general_dilated(
        x,
        w,
        geometry.strides,
        list(zip(geometry.low, geometry.high(), strict=True)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=dtype,
    )


def _lax_by_input(geometry, dtype, y, w):
    before = [k - 1 - low for k, low in zip(geometry.kernel, geometry.low, strict=True)]
    after = [k - 1 - high for k, high in zip(geometry.kernel, geometry.high(), strict=True)]
    onnx = geometry.formulation == "onnx"
    return lax.conv_general_dilated(
        y,
        _mirror(w) if onnx else w[::-1, ::-1],
        (1, 1),
        list(zip(before, after, strict=True)),
        lhs_dilation=geometry.strides,
        dimension_numbers=("NHWC", "HWIO" if onnx else "HWOI", "NHWC"),
        preferred_element_type=dtype,
    )


def _lax_by_weights(geometry, dtype, x, y):
    return lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        list(zip(geometry.low, geometry.high(), strict=True)),
        rhs_dilation=geometry.strides,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        preferred_element_type=dtype,
    )
