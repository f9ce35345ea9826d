"""The games in jaxgan, as its experiments make them."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import parity
from flax.traverse_util import flatten_dict, unflatten_dict
from games import LEARNING_RATE, Game

from jaxgan import cpu, gpu, losses, make_train_step, networks, penalties
from jaxgan.latent import sample_latents
from jaxgan.methods import Method, adversarial, cyclegan
from jaxgan.state import PyTree, TrainState

__all__ = ["batch_shapes", "init", "make_players", "make_start", "make_step", "prepare"]

PENALTY_WEIGHT = 0.5
"""Of R1 and of R2 in R3GAN."""

PRECISION = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "default"}
"""Of products of float32 arrays: what the accelerator would take by itself is not the same on all.
On CPU they are all float32."""


def make_players(game: Game, dtype: str = "float32") -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator); of CycleGAN, those of one direction."""
    (height, _, channels), widths = game.image_shape, game.widths
    of_dtype = {"dtype": jnp.bfloat16 if dtype == "bfloat16" else jnp.float32}
    if game.name == "mlp":
        return networks.mlp("plain", game.image_shape, **of_dtype)
    if game.name == "cyclegan":
        return networks.cyclegan(height, channels, width=widths[0], blocks=game.blocks, **of_dtype)
    if game.name == "r3gan":
        side = height >> (len(widths) - 1)
        options = {"blocks": game.blocks, **of_dtype}
        return (
            networks.R3GANGenerator(side, widths, channels=channels, **options),
            networks.R3GANDiscriminator(widths[::-1], **options),
        )
    if game.name == "sn_resnet":
        width, blocks = widths[0], len(widths)
        return (
            networks.SNResNetGenerator(height >> blocks, width, blocks, channels, **of_dtype),
            networks.SNResNetDiscriminator(width // 2, **of_dtype),
        )
    doubles = game.name == "dcgan64"
    doublings, kernel = len(widths) - 1 + doubles, 4 if doubles else 5
    generator = networks.DCGANGenerator(
        height >> doublings, widths, channels, kernel, last_doubles=doubles, **of_dtype
    )
    return generator, networks.DCGANDiscriminator(widths[::-1], kernel, **of_dtype)


def _adam(game: Game, learning_rate: float) -> optax.GradientTransformation:
    return optax.adam(learning_rate, b1=game.b1, b2=game.b2)


def batch_shapes(game: Game) -> PyTree:
    """Shapes and dtypes of a batch."""
    images = jax.ShapeDtypeStruct((game.batch, *game.image_shape), jnp.float32)
    return {"a": images, "b": images} if game.name == "cyclegan" else {"image": images}


def init(game: Game) -> TrainState:
    """The state at step 0."""
    tx = _adam(game, LEARNING_RATE)
    return make_method(game, "float32").init(jax.random.key(0), batch_shapes(game), tx, tx)


def make_method(game: Game, dtype: str) -> Method:
    """The game of these players."""
    generator, discriminator = make_players(game, dtype)
    if game.name == "cyclegan":
        discriminators = {"a": discriminator, "b": discriminator}
        return cyclegan({"ab": generator, "ba": generator}, discriminators)
    loss, options = losses.non_saturating, {}
    if game.name == "sn_resnet":
        loss = losses.hinge
    if game.name == "r3gan":
        loss, options = losses.relativistic, {"penalty": _r1_and_r2}
    return adversarial(generator, discriminator, latent_dim=game.latent_dim, loss=loss, **options)


def _r1_and_r2(*arguments):
    return PENALTY_WEIGHT * (penalties.r1(*arguments) + penalties.r2(*arguments))


def make_step(game: Game, dtype: str, learning_rate: float = LEARNING_RATE) -> Callable:
    """The pure step, (state, batch) -> (state, metrics)."""
    tx = _adam(game, learning_rate)
    return make_train_step(make_method(game, dtype), tx, tx)


def make_start(game: Game, platform: str) -> parity.Start:
    """What all sides begin from."""
    state = init(game)
    weights = {
        (name, collection, *path): array
        for name, player in (("generator", state.generator), ("discriminator", state.discriminator))
        for collection, tree in player.variables.items()
        if collection in ("params", "spectral")
        for path, array in flatten_dict(tree).items()
    }
    latents = [_latents(state, i, game) for i in range(parity.STEPS)]
    return parity.Start(game, parity.filled(weights), np.array(latents), platform)


def _latents(state: TrainState, step: int, game: Game) -> jax.Array:
    """Those that the step draws for itself."""
    key = jax.random.fold_in(jax.random.fold_in(state.key, step), 0)
    return sample_latents(jax.random.split(key)[0], game.batch, max(game.latent_dim, 1))


def prepare(
    dtype: str, start: parity.Start, per_call: int = 1, deterministic: bool = False
) -> tuple[Callable, Callable]:
    """(does one step, or so many in one call, waits for all), as `torch_reference.prepare`.

    Of several steps, those from the number on; the losses are those of each.
    """
    cpu.keep_memory()
    jax.config.update("jax_default_matmul_precision", PRECISION[dtype])
    game, options = start.game, cpu.compiler_options()
    if deterministic:
        options |= gpu.deterministic_options()
    step = make_step(game, dtype, parity.LEARNING_RATE)

    def steps(state, batches):
        return jax.lax.scan(step, state, batches)

    compiled = jax.jit(steps if per_call > 1 else step, donate_argnums=0, compiler_options=options)
    state, first = init(game), _batch(start, 0, per_call)
    for name in ("generator", "discriminator"):
        params = unflatten_dict({k: jnp.array(v) for k, v in start.params(name).items()})
        state = state.replace(**{name: getattr(state, name).replace(params=params)})
    now = state, None
    del state  # which the first step is given

    def numbered(number: int | None = None):
        nonlocal now
        now = compiled(now[0], first if number is None else _batch(start, number, per_call))
        names = ("discriminator_loss_real", "discriminator_loss_fake", "penalty", "generator_loss")
        return [now[1][name] for name in names if name in now[1]]

    return numbered, lambda: jax.block_until_ready(now)


def _batch(start: parity.Start, number: int, per_call: int) -> PyTree:
    """Of one step, or of several, stacked."""
    batches = [start.images(number + i) for i in range(per_call)]
    images = (np.stack(of) if per_call > 1 else of[0] for of in zip(*batches, strict=True))
    return dict(zip(batch_shapes(start.game), map(jnp.array, images), strict=True))
