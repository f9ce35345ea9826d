"""Batch norm's statistics, measured anew: averaged parameters are not those of the running ones."""

import jax
import jax.numpy as jnp
from flax import traverse_util

from jaxgan.errors import UserError
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree
from jaxgan.step import apply_train

__all__ = ["standing_statistics"]


def standing_statistics(
    network: NetworkLike, variables: dict[str, PyTree], *inputs: jax.Array
) -> dict[str, PyTree]:
    """Measures the batch norm statistics of given parameters anew.

    Averaged parameters are not those that the running statistics were gathered with: normalised
    by them, their images come out blurred and much alike. Here the parameters stay, and batches
    of inputs pass in training mode, from which batch norm averages its statistics as in training,
    with its own momentum m, but with weights that sum to 1:

        mean = sum_i m^(N - i) mean_i / sum_i m^(N - i),  i = 1 ... N, and so the variance

    Args:
      network: as for `apply_train`.
      variables: its collections; without running statistics they are given back as they are.
      *inputs: (N, B, ...), N batches of each input.

    Returns:
      The variables with new running means and variances, that is leaves of "batch_stats" that are
      called "mean" and "var" and stand together; all else is as it was. So are statistics that
      no batch changes.

    Raises:
      UserError: statistics of Equinox's `BatchNorm(mode="ema")`, which normalises by them in
        training, too, so that they cannot be measured like that.

    Examples:
      >>> from jaxgan.networks import MLPGenerator
      >>> generator, latents = MLPGenerator((8,), (2, 2, 1), batch_norm=True), jnp.ones((10, 64, 3))
      >>> variables = generator.init(jax.random.key(0), latents[0])
      >>> measured = standing_statistics(generator, variables, latents)
      >>> float(jnp.max(measured["batch_stats"]["BatchNorm_0"]["norm"]["var"])) < 1e-5
      True

    Source: Brock et al. 2019, "Large Scale GAN Training for High Fidelity Natural Image
    Synthesis", appendix D ("standing statistics").
    """
    statistics = traverse_util.flatten_dict(variables.get("batch_stats", {}), keep_empty_nodes=True)
    before = {path: leaf for path, leaf in statistics.items() if _is_moment(path, statistics)}
    if not before:
        return variables
    if any(path[-1] == "first_time" for path in statistics):
        raise UserError(
            "batch_stats: got those of Equinox's BatchNorm(mode='ema'), which normalises by them "
            "in training, too, expected those of mode='batch'"
        )

    def with_moments(moments):
        merged = traverse_util.unflatten_dict({**statistics, **moments})
        return {**variables, "batch_stats": merged}

    def update(moments, batch_and_key):
        batch, key = batch_and_key
        _, changed = apply_train(network, with_moments(moments), *batch, key=key)
        changed = traverse_util.flatten_dict(changed["batch_stats"])
        # Not the other statistics, such as Flax's singular vectors, which hold for any batch.
        return {path: changed[path].astype(moments[path].dtype) for path in moments}

    # An update is m * old + (1 - m) * new: from 0 the average lacks the weight m^N, which is what
    # N updates leave of a difference. Two starts so far apart that all batches are lost beside
    # them tell it without cancellation.
    def starts(x):
        both = jnp.array([0.0, _FAR], jnp.promote_types(x.dtype, jnp.float32))
        return jnp.broadcast_to(both.reshape(2, *(1 for _ in x.shape)), (2, *x.shape))

    keys = jax.random.split(jax.random.key(0), inputs[0].shape[0])
    # The network's pass does not depend on the starts: only the updates are done twice.
    after, _ = jax.lax.scan(
        lambda moments, batch: (jax.vmap(update, (0, None))(moments, batch), None),
        jax.tree.map(starts, before),
        (inputs, keys),
    )

    def average(old, after):
        near, far = after
        left = (far - near) / _FAR
        constant = left == 1
        return jnp.where(constant, old, near / jnp.where(constant, 1, 1 - left)).astype(old.dtype)

    # Equinox divides by 1 - m^counter what it has gathered from 0; these are whole.
    counters = {(*path[:-1], "counter") for path in before} & statistics.keys()
    whole = {path: jnp.full_like(statistics[path], jnp.iinfo(jnp.int32).max) for path in counters}
    return with_moments({**jax.tree.map(average, before, after), **whole})


_FAR = 2.0**60


def _is_moment(path: tuple[str, ...], statistics: PyTree) -> bool:
    """Whether this is a mean that has a variance beside it, or the other way round."""
    pair = {(*path[:-1], "mean"), (*path[:-1], "var")}
    return path in pair and pair <= statistics.keys()
