"""A game small enough to compile in seconds, for the tests of step, checkpoint and loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import losses, make_train_step, networks
from jaxgan.methods import adversarial

LATENT_DIM = 5
IMAGE_SHAPE = (16, 16, 1)
TX = optax.adam(1e-3, b1=0.5)


def players(axis_name=None):
    """Convolutions, transposed convolutions and batch norm, all that a DCGAN has."""
    return (
        networks.DCGANGenerator(4, (8, 4), 1, 3, True, axis_name=axis_name),
        networks.DCGANDiscriminator((4, 8), 3, axis_name=axis_name),
    )


def state(*, ema=True, seed=0):
    """A state at step 0, the caller's own to donate."""
    return jax.tree.map(jnp.copy, _state(ema, seed))


@functools.cache
def _state(ema, seed):
    return game().init(jax.random.key(seed), batch(), TX, TX, ema=ema)


def game(axis_name=None, loss=losses.non_saturating):
    return adversarial(*players(axis_name), latent_dim=LATENT_DIM, loss=loss, axis_name=axis_name)


def step(axis_name=None, loss=losses.non_saturating, ema_decay=0.9, **options):
    options |= {"ema_decay": ema_decay, "axis_name": axis_name}
    return make_train_step(game(axis_name, loss), TX, TX, **options)


def steps(**options):
    """Jitted steps over stacked batches, as `fit` calls them."""
    one = step(**options)
    return jax.jit(lambda state, batches: jax.lax.scan(one, state, batches), donate_argnums=0)


def batch(size=16, seed=0):
    rng = np.random.default_rng(seed)
    return {"image": rng.uniform(-1, 1, (size, *IMAGE_SHAPE)).astype(np.float32)}


def difference(a, b):
    """The largest absolute difference between two pytrees, keys compared exactly."""

    def leaf(x, y):
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        return float(np.max(np.abs(x - y), initial=0.0))

    return max(jax.tree.leaves(jax.tree.map(leaf, a, b)))
