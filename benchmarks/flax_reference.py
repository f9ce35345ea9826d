"""The games in plain Flax and Optax, as their users write them, without anything of jaxgan."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import parity
from flax.training import train_state
from flax.traverse_util import unflatten_dict
from games import LEARNING_RATE, Game
from jax.nn import softplus

__all__ = ["TrainState", "init", "make_players", "prepare", "train_step"]

normal = nn.initializers.normal(0.02)
batch_norm = partial(nn.BatchNorm, momentum=0.9, epsilon=1e-5)


class TrainState(train_state.TrainState):
    """Flax's, with the running statistics of batch norm."""

    batch_stats: dict


class MLPGenerator(nn.Module):
    """Latents (B, 64) -> images (B, 28, 28, 1)."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for _ in range(2):
            x = nn.relu(nn.Dense(256, dtype=self.dtype)(x))
        x = nn.Dense(28 * 28, dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32)).reshape(-1, 28, 28, 1)


class MLPDiscriminator(nn.Module):
    """Images (B, 28, 28, 1) -> logits (B,)."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        for _ in range(2):
            x = nn.leaky_relu(nn.Dense(256, dtype=self.dtype)(x), 0.2)
        return nn.Dense(1, dtype=self.dtype)(x)[:, 0].astype(jnp.float32)


class DCGANGenerator(nn.Module):
    """Latents (B, D) -> images (B, H, W, C)."""

    side: int
    widths: tuple[int, ...]
    channels: int
    kernel: tuple[int, int]
    last_stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        options = {"kernel_init": normal, "dtype": self.dtype}
        norm = partial(batch_norm, use_running_average=not train, dtype=self.dtype)
        x = nn.Dense(self.side**2 * self.widths[0], use_bias=False, **options)(x)
        x = nn.relu(norm()(x.reshape(-1, self.side, self.side, self.widths[0])))
        for width in self.widths[1:]:
            x = nn.ConvTranspose(width, self.kernel, (2, 2), use_bias=False, **options)(x)
            x = nn.relu(norm()(x))
        if self.last_stride == 2:
            x = nn.ConvTranspose(self.channels, self.kernel, (2, 2), **options)(x)
        else:
            x = nn.Conv(self.channels, self.kernel, **options)(x)
        return jnp.tanh(x.astype(jnp.float32))


class DCGANDiscriminator(nn.Module):
    """Images (B, H, W, C) -> logits (B,)."""

    widths: tuple[int, ...]
    kernel: tuple[int, int]
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        options = {"kernel_init": normal, "dtype": self.dtype}
        for i, width in enumerate(self.widths):
            x = nn.Conv(width, self.kernel, (2, 2), use_bias=i == 0, **options)(x)
            if i > 0:
                x = batch_norm(use_running_average=not train, dtype=self.dtype)(x)
            x = nn.leaky_relu(x, 0.2)
        return nn.Dense(1, **options)(x.reshape(x.shape[0], -1))[:, 0].astype(jnp.float32)


def make_players(game: Game, dtype: str) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator), of `games.OF_CPU` alone."""
    dtype = jnp.dtype(dtype)
    if game.name == "mlp":
        return MLPGenerator(dtype), MLPDiscriminator(dtype)
    if game.name == "dcgan28":
        return (
            DCGANGenerator(7, (128, 64, 32), 1, (5, 5), 1, dtype),
            DCGANDiscriminator((32, 64, 128), (5, 5), dtype),
        )
    return (
        DCGANGenerator(4, (512, 256, 128, 64), 3, (4, 4), 2, dtype),
        DCGANDiscriminator((64, 128, 256, 512), (4, 4), dtype),
    )


def init(
    game: Game, dtype: str, learning_rate: float = LEARNING_RATE
) -> tuple[TrainState, TrainState]:
    """States of the generator and of the discriminator."""
    inputs = jnp.zeros((1, game.latent_dim)), jnp.zeros((1, *game.image_shape))
    states = []
    for player, x in zip(make_players(game, dtype), inputs, strict=True):
        variables = jax.jit(partial(player.init, train=False))(jax.random.key(0), x)
        state = TrainState.create(
            apply_fn=player.apply,
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            tx=optax.adam(learning_rate, b1=game.b1, b2=game.b2),
        )
        states.append(state)
    return tuple(states)


@partial(jax.jit, donate_argnums=(0, 1))
def train_step(
    gen: TrainState, disc: TrainState, images: jax.Array, latents: jax.Array
) -> tuple[TrainState, TrainState, tuple[jax.Array, ...]]:
    """One update of each; the losses are (real, fake, generator)."""

    def apply(state, params, batch_stats, x):
        variables = {"params": params, "batch_stats": batch_stats}
        return state.apply_fn(variables, x, train=True, mutable=["batch_stats"])

    def generate(params):
        fakes, changed = apply(gen, params, gen.batch_stats, latents)
        return fakes, changed.get("batch_stats", {})

    fakes, pullback, gen_stats = jax.vjp(generate, gen.params, has_aux=True)

    def disc_loss(params):
        real_logits, changed = apply(disc, params, disc.batch_stats, images)
        stats = changed.get("batch_stats", {})
        fake_logits, changed = apply(disc, params, stats, fakes)
        real, fake = softplus(-real_logits).mean(), softplus(fake_logits).mean()
        return real + fake, (real, fake, changed.get("batch_stats", {}))

    grads, (real, fake, disc_stats) = jax.grad(disc_loss, has_aux=True)(disc.params)
    disc = disc.apply_gradients(grads=grads, batch_stats=disc_stats)

    def gen_loss(fakes):
        logits, _ = apply(disc, disc.params, disc.batch_stats, fakes)
        return softplus(-logits).mean()

    loss, by_fakes = jax.value_and_grad(gen_loss)(fakes)
    gen = gen.apply_gradients(grads=pullback(by_fakes)[0], batch_stats=gen_stats)
    return gen, disc, (real, fake, loss)


def _named(params: dict) -> dict:
    """jaxgan's parameters under the names that Flax gives to layers of its own."""
    dense = sum(path[0].startswith("Dense") and path[-1] == "kernel" for path in params)
    return unflatten_dict(
        {
            (
                f"Dense_{dense}"
                if path[0] == "logits"
                else path[0].replace("Upsample", "ConvTranspose"),
                path[-1],
            ): jnp.array(value)
            for path, value in params.items()
        }
    )


def prepare(dtype: str, start: parity.Start) -> tuple[Callable, Callable]:
    """(does one step, waits for all), as `torch_reference.prepare`."""
    game = start.game

    @partial(jax.jit, donate_argnums=(0, 1))
    def drawing(gen, disc, images, key):
        key, latent_key = jax.random.split(key)
        latents = jax.random.normal(latent_key, (game.batch, game.latent_dim))
        return *train_step(gen, disc, images, latents), key

    gen, disc = (
        player.replace(params=_named(start.params(name)))
        for name, player in zip(
            ("generator", "discriminator"), init(game, dtype, parity.LEARNING_RATE), strict=True
        )
    )
    (first,) = map(jnp.array, start.images(0))
    now = gen, disc, None, jax.random.key(2)
    del gen, disc  # which the first step is given

    def numbered(number: int | None = None):
        nonlocal now
        gen, disc, _, key = now
        if number is None:
            now = drawing(gen, disc, first, key)
        else:
            (images,) = start.images(number)
            now = *train_step(gen, disc, images, start.latents[number]), key
        return now[2]

    return numbered, lambda: jax.block_until_ready(now)
