"""The augmentations of StyleGAN2-ADA, each happening to an image with a probability."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jax.scipy.special import ndtri

from jaxgan.augment.checks import check_images
from jaxgan.devices import make_rows

__all__ = ["ada", "ada_color", "ada_cutout", "ada_geometry"]

# The low-pass filter of the symlet of six vanishing moments, by which images are brought to twice
# the resolution and back: of an orthogonal wavelet, so that there and back changes nothing.
SYM6 = np.array(
    [0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
     0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
     -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148]
)  # fmt: skip
PEAK = 5
"""The tap that stands over its pixel."""
MARGIN = len(SYM6) // 4
"""Pixels beyond each border that are moved along, as many as half the filter sees."""

# What is drawn for an image is a percentile of each of these, and one number for those that happen
# together. The neutral percentile leaves the image as it is.
GEOMETRY = ("flip", "turn", "shift", "shift", "scale", "before", "aspect", "after", "move", "move")
NEUTRAL_GEOMETRY = (0.0, 0.0, *[0.5] * 8)
COLOR = ("brightness", "contrast", "luma", "hue", "saturation")
NEUTRAL_COLOR = (0.5, 0.5, 0.0, 0.5, 0.5)


def ada(
    images: jax.Array,
    key: jax.Array,
    probability: float | jax.Array,
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """Geometry, colour and cutout of StyleGAN2-ADA, with the strengths of R3GAN.

        ada_cutout(ada_color(ada_geometry(x, p), p / 2), p)

    With p below 0.8 or so enough images are shown as they are for the generator not to draw what
    the augmentation leaves behind. It is usually let grow from 0, as by
    `optax.linear_schedule(0.0, 0.3, 10_000)(context.step)`.

    Args:
      images: (B, H, W, C) float, of any number of channels.
      key: a PRNG key.
      probability: p, scalar in [0, 1].
      axis_name: the mapped axis, if any.

    Returns:
      The same shape and dtype, computed in float32 at least; values may leave [-1, 1].

    Raises:
      UserError: images of another rank or not floating point.

    Examples:
      >>> ada(jnp.zeros((4, 28, 28, 1)), jax.random.key(0), 0.3).shape
      (4, 28, 28, 1)

    Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    appendix B; the strengths are those of the code of Huang et al. 2024, "The GAN is dead; long
    live the GAN! A Modern Baseline GAN".

    Differs from the authors' code: images are reflected as far as their own size on every side,
    there as far as the batch's furthest needs, so that here no image depends on others.
    """
    check_images(images)
    geometry_key, color_key, cutout_key = jax.random.split(key, 3)
    images = ada_geometry(images, geometry_key, probability, axis_name=axis_name)
    images = ada_color(images, color_key, probability / 2, axis_name=axis_name)
    return ada_cutout(images, cutout_key, probability, axis_name=axis_name)


def ada_geometry(
    images: jax.Array,
    key: jax.Array,
    probability: float | jax.Array,
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """Moves, turns and stretches images; beyond their borders they are reflected.

    In this order, each with the probability p and all as one map, u ~ U[-1, 1] and n ~ N(0, 1):

    - turned over, left to right, in half of the cases;
    - turned by 0, 90, 180 or 270 degrees;
    - shifted by whole pixels, u / 8 of each side;
    - scaled by 2^(n / 5);
    - rotated by 180 u degrees, before or after the next, both together with p;
    - stretched by 2^(n / 5) along one axis, and as much less along the other;
    - moved by n / 8 of each side.

    The map is taken bilinearly at twice the resolution, between the low-pass filter of a wavelet
    and its mirror image, so that an image that is not moved, or only shifted, stays as it is.

    Args, Returns, Raises, Source: as `ada`.
    """
    check_images(images)
    kinds = list(dict.fromkeys(GEOMETRY))
    # Of two rotations one at least happens with p.
    rotation = 1 - jnp.sqrt(1 - jnp.asarray(probability))
    chances = [rotation if kind in ("before", "after") else probability for kind in kinds]
    drawn = _percentiles(images, key, GEOMETRY, NEUTRAL_GEOMETRY, chances, axis_name)
    inverse = _inverse_map(drawn, *images.shape[1:3])
    return _warp(images.astype(drawn.dtype), inverse).astype(images.dtype)


def ada_color(
    images: jax.Array,
    key: jax.Array,
    probability: float | jax.Array,
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """Changes brightness, contrast, luma, hue and saturation.

        c (f (m + b) + s R (x - m)),  m the mean of a pixel's channels

    Each happens with the probability p: b = n / 5, c = 2^(n / 2), f = -1 in half of the cases,
    R a rotation of three channels about (1, 1, 1) by 180 u degrees, s = 2^n, with u ~ U[-1, 1] and
    n ~ N(0, 1). Of one channel x - m is 0; of any other number than three, hues stay.

    Args, Returns, Raises, Source: as `ada`.
    """
    check_images(images)
    chances = [probability] * len(COLOR)
    drawn = _percentiles(images, key, COLOR, NEUTRAL_COLOR, chances, axis_name)
    return _recolor(images.astype(drawn.dtype), drawn).astype(images.dtype)


def ada_cutout(
    images: jax.Array,
    key: jax.Array,
    probability: float | jax.Array,
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """Sets a rectangle of half the sides to 0, its centre anywhere in the image.

    Args, Returns, Raises, Source: as `ada`.
    """
    check_images(images)
    # Around -1 there is no pixel.
    drawn = _percentiles(images, key, ("hole", "hole"), (-1.0, -1.0), [probability], axis_name)
    return _cut(images, drawn)


def _percentiles(
    images: jax.Array,
    key: jax.Array,
    kinds: Sequence[str],
    neutral: Sequence[float],
    chances: Sequence[float | jax.Array],
    axis_name: str | None,
) -> jax.Array:
    """For each image K numbers in (0, 1), (B, K); the neutral ones where nothing is to happen.

    Args:
      kinds: of each number; those of one kind happen together.
      neutral: what each number is where they do not.
      chances: with what probability each kind happens.
    """
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    distinct = list(dict.fromkeys(kinds))
    # Never 0, whose normal number is infinite.
    drawn = make_rows(
        lambda shape: jax.random.uniform(key, shape, dtype, jnp.finfo(dtype).tiny),
        (len(images), len(kinds) + len(distinct)),
        axis_name,
    )
    values, luck = drawn[:, : len(kinds)], drawn[:, len(kinds) :]
    happens = luck < jnp.stack([jnp.asarray(chance, dtype) for chance in chances])[None]
    happens = happens[:, np.array([distinct.index(kind) for kind in kinds])]
    return jnp.where(happens, values, jnp.array([neutral], dtype))


def _inverse_map(drawn: jax.Array, height: int, width: int) -> jax.Array:
    """Percentiles (B, 10) -> from where in an image a pixel comes, (B, 3, 3).

    Of homogeneous coordinates (x, y, 1) in pixels, from the image's centre, x to the right.
    """
    flip, turn, shift_x, shift_y, scale, before, aspect, after, move_x, move_y = drawn.T
    shift_x, shift_y, before, after = (2 * u - 1 for u in (shift_x, shift_y, before, after))
    scale, aspect = (jnp.exp2(ndtri(u) / 5) for u in (scale, aspect))
    maps = [
        _scaling(1 - 2 * jnp.floor(2 * flip), jnp.ones_like(flip)),
        _rotation(jnp.pi / 2 * jnp.floor(4 * turn)),
        _translation(-jnp.round(shift_x * (width / 8)), -jnp.round(shift_y * (height / 8))),
        _scaling(1 / scale, 1 / scale),
        _rotation(jnp.pi * before),
        _scaling(1 / aspect, aspect),
        _rotation(jnp.pi * after),
        _translation(ndtri(move_x) * (-width / 8), ndtri(move_y) * (-height / 8)),
    ]
    return functools.reduce(functools.partial(jnp.matmul, precision="highest"), maps)


def _scaling(x: jax.Array, y: jax.Array) -> jax.Array:
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return _matrices([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def _rotation(angle: jax.Array) -> jax.Array:
    zero, one = jnp.zeros_like(angle), jnp.ones_like(angle)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _matrices([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def _translation(x: jax.Array, y: jax.Array) -> jax.Array:
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return _matrices([[one, zero, x], [zero, one, y], [zero, zero, one]])


def _matrices(rows: list[list[jax.Array]]) -> jax.Array:
    """Entries (B,) each -> (B, 3, 3)."""
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _warp(images: jax.Array, inverse: jax.Array) -> jax.Array:
    """Images whose pixel p is that at `inverse` p, (B, H, W, C)."""
    height, width = images.shape[1:3]
    resample = functools.partial(
        jnp.einsum, "ih,bhwc,jw->bijc", precision="highest", optimize="optimal"
    )
    doubled = resample(
        jnp.asarray(_doubling(height), images.dtype),
        images,
        jnp.asarray(_doubling(width), images.dtype),
    )
    # Each pixel of the moved image at twice the resolution, by its distance from the centre; then
    # where it comes from, as an index of the doubled image.
    y, x = (
        jnp.arange(-MARGIN, side + MARGIN, 0.5, dtype=images.dtype) - (side - 1) / 2
        for side in (height, width)
    )
    x, y = jnp.meshgrid(x, y)
    targets = jnp.stack([x, y, jnp.ones_like(x)])
    x, y = jnp.einsum("bkl,lij->kbij", inverse[:, :2], targets, precision="highest")
    indices = 2 * (y + 1.5 * (height - 1)), 2 * (x + 1.5 * (width - 1))

    def take(image, *indices):
        of_channel = functools.partial(map_coordinates, coordinates=indices, order=1)
        return jax.vmap(of_channel, in_axes=-1, out_axes=-1)(image)

    moved = jax.vmap(take)(doubled, *indices)
    return resample(
        jnp.asarray(_halving(height), images.dtype),
        moved,
        jnp.asarray(_halving(width), images.dtype),
    )


def _doubling(side: int) -> np.ndarray:
    """An axis, reflected by its length less one on either side, at twice the resolution.

    Pixel k of the result stands at k / 2 of the reflected axis. (2 (3 side - 2), side).
    """
    reflected = np.pad(np.arange(side), side - 1, mode="reflect")
    count = len(reflected)
    spread = np.zeros((2 * count + len(SYM6), count))
    for pixel in range(count):
        spread[2 * pixel : 2 * pixel + len(SYM6), pixel] = 2 * SYM6 / SYM6.sum()
    return spread[PEAK : PEAK + 2 * count] @ np.eye(side)[reflected]


def _halving(side: int) -> np.ndarray:
    """An axis with its margins from twice the resolution back, (side, 2 side + 4 MARGIN)."""
    gathered = np.zeros((side, 2 * side + 4 * MARGIN))
    for pixel in range(side):
        first = 2 * (pixel + MARGIN) - PEAK
        gathered[pixel, first : first + len(SYM6)] = SYM6 / SYM6.sum()
    return gathered


def _recolor(images: jax.Array, drawn: jax.Array) -> jax.Array:
    """Images in the colours of percentiles (B, 5)."""
    brightness, contrast, luma, hue, saturation = (u.reshape(-1, 1, 1, 1) for u in drawn.T)
    grey = jnp.mean(images, axis=3, keepdims=True)
    vivid = images - grey
    if images.shape[3] == 3:
        angle = jnp.pi * (2 * hue - 1)
        # The cross product with the axis (1, 1, 1) / sqrt(3).
        across = (jnp.roll(vivid, 1, axis=3) - jnp.roll(vivid, -1, axis=3)) / np.sqrt(3)
        vivid = jnp.cos(angle) * vivid + jnp.sin(angle) * across
    grey = (1 - 2 * jnp.floor(2 * luma)) * (grey + ndtri(brightness) / 5)
    return jnp.exp2(ndtri(contrast) / 2) * (grey + jnp.exp2(ndtri(saturation)) * vivid)


def _cut(images: jax.Array, centres: jax.Array) -> jax.Array:
    """Images with holes at centres (B, 2), x and y in shares of the sides."""
    height, width = images.shape[1:3]

    def inside(centre, side):
        pixels = (jnp.arange(side, dtype=centres.dtype) + 0.5) / side
        return jnp.abs(pixels[None] - centre[:, None]) < 0.25

    rows, columns = inside(centres[:, 1], height), inside(centres[:, 0], width)
    return jnp.where(rows[:, :, None, None] & columns[:, None, :, None], 0, images)
