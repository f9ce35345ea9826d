"""The games in jaxgan, as its experiments make them."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from games import GAMES, LEARNING_RATE

from jaxgan import cpu, losses, make_train_step, networks
from jaxgan.methods import Method, adversarial
from jaxgan.state import TrainState

__all__ = ["init", "make_players", "make_step", "prepare"]


def make_players(name: str, dtype: str = "float32") -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator)."""
    shape = GAMES[name].image_shape
    if name == "mlp":
        return networks.mlp("plain", shape, dtype=jnp.dtype(dtype))
    return networks.dcgan(shape[0], shape[2], dtype=jnp.dtype(dtype))


def _adam(name: str, learning_rate: float) -> optax.GradientTransformation:
    return optax.adam(learning_rate, b1=GAMES[name].b1, b2=0.999)


def init(name: str) -> TrainState:
    """The state at step 0."""
    tx = _adam(name, LEARNING_RATE)
    batch = {"image": jnp.zeros((1, *GAMES[name].image_shape))}
    return make_method(name, "float32").init(jax.random.key(0), batch, tx, tx)


def make_method(name: str, dtype: str) -> Method:
    """The plain game of these players."""
    return adversarial(
        *make_players(name, dtype),
        latent_dim=GAMES[name].latent_dim,
        loss=losses.non_saturating,
    )


def make_step(name: str, dtype: str, learning_rate: float = LEARNING_RATE) -> Callable:
    """The pure step, (state, {"image": images}) -> (state, metrics)."""
    tx = _adam(name, learning_rate)
    return make_train_step(make_method(name, dtype), tx, tx)


def prepare(name: str, dtype: str) -> tuple[Callable, Callable]:
    """(does one step, waits for all)."""
    cpu.keep_memory()
    game = GAMES[name]
    shape = (game.batch, *game.image_shape)
    batch = {"image": jax.random.uniform(jax.random.key(1), shape, minval=-1.0)}
    options = cpu.compiler_options()
    compiled = jax.jit(make_step(name, dtype), donate_argnums=0, compiler_options=options)
    now = init(name), None

    def step():
        nonlocal now
        now = compiled(now[0], batch)

    return step, lambda: jax.block_until_ready(now)
