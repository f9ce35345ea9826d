"""A pool of past fakes, so that the discriminator does not forget what it has already seen."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxgan.devices import own_rows, whole_batch
from jaxgan.errors import UserError

__all__ = ["Pool", "empty_pool", "exchange"]


class Pool(NamedTuple):
    """Past fakes; a pytree that a compiled step reads and writes.

    Attributes:
      images: (size, H, W, C) float32.
      count: int32 scalar, how many places are filled.
    """

    images: jax.Array
    count: jax.Array  # type: ignore[assignment]


def empty_pool(size: int, image_shape: tuple[int, int, int]) -> Pool:
    """Makes a pool with no image in it yet.

    Args:
      size: how many images it can hold.
      image_shape: (H, W, C).

    Returns:
      The `Pool`.

    Raises:
      UserError: a size below 1.

    Examples:
      >>> empty_pool(50, (28, 28, 3)).images.shape
      (50, 28, 28, 3)
    """
    if size < 1:
        raise UserError(f"pool_size: got {size}, expected 1 or more")
    return Pool(jnp.zeros((size, *image_shape), jnp.float32), jnp.zeros((), jnp.int32))


def exchange(
    pool: Pool, images: jax.Array, key: jax.Array, *, axis_name: str | None = None
) -> tuple[jax.Array, Pool]:
    """Gives back images of which about half are past ones, in whose place the new ones go.

    One image after the other: while there is an empty place, it is filled and the image itself
    given back; later, with probability 1/2, a place drawn at random gives its image and takes
    this one, else the image itself is given back and not kept.

    Args:
      pool: from `empty_pool` or from the last exchange.
      images: (B, H, W, C) float, new fakes.
      key: a PRNG key; the same on every device of a mapped axis.
      axis_name: the mapped axis inside `pmap` or `shard_map`. All devices keep the same pool, into
        which the images of all of them go.

    Returns:
      ((B, H, W, C) images for the discriminator, the new `Pool`).

    Examples:
      >>> pool = empty_pool(2, (1, 1, 1))
      >>> shown, pool = exchange(pool, jnp.arange(2.0).reshape(2, 1, 1, 1), jax.random.key(0))
      >>> print(shown.ravel(), pool.images.ravel(), pool.count)
      [0. 1.] [0. 1.] 2

    Source: Shrivastava et al. 2017, "Learning from Simulated and Unsupervised Images through
    Adversarial Training", section 2.3; as in the authors' code of Zhu et al. 2017, "Unpaired
    Image-to-Image Translation using Cycle-Consistent Adversarial Networks", section 4.
    """
    size, images = pool.images.shape[0], whole_batch(images, axis_name)
    swap_key, place_key = jax.random.split(key)
    swaps = jax.random.bernoulli(swap_key, 0.5, images.shape[:1])
    places = jax.random.randint(place_key, images.shape[:1], 0, size)

    def one(pool: Pool, inputs):
        image, swap, place = inputs
        filling = pool.count < size
        place = jnp.where(filling, pool.count, place)
        past = pool.images[place]
        kept = jnp.where(filling | swap, image.astype(past.dtype), past)
        shown = jnp.where(swap & ~filling, past.astype(image.dtype), image)
        return Pool(pool.images.at[place].set(kept), jnp.minimum(pool.count + 1, size)), shown

    pool, shown = jax.lax.scan(one, pool, (images, swaps, places))
    return own_rows(shown, axis_name), pool
