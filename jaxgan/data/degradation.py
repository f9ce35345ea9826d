"""What images go through before they are small: blur, resizing, noise and JPEG, at random.

For training super-resolution on what photographs found in the wild are like. Every function is of
a batch of images (B, H, W, C) in [0, 1] and a key, draws for each image by itself, and is pure:
inside of a train step its draws come from the step's key, so that a resumed run repeats them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import UserError

__all__ = ["blur_and_resize", "degrade", "jpeg", "sensor_noise"]

FILTERS = ("linear", "cubic", "lanczos3")

# Quantisation at quality 50: ITU-T T.81, tables K.1 and K.2.
# fmt: off
LUMINANCE = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
], np.float32)
# fmt: on
CHROMINANCE = np.full((8, 8), 99, np.float32)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# JFIF 1.02: R, G, B in [0, 255] to Y, Cb - 128, Cr - 128.
TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
TO_RGB = np.linalg.inv(TO_YCC)

# The cosine transform of 8 numbers, orthonormal: DCT[k, n].
DCT = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(8) + 1) / 16) / 2
DCT[0] /= np.sqrt(2)
DCT = DCT.astype(np.float32)


def degrade(images: jax.Array, key: jax.Array, *, scale: int = 4) -> jax.Array:
    """Small images, as they are found: twice blurred, noisy and compressed, and once made small.

        blur, noise, JPEG at the full side;  then blur and resize by 1 / scale, noise, JPEG

    Args:
      images: (B, H, W, C) float in [0, 1], C 1 or 3, with sides that 8 times `scale` divides.
      key: a PRNG key.
      scale: how many times smaller the sides become.

    Returns:
      (B, H / scale, W / scale, C) float32 in [0, 1].

    Raises:
      UserError: images of another shape or dtype.

    Examples:
      >>> degrade(jnp.zeros((2, 64, 64, 3)), jax.random.key(0)).shape
      (2, 16, 16, 3)

    Source: Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
    Synthetic Data", section 3. Differs from it: kernels are Gaussians along the axes, with two
    deviations, and none of the sinc filters; no resizing in between; weaker, since small pictures
    have less to lose: deviations of the blur up to 1.5 pixels, noise up to 10 / 255, quality of
    JPEG 50 to 95.
    """
    height, width = _checked(images).shape[1:3]
    if height % (8 * scale) or width % (8 * scale):
        raise UserError(
            f"images: got sides {(height, width)}, expected multiples of {8 * scale}, which is 8 "
            f"times scale={scale}"
        )
    for stage, times in enumerate((1, scale)):
        blur_key, noise_key, jpeg_key = jax.random.split(jax.random.fold_in(key, stage), 3)
        size = (height // times, width // times)
        images = blur_and_resize(images, blur_key, size, sigma=(0.2, 1.5))
        images = sensor_noise(images, noise_key, deviation=10 / 255)
        quality = jax.random.uniform(jpeg_key, (len(images),), minval=50.0, maxval=95.0)
        images = jpeg(images, quality)
    return images


def blur_and_resize(
    images: jax.Array, key: jax.Array, size: tuple[int, int], *, sigma: tuple[float, float]
) -> jax.Array:
    """A Gaussian blur of two deviations, one an axis, and a resizing by one of three filters.

    Args:
      images: (B, H, W, C) float.
      key: a PRNG key, from which each image has deviations and a filter of its own.
      size: (h, w).
      sigma: the least and the largest deviation, in pixels.

    Returns:
      (B, h, w, C) float32 in [0, 1]. Beyond its border an image goes on as it ends.

    Raises:
      UserError: images of another shape or dtype.

    Examples:
      >>> white = jnp.ones((1, 8, 8, 3))
      >>> blur_and_resize(white, jax.random.key(0), (4, 4), sigma=(0.5, 1.0)).min() > 0.999
      Array(True, dtype=bool)
    """
    images = _checked(images)
    sigma_key, filter_key = jax.random.split(key)
    low, high = sigma
    sigmas = jax.random.uniform(sigma_key, (2, len(images), 1, 1), minval=low, maxval=high)
    chosen = jax.random.randint(filter_key, (len(images),), 0, len(FILTERS))
    # Both are linear and go by axis: a matrix for each image and axis does them together.
    rows, columns = (
        _filters(n, m)[chosen] @ _gaussians(n, of)
        for n, m, of in zip(images.shape[1:3], size, sigmas, strict=True)
    )
    return jnp.clip(jnp.einsum("bij,bkl,bjlc->bikc", rows, columns, images, optimize=True), 0, 1)


def _gaussians(n: int, sigmas: jax.Array) -> jax.Array:
    """(B, 1, 1) deviations -> (B, n, n), of which each row sums to one."""
    reach = 3 * n
    away = jnp.arange(-reach, n + reach)[None] - jnp.arange(n)[:, None]
    weights = jnp.exp(-0.5 * jnp.square(away[None] / sigmas))
    weights = weights / jnp.sum(weights, axis=-1, keepdims=True)
    # What lies beyond the border counts for the pixel there.
    inside = weights[..., reach : reach + n]
    first = jnp.sum(weights[..., :reach], axis=-1)
    last = jnp.sum(weights[..., reach + n :], axis=-1)
    return inside.at[..., 0].add(first).at[..., -1].add(last)


def _filters(n: int, m: int) -> jax.Array:
    """(F, m, n), what each filter makes of a unit vector."""
    unit = jnp.eye(n)
    return jnp.stack([jax.image.resize(unit, (m, n), method) for method in FILTERS])


def sensor_noise(images: jax.Array, key: jax.Array, *, deviation: float) -> jax.Array:
    """Noise of a camera, in half of the images as light gives it, in half all alike.

        x + d n sqrt(x) or x + d n,  d ~ U[0, deviation],  n ~ N(0, 1)

    The first is the normal limit of Poisson noise. In 2 of 5 images it is grey.

    Args:
      images: (B, H, W, C) float in [0, 1].
      key: a PRNG key.
      deviation: the largest.

    Returns:
      The same shape, float32 in [0, 1].

    Raises:
      UserError: images of another shape or dtype.

    Examples:
      >>> sensor_noise(jnp.full((2, 4, 4, 3), 0.5), jax.random.key(0), deviation=0.1).shape
      (2, 4, 4, 3)
    """
    images = _checked(images)
    keys = jax.random.split(key, 4)
    one = (len(images), 1, 1, 1)
    deviations = jax.random.uniform(keys[0], one, maxval=deviation)
    noise = jax.random.normal(keys[1], images.shape)
    grey, of_light = (
        jax.random.bernoulli(key, share, one)
        for key, share in zip(keys[2:], (0.4, 0.5), strict=True)
    )
    noise = jnp.where(grey, noise[..., :1], noise)
    strength = jnp.where(of_light, jnp.sqrt(jnp.maximum(images, 0)), 1.0)
    return jnp.clip(images + deviations * strength * noise, 0, 1)


def jpeg(images: jax.Array, quality: jax.Array | float) -> jax.Array:
    """What is left of images after JPEG, colours at the full side (4:4:4).

    Blocks of 8 x 8 pixels, their cosine transform rounded to multiples of the standard's tables
    times 50 / quality below 50, else 2 - quality / 50; the gradient is zero almost everywhere.

    Args:
      images: (B, H, W, C) float in [0, 1], C 1 or 3, with sides that 8 divides.
      quality: 1 to 100, one number or one for each image, (B,).

    Returns:
      The same shape, float32 in [0, 1], in steps of 1 / 255.

    Raises:
      UserError: images of another shape or dtype.

    Examples:
      >>> print(jpeg(jnp.full((1, 8, 8, 3), 0.5), 90.0)[0, 0, 0])
      [0.5019608 0.5019608 0.5019608]

    Source: ITU-T Recommendation T.81 (1992), annexes A and K; Independent JPEG Group's scale of
    quality.
    """
    images = _checked(images)
    b, height, width, channels = images.shape
    if height % 8 or width % 8:
        raise UserError(f"images: got sides {(height, width)}, expected multiples of 8")
    middle = np.array([128, 0, 0], np.float32)[:channels].reshape(1, 1, 1, channels)
    levels = jnp.round(255 * images)
    # Rounded where a file holds whole numbers.
    levels = jnp.round(levels @ TO_YCC.T if channels == 3 else levels) - middle
    blocks = levels.reshape(b, height // 8, 8, width // 8, 8, channels)
    into: dict[str, Any] = {"optimize": True, "precision": jax.lax.Precision.HIGHEST}
    frequencies = jnp.einsum("ki,lj,bhiwjc->bhkwlc", DCT, DCT, blocks, **into)
    steps = _steps(jnp.broadcast_to(jnp.asarray(quality, jnp.float32), (b,)), channels)
    frequencies = jnp.round(frequencies / steps) * steps
    blocks = jnp.einsum("ki,lj,bhkwlc->bhiwjc", DCT, DCT, frequencies, **into)
    levels = jnp.round(blocks.reshape(images.shape)) + middle
    levels = levels @ TO_RGB.T if channels == 3 else levels
    return jnp.clip(jnp.round(levels), 0, 255) / 255


def _steps(quality: jax.Array, channels: int) -> jax.Array:
    """(B,) -> (B, 1, 8, 1, 8, C), what frequencies are rounded to multiples of."""
    tables = np.stack([LUMINANCE, *[CHROMINANCE] * (channels - 1)], axis=-1)
    percent = jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    scaled = (tables[None] * percent.reshape(-1, 1, 1, 1) + 50) // 100
    return jnp.clip(scaled, 1, 255)[:, None, :, None]


def _checked(images: jax.Array) -> jax.Array:
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    if len(shape) != 4 or shape[3] not in (1, 3) or not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(
            f"images: got {dtype} of shape {shape}, expected floats (B, H, W, 1) or (B, H, W, 3)"
        )
    return jnp.asarray(images, jnp.float32)
