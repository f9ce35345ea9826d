"""What every metric asks of its arrays, told in one line where it is not so."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxgan.errors import UserError

__all__ = ["check_finite", "check_ids", "check_images", "check_pair", "check_rows"]


def check_rows(name: str, rows: ArrayLike, columns: int | None = None) -> np.ndarray:
    """Features or logits as float64 (N, D); `columns` is the D that is expected, if any is."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or 0 in rows.shape:
        raise UserError(f"{name}: got shape {rows.shape}, expected (N, D), one row a sample")
    # jnp's hierarchy of types, since NumPy does not count bfloat16 among the floats.
    if not jnp.issubdtype(rows.dtype, jnp.floating):
        raise UserError(f"{name}: got dtype {rows.dtype}, expected a floating point dtype")
    if columns is not None and rows.shape[1] != columns:
        raise UserError(f"{name}: got {rows.shape[1]} columns, expected {columns}")
    check_finite(name, rows)
    return rows.astype(np.float64)


def check_pair(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features of one width, as float64 (N, D) and (M, D)."""
    real = check_rows("real", real)
    return real, check_rows("fake", fake, columns=real.shape[1])


def check_images(images: ArrayLike) -> jax.Array:
    """Images for a network of photographs: (B, H, W, 1 or 3) floating, as float32."""
    shape, dtype = jnp.shape(images), jnp.result_type(images)
    if len(shape) != 4 or shape[-1] not in (1, 3) or 0 in shape:
        raise UserError(f"images: got shape {shape}, expected (B, H, W, C) with C 1 or 3")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"images: got dtype {dtype}, expected floating point in [0, 1]")
    return jnp.asarray(images, jnp.float32)


def check_finite(name: str, values: np.ndarray) -> None:
    """Refuses NaN and infinities."""
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise UserError(
            f"{name}: got {bad} of {values.size} values not finite, expected finite ones"
        )


def check_ids(name: str, ids: ArrayLike, count: int) -> np.ndarray:
    """Ids of classes or modes, (N,) integers in [0, count)."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or not ids.size:
        raise UserError(f"{name}: got shape {ids.shape}, expected (N,), one id a sample")
    if not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"{name}: got dtype {ids.dtype}, expected an integer dtype")
    if ids.min() < 0 or ids.max() >= count:
        raise UserError(
            f"{name}: got ids from {ids.min()} to {ids.max()}, expected them in [0, {count})"
        )
    return ids
