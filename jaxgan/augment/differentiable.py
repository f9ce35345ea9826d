"""DiffAugment: colour, translation and cutout, with gradients."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxgan.augment.checks import check_images
from jaxgan.devices import make_rows

__all__ = [
    "brightness",
    "color",
    "contrast",
    "cutout",
    "diff_augment",
    "saturation",
    "translation",
]

Augmentation = Callable[..., jax.Array]


def brightness(images: jax.Array, key: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Lightens or darkens: x + u, u ~ U[-1/2, 1/2].

    Args:
      images: (B, H, W, C) float.
      key: a PRNG key.
      axis_name: the mapped axis, if any.

    Returns:
      The same shape and dtype; values may leave [-1, 1].

    Raises:
      UserError: images of another rank or not floating point.

    Examples:
      >>> brightness(jnp.zeros((4, 28, 28, 1)), jax.random.key(0)).shape
      (4, 28, 28, 1)

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training".
    """
    return images + _uniform(images, key, -0.5, 0.5, axis_name)


def saturation(images: jax.Array, key: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Scales the distance of each pixel from its grey: m + u (x - m), u ~ U[0, 2].

    The grey m is the mean over the channels; an image of one channel stays as it is.

    Args, Returns, Raises, Source: as `brightness`.
    """
    factor = _uniform(images, key, 0.0, 2.0, axis_name)
    grey = jnp.mean(images, axis=3, keepdims=True)
    return grey + factor * (images - grey)


def contrast(images: jax.Array, key: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Scales the distance of each pixel from the image's mean m: m + u (x - m), u ~ U[1/2, 3/2].

    Args, Returns, Raises, Source: as `brightness`.
    """
    factor = _uniform(images, key, 0.5, 1.5, axis_name)
    mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + factor * (images - mean)


def color(images: jax.Array, key: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Brightness, then saturation, then contrast.

    Args, Returns, Raises, Source: as `brightness`.
    """
    return diff_augment(images, key, (brightness, saturation, contrast), axis_name=axis_name)


def translation(images: jax.Array, key: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Moves by up to an eighth of the side, each way; 0 comes in, the middle of [-1, 1].

    Args, Returns, Raises, Source: as `brightness`.
    """
    check_images(images)
    height, width = images.shape[1:3]
    # Halves round up, as the authors' code has it.
    reach = [int(side / 8 + 0.5) for side in (height, width)]
    padding = [(0, 0), *((r, r) for r in reach), (0, 0)]
    starts = _starts(images, key, [2 * r + 1 for r in reach], axis_name)

    def crop(image, start):
        return jax.lax.dynamic_slice(image, (*start, 0), images.shape[1:])

    return jax.vmap(crop)(jnp.pad(images, padding), starts)


def cutout(images: jax.Array, key: jax.Array, *, axis_name: str | None = None) -> jax.Array:
    """Sets a rectangle of half the sides to 0; where it leaves the image it is cut off.

    Args, Returns, Raises, Source: as `brightness`.
    """
    check_images(images)
    sides = images.shape[1:3]
    sizes = [int(side / 2 + 0.5) for side in sides]
    # Centres lie anywhere in the image; an even rectangle's on the corners of its pixels.
    counts = [side + 1 - n % 2 for side, n in zip(sides, sizes, strict=True)]
    centres = _starts(images, key, counts, axis_name)
    inside = []
    for axis, (side, size) in enumerate(zip(sides, sizes, strict=True)):
        first = centres[:, axis, None] - size // 2
        pixel = jnp.arange(side)[None]
        inside.append((pixel >= first) & (pixel < first + size))
    rows, columns = inside
    hole = rows[:, :, None, None] & columns[:, None, :, None]
    return jnp.where(hole, 0, images)


def diff_augment(
    images: jax.Array,
    key: jax.Array,
    policy: Sequence[Augmentation] = (color, translation, cutout),
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """Augments differentiably, for real and generated images alike (DiffAugment).

    Args:
      images: (B, H, W, C) float.
      key: a PRNG key.
      policy: what is done, in order: functions (images, key) -> images, from here or one's own.
      axis_name: the mapped axis, if any, which is then given to each function by that name.

    Returns:
      (B, H, W, C), the same dtype; values may leave [-1, 1].

    Raises:
      UserError: images of another rank or not floating point.

    Examples:
      >>> images = jnp.zeros((4, 28, 28, 1))
      >>> diff_augment(images, jax.random.key(0), (translation, cutout)).shape
      (4, 28, 28, 1)

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
    equations 4 to 6.
    """
    check_images(images)
    if not policy:
        return images
    options = {} if axis_name is None else {"axis_name": axis_name}
    for augmentation, part in zip(policy, jax.random.split(key, len(policy)), strict=True):
        images = augmentation(images, part, **options)
    return images


def _uniform(
    images: jax.Array, key: jax.Array, low: float, high: float, axis_name: str | None
) -> jax.Array:
    """One number for each image, (B, 1, 1, 1)."""
    check_images(images)
    return make_rows(
        lambda shape: jax.random.uniform(key, shape, images.dtype, low, high),
        (len(images), 1, 1, 1),
        axis_name,
    )


def _starts(
    images: jax.Array, key: jax.Array, counts: Sequence[int], axis_name: str | None
) -> jax.Array:
    """For each image a row and a column, (B, 2), each below its count."""
    return make_rows(
        lambda shape: jax.random.randint(key, shape, 0, jnp.array([counts])),
        (len(images), 2),
        axis_name,
    )
