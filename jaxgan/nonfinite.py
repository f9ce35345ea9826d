"""Steps whose numbers are not finite: how they are known, and a step that leaves them out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxgan.state import PyTree, TrainState

__all__ = ["MOST_SKIPPED", "SKIPPED", "all_finite", "skip_nonfinite"]

SKIPPED = "skipped_steps"
"""The metric that says which steps were left out."""
MOST_SKIPPED = 100
"""So many steps in a row may be left out. Meanwhile the parameters stay, and only other examples
and other noise can help: where nine batches in ten fail, a hundred in a row fail once in 38,000
times. So it is not the batches, and a run that goes on would only look as if it trained."""


def all_finite(tree: PyTree) -> jax.Array:
    """Whether every floating point number of a pytree is finite.

    Args:
      tree: arrays of any kind; integers, keys and None count as finite.

    Returns:
      A bool scalar; of arrays that are sharded under `jit`, of the whole of them.

    Examples:
      >>> bool(all_finite({"a": jnp.ones(3), "b": jnp.array(jnp.inf)}))
      False
    """
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves], bool))


def skip_nonfinite(
    train_step: Callable[[TrainState, PyTree], tuple[TrainState, dict[str, jax.Array]]],
    *,
    axis_name: str | None = None,
) -> Callable[[TrainState, PyTree], tuple[TrainState, dict[str, jax.Array]]]:
    """Makes of a step one that leaves the state as it was where it would not be finite.

    new, metrics = train_step(state, batch); the result is `new` where all floats of its players
    and its `extra`, and all metrics, are finite, else `state` with the step counter of `new`: the
    next step has another key and another batch. Where all is finite the numbers are those of
    `train_step`, to rounding. It costs one pass over the state, and the memory of the old state
    beside the new one.

    Args:
      train_step: pure, (state, batch) -> (state, metrics), such as `make_train_step` gives.
      axis_name: the mapped axis, inside `jax.pmap` or `jax.shard_map`: a step is left out on all
        devices if it is not finite on one. None under plain `jax.jit`, also with sharded arrays.

    Returns:
      A step of the same type, to be jitted, scanned or mapped. Its metrics have "skipped_steps"
      besides, float32, 1 for a step that was left out and 0 for any other. The other metrics of a
      step that was left out are what came, NaN among them: a mean has to pass them over.

    Examples:
      >>> step = skip_nonfinite(make_train_step(objective, tx, tx))  # doctest: +SKIP
      >>> state, metrics = jax.jit(step)(state, batch)  # doctest: +SKIP
    """

    def step(state, batch):
        # The barrier keeps the compiler from fusing the step with what follows, which could change
        # its numbers.
        new, metrics = jax.lax.optimization_barrier(train_step(state, batch))
        finite = all_finite((_floats_of(new), metrics))
        if axis_name is not None:
            finite = jax.lax.pmin(finite.astype(jnp.int32), axis_name).astype(bool)
        generator, discriminator, extra = jax.lax.cond(
            finite, lambda: _floats_of(new), lambda: _floats_of(state)
        )
        new = new.replace(generator=generator, discriminator=discriminator, extra=extra)
        return new, {**metrics, SKIPPED: 1.0 - finite.astype(jnp.float32)}

    return step


def _floats_of(state: TrainState) -> tuple:
    return state.generator, state.discriminator, state.extra
