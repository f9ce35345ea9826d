"""The bilinear maps of `convolution` as products of matrices, for CPU.

Measured with JAX 0.10.2 on two AVX-512 cores, of about 200 GFLOP/s together. XLA computes a
convolution of stride 1 at that rate, so phases are made of one where there are enough channels;
convolutions with a dilated input or a large dilated kernel, which the gradients of strided and of
transposed convolutions are to `lax`, run at a tenth of it, or a hundredth.
"""

import jax
import jax.numpy as jnp
from jax import lax

__all__ = ["by_input", "by_weights", "by_weights_as_convolution", "prefers_products"]

FEW = 4
"""Channels (of images) so few that moving pixels costs more than the products."""
CHUNK = 4 << 20
"""Bytes of patches made at once: 64 MB at once take up to twice as long, most of it page faults."""


def by_input(geometry, dtype: jnp.dtype, y: jax.Array, w: jax.Array) -> jax.Array:
    """The large map, (y, w) -> x, of a `convolution.Geometry`.

    Large pixels of one phase, (pixel + low) mod stride, meet the same taps. So the phases are the
    channels of one convolution of stride 1, whose kernel holds every stride-th tap, followed by
    depth-to-space: 22 ms where a convolution of the dilated input takes 56 to 77 (64 x 32x32x64 by
    4x4), 7 where it takes 144 (100 x 4x4x128 to 7x7x64 by 5x5).
    """
    (kh, kw), (sh, sw), channels = geometry.kernel, geometry.strides, w.shape[2]
    th, tw = -(-kh // sh), -(-kw // sw)  # Taps of a phase, the last of some phases being zero.
    w = jnp.pad(w, ((0, th * sh - kh), (0, tw * sw - kw), (0, 0), (0, 0)))
    w = w.reshape(th, sh, tw, sw, channels, -1).transpose(0, 2, 5, 1, 3, 4)
    # pixel + low = stride * m + phase; m runs over `count` from `first`, and meets i = m - tap.
    first = [low // s for _, s, low, _, _ in geometry.axes()]
    count = [
        (low + size - 1) // s - m + 1
        for (_, s, low, size, _), m in zip(geometry.axes(), first, strict=True)
    ]
    (top, bottom), (left, right) = (
        (-m, n + m - small) for m, n, small in zip(first, count, geometry.small, strict=True)
    )
    if channels <= FEW:
        # One product for all taps, then their sum, each moved to where it belongs: 2 against 6 ms
        # for 100 x 28x28x32 to 28x28x1 by 5x5.
        w = w.reshape(th, tw, y.shape[3], -1)
        products = jnp.einsum("nijo,abop->nijabp", y, w, preferred_element_type=_sum_dtype(dtype))
        zero = jnp.zeros((), products.dtype)
        none = (0, 0, 0)
        x = sum(
            lax.pad(
                products[:, :, :, a, b],
                zero,
                (none, (top + a, bottom - a, 0), (left + b, right - b, 0), none),
            )
            for a in range(th)
            for b in range(tw)
        ).astype(dtype)
    else:

        def phases(w):
            return lax.conv_general_dilated(
                y,
                w[::-1, ::-1].reshape(*w.shape[:3], -1),
                (1, 1),
                [(top + w.shape[0] - 1, bottom), (left + w.shape[1] - 1, right)],
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                preferred_element_type=dtype,
            )

        if (kh % sh or kw % sw) and kh > sh and kw > sw:
            # Phases differ in taps: a convolution for each, that 5x5 costs 25 of them and not 36:
            # 22 against 26 ms for 100 x 7x7x128 to 14x14x64, on one core.
            each = [
                phases(w[: -(-(kh - a) // sh), : -(-(kw - b) // sw), :, a, b])
                for a in range(sh)
                for b in range(sw)
            ]
            x = jnp.stack(each, axis=3)
        else:
            x = phases(w)
    x = x.reshape(-1, *count, sh, sw, channels).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, count[0] * sh, count[1] * sw, channels)
    top, left = (low - s * m for (_, s, low, _, _), m in zip(geometry.axes(), first, strict=True))
    return x[:, top : top + geometry.large[0], left : left + geometry.large[1]]


def prefers_products(x: jax.Array, y: jax.Array) -> bool:
    """Whether `by_weights` is faster than the convolution that `lax` makes of it.

    XLA's own is good while the sum over the batch's pixels is short: 16 to 24 against 20 to 33 ms
    for 100 x 14x14x64 to 7x7x128 by 5x5; but 66 to 77 against 36 to 48 for 64 x 32x32x64 to
    16x16x128 by 4x4, and 134 to 150 against 46 to 70 for 3x3 at 64 x 32x32x64.
    """
    batch, height, width, _ = y.shape
    return x.shape[3] <= FEW or batch * height * width > 8192


def by_weights(geometry, dtype: jnp.dtype, x: jax.Array, y: jax.Array) -> jax.Array:
    """The kernel, (x, y) -> w: the small map times patches of the large one.

    In chunks of the batch, so that the patches stay in cache.
    """
    (kh, kw), (sh, sw), (h, w) = geometry.kernel, geometry.strides, geometry.small
    batch, channels, features = x.shape[0], x.shape[3], y.shape[3]
    # One product for each row of taps, as the patches of all rows at once would be kh times as
    # large; of few channels, where it is the number of operations that counts, one for all.
    rows = kh if channels > FEW else 1
    patches = batch * h * w * channels * kh * kw // rows * x.dtype.itemsize
    wanted = min(-(-patches // CHUNK), batch)
    chunks = next(n for n in range(max(wanted, 1), batch + 1) if batch % n == 0)

    def chunk(i):
        # The batch is split with the chunks inside, so that a sharded batch stays sharded.
        xi, yi = (
            lax.dynamic_index_in_dim(z.reshape(-1, chunks, *z.shape[1:]), i, axis=1, keepdims=False)
            for z in (x, y)
        )
        borders = zip(geometry.low, geometry.high(), (0, 0), strict=True)
        xi = lax.pad(xi, jnp.zeros((), x.dtype), ((0, 0, 0), *borders, (0, 0, 0)))
        yi = yi.reshape(-1, features)
        taps = [
            xi[:, a : a + sh * (h - 1) + 1 : sh, b : b + sw * (w - 1) + 1 : sw]
            for a in range(kh)
            for b in range(kw)
        ]
        taps_of_row = len(taps) // rows
        return jnp.stack(
            [
                # In this order, small map first, the product is up to half as fast again.
                lax.dot_general(
                    yi,
                    jnp.concatenate(taps[r : r + taps_of_row], axis=-1).reshape(len(yi), -1),
                    (((0,), (0,)), ((), ())),
                    preferred_element_type=_sum_dtype(dtype),
                )
                for r in range(0, len(taps), taps_of_row)
            ]
        )

    dw = chunk(0) if chunks == 1 else lax.map(chunk, jnp.arange(chunks)).sum(0)
    dw = dw.reshape(rows, features, -1, channels).transpose(0, 2, 3, 1)
    return dw.reshape(kh, kw, channels, features).astype(dtype)


def by_weights_as_convolution(geometry, dtype: jnp.dtype, x: jax.Array, y: jax.Array) -> jax.Array:
    """The kernel, (x, y) -> w, as one convolution of axes in the order that XLA's fast one takes.

    XLA reorders the axes by itself, but not inside a loop, as `lax.scan` makes: there the same
    convolution took 3,400 ms in place of 23 (100 x 14x14x64 to 7x7x128 by 5x5).
    """
    w = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        list(zip(geometry.low, geometry.high(), strict=True)),
        rhs_dilation=geometry.strides,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=dtype,
    )
    return w.transpose(1, 2, 0, 3)


def _sum_dtype(dtype: jnp.dtype) -> jnp.dtype:
    return jnp.promote_types(dtype, jnp.float32)
