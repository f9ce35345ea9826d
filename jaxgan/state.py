"""The one state that training carries: two players, a step counter and a key."""

import functools
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxgan import cpu
from jaxgan.network import Network, NetworkLike, as_network

PyTree = Any

__all__ = [
    "Player",
    "TrainState",
    "create_player",
    "create_train_state",
    "init_variables",
    "update_player",
]


class Player(flax.struct.PyTreeNode):
    """One side of the game: everything that minimises one of the two losses.

    Attributes:
      params: the trained parameters of all networks on this side.
      model_state: the other collections (batch statistics, spectral vectors), {} if none.
      opt_state: the Optax state.
      ema_params: exponential moving average of `params`, None where it is not asked for.
    """

    params: PyTree
    model_state: PyTree
    opt_state: PyTree
    ema_params: PyTree = None

    @property
    def variables(self) -> dict[str, PyTree]:
        """What a network takes, with the parameters being trained."""
        return {"params": self.params, **self.model_state}

    @property
    def ema_variables(self) -> dict[str, PyTree]:
        """What a network takes, with the averaged parameters, or the trained ones if none.

        Batch norm's running statistics among them are those of the trained parameters: before a
        network with batch norm draws with averaged ones, `standing_statistics` measures theirs, as
        `load.make_generate` does.
        """
        params = self.params if self.ema_params is None else self.ema_params
        return {"params": params, **self.model_state}


class TrainState(flax.struct.PyTreeNode):
    """All that a train step reads and writes.

    Random numbers come from `fold_in(key, step)`, never from a key split and carried along, so a
    resumed run draws what the unbroken one would have drawn.

    Attributes:
      step: int32 scalar, the number of steps done.
      key: the run's PRNG key, never changed.
      generator, discriminator: the players.
      extra: what a method alone needs (a pool of past images, a frozen first stage), or None.
    """

    step: jax.Array
    key: jax.Array
    generator: Player
    discriminator: Player
    extra: PyTree = None


def init_variables(
    network: NetworkLike, key: jax.Array, *inputs: jax.Array, **options: Any
) -> dict[str, PyTree]:
    """`network.init(key, *inputs)`, compiled to run once, or as part of another program.

    Args:
      network: a Linen module, or any `jaxgan.network.Network`.
      key: a PRNG key.
      *inputs: as the network takes them; of a batch, one example is enough.
      **options: what a Linen module takes that is no array, such as `train=False`.

    Returns:
      The network's variables: "params" and any other collections.

    Raises:
      UserError: `network` is none.

    Examples:
      >>> from flax import linen as nn
      >>> init_variables(nn.Dense(2), jax.random.key(0), jnp.zeros((1, 3)))["params"]["bias"]
      Array([0., 0.], dtype=float32)
    """
    # Options are for a program of its own; within `jit` or `vmap` this is a part of theirs, which
    # an array that is made there tells.
    within = any(isinstance(x, jax.core.Tracer) for x in (key, *inputs, jnp.zeros(())))
    try:
        init = _compile_init(network, tuple(options.items()), within)
    except TypeError:  # a module of which something has no hash
        init = _compile_init.__wrapped__(network, tuple(options.items()), within)
    return init(key, *inputs)


# Kept, since each of many seeds begins with the same networks.
@functools.lru_cache(maxsize=16)
def _compile_init(network: NetworkLike, options: tuple, within: bool) -> Callable:
    # Only a Linen module begins with a call, which has options.
    own = {} if isinstance(network, Network) else dict(options)
    init = functools.partial(as_network(network).init, **own)
    return jax.jit(init, compiler_options={} if within else cpu.quick_options())


def create_player(
    variables: dict[str, PyTree], tx: optax.GradientTransformation, *, ema: bool = False
) -> Player:
    """Makes a player from freshly initialised variables.

    Args:
      variables: what a network's `init` returned: "params" and any other collections.
      tx: the Optax optimiser of this side.
      ema: keep an average of the parameters.

    Returns:
      The `Player`.
    """
    model_state = dict(variables)
    params = model_state.pop("params")
    # A copy, since a donated state must not hold one buffer twice.
    ema_params = jax.tree.map(jnp.copy, params) if ema else None
    return Player(params, model_state, tx.init(params), ema_params)


def update_player(
    player: Player, grads: PyTree, model_state: PyTree, tx: optax.GradientTransformation
) -> Player:
    """One step of a player's optimiser; an average of the parameters stays as it is.

    Args:
      player: before the step.
      grads: of its loss, like `params`.
      model_state: the other collections after the step.
      tx: the Optax optimiser of this side.

    Returns:
      The `Player` after the step.
    """
    updates, opt_state = tx.update(grads, player.opt_state, player.params)
    params = optax.apply_updates(player.params, updates)
    return player.replace(params=params, model_state=model_state, opt_state=opt_state)


def create_train_state(
    key: jax.Array, generator: Player, discriminator: Player, extra: PyTree = None
) -> TrainState:
    """Makes the state at step 0.

    Args:
      key: `jax.random.key(seed)`, from which all random numbers of the training derive.
      generator, discriminator: from `create_player`.
      extra: what the method alone needs.

    Returns:
      The `TrainState`.
    """
    return TrainState(jnp.zeros((), jnp.int32), key, generator, discriminator, extra)
