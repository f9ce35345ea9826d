"""Likeness of image pairs: mean squared error and structural similarity (SSIM)."""

import math

import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.metrics.checks import check_finite

__all__ = ["mean_squared_error", "ssim"]

_RADIUS, _SIGMA = 5, 1.5
_K1, _K2 = 0.01, 0.03


def mean_squared_error(images: ArrayLike, references: ArrayLike) -> np.ndarray:
    """The mean squared difference of each pair of images.

        mean over height, width and channels of (x - y)^2

    Args:
      images: (B, H, W, C), float or integer.
      references: of the same shape; the error is symmetric.

    Returns:
      (B,) float64, one error a pair; over batches, average what they give.

    Raises:
      UserError: images that are not (B, H, W, C) of one shape, not real numbers or not finite.

    Examples:
      >>> mean_squared_error(np.zeros((2, 4, 4, 1)), np.full((2, 4, 4, 1), 0.5)).tolist()
      [0.25, 0.25]
    """
    x, y = _check_images(images, references)
    return np.mean(np.square(x - y), axis=(1, 2, 3))


def ssim(images: ArrayLike, references: ArrayLike, *, data_range: float) -> np.ndarray:
    """The structural similarity of each pair of images.

        (2 m_x m_y + c_1)(2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1)(s_x^2 + s_y^2 + c_2))
        c_1 = (0.01 data_range)^2,  c_2 = (0.03 data_range)^2

    with the means m, variances s^2 and covariance s_xy under a Gaussian window of 11 x 11 pixels
    and standard deviation 1.5, averaged over the windows that lie within the image and over
    channels.

    Args:
      images: (B, H, W, C) with H and W at least 11, float or integer, in [0, data_range].
      references: of the same shape and range; the similarity is symmetric.
      data_range: the greatest value that images can have, 1 or 255. Values below 0 mean nothing
        to the formula: images in [-1, 1] are first brought to [0, 1].

    Returns:
      (B,) float64, one similarity a pair, from -1 to 1, which is that of equal images; over
      batches, average what they give.

    Raises:
      UserError: images that are not (B, H, W, C) of one shape, too small, not real numbers or out
        of range; a `data_range` that is not a positive number.

    Examples:
      >>> images = np.random.default_rng(0).uniform(size=(2, 16, 16, 1))
      >>> print(np.round(ssim(images, images, data_range=1), 6))
      [1. 1.]

    Source: Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", equations 13 to 17.
    """
    x, y = _check_images(images, references)
    if not 0 < data_range < math.inf:
        raise UserError(f"data_range: got {data_range}, expected a positive number")
    window = 2 * _RADIUS + 1
    if min(x.shape[1:3]) < window:
        raise UserError(f"images: got shape {x.shape}, expected {window} x {window} pixels or more")
    for name, values in (("images", x), ("references", y)):
        if values.min() < 0 or values.max() > data_range:
            raise UserError(
                f"{name}: got values from {values.min():g} to {values.max():g}, expected them in "
                f"[0, {data_range:g}]"
            )
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x**2 + _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c_1, c_2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c_1) / (mean_x**2 + mean_y**2 + c_1)
    structure = (2 * covariance + c_2) / (variances + c_2)
    return np.mean(luminance * structure, axis=(1, 2, 3))


def _blur(images: np.ndarray) -> np.ndarray:
    """The Gaussian window's mean around each pixel that is far enough from the edges."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= np.sum(weights)
    for axis in (1, 2):  # the window is the product of one along each
        size = images.shape[axis] - 2 * _RADIUS
        images = sum(
            weight * np.take(images, np.arange(start, start + size), axis)
            for start, weight in enumerate(weights)
        )
    return images


def _check_images(images: ArrayLike, references: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    images, references = np.asarray(images), np.asarray(references)
    if images.ndim != 4 or 0 in images.shape:
        raise UserError(f"images: got shape {images.shape}, expected (B, H, W, C)")
    if references.shape != images.shape:
        raise UserError(
            f"references: got shape {references.shape}, expected {images.shape}, that of images"
        )
    pair = []
    for name, values in (("images", images), ("references", references)):
        try:
            values = values.astype(np.float64, casting="same_kind")
        except TypeError:
            raise UserError(f"{name}: got dtype {values.dtype}, expected real numbers") from None
        check_finite(name, values)
        pair.append(values)
    return pair[0], pair[1]
