"""Counts the operations of a train step: the least there can be, and those of the program.

    python benchmarks/flops.py [mlp dcgan28 dcgan64]

The least count follows from the shapes of the layers. A dense layer or convolution, its gradient by
its input and its gradient by its weights take equally many operations, two for each pair of a
pixel and a tap that meet (zeros of the padding are none). A step takes

    generator                             forward, by weights, by input (not of the first layer)
    discriminator on real, and on fakes   the same
    discriminator on fakes, for G         forward, by input

and Adam 13 operations a parameter: 3 and 4 for the moments, 2 to correct their bias, a root, a
sum, a quotient, the learning rate and the new value. Losses, activations and batch norm are left
out; they are under 1%.

The program's count is XLA's own, of all operations of the step that it compiled from plain `lax`
convolutions, in which every operation is still to be seen (jaxgan's convolutions on CPU trade some
operations for speed). Were any forward pass done twice, it would stand out by 4% or more.

Memory is what the step as jaxgan compiles it holds at once: arguments, results that do not take
the place of arguments, and temporaries.
"""

import argparse
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxgan_side
from games import GAMES, OF_CPU, Game

from jaxgan import cpu
from jaxgan.networks.convolution import force_formulation
from jaxgan.networks.layers import Conv, ConvTranspose
from jaxgan.state import PyTree, TrainState

__all__ = ["compile_step", "counted", "layer_operations", "least_operations", "peak_memory"]

ADAM = 13


def layer_operations(module: nn.Module, shape: tuple[int, ...]) -> list[int]:
    """Of the forward pass of each dense layer and convolution, in order.

    Args:
      module: a network of jaxgan's.
      shape: of its input, the batch included.
    """
    found = []

    def look(call, args, kwargs, context):
        y, layer = call(*args, **kwargs), context.module
        if context.method_name == "__call__" and isinstance(layer, nn.Dense):
            found.append(2 * args[0].size * layer.features)
        elif context.method_name == "__call__" and isinstance(layer, Conv):
            found.append(_convolution(layer, args[0].shape, y.shape))
        return y

    with nn.intercept_methods(look):
        jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    return found


def _convolution(layer: Conv, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    small, large = (x, y) if isinstance(layer, ConvTranspose) else (y, x)
    pairs = 1
    for n, size, kernel in zip(small[1:3], large[1:3], layer.kernel_size, strict=True):
        # SAME, of which a transposed convolution's first border is the smaller one as well.
        low = max((n - 1) * layer.stride + kernel - size, 0) // 2
        pairs *= sum(
            0 <= layer.stride * i + tap - low < size for i in range(n) for tap in range(kernel)
        )
    return 2 * x[0] * pairs * x[3] * y[3]


def least_operations(
    generator: nn.Module,
    discriminator: nn.Module,
    state: TrainState,
    batch: int,
    latent_dim: int,
    image_shape: tuple[int, int, int],
) -> int:
    """Of one step, as the top of this file has it.

    Args:
      generator, discriminator: jaxgan's networks.
      state: theirs, or its shapes.
      batch: number of images.
      latent_dim: size of the latents.
      image_shape: (H, W, C).
    """
    gen = layer_operations(generator, (batch, latent_dim))
    disc = layer_operations(discriminator, (batch, *image_shape))
    trained = jax.tree.leaves((state.generator.params, state.discriminator.params))
    parameters = sum(math.prod(leaf.shape) for leaf in trained)
    return (
        (3 * sum(gen) - gen[0]) + 2 * (3 * sum(disc) - disc[0]) + 2 * sum(disc) + ADAM * parameters
    )


def compile_step(step, state: TrainState, batch: PyTree, formulation: str) -> jax.stages.Compiled:
    """The step as one program.

    Args:
      step: from `make_train_step`.
      state: its state, or the state's shapes.
      batch: shapes of one.
      formulation: of the convolutions: "lax", or "platform" for jaxgan's own.
    """
    options = cpu.compiler_options() if formulation == "platform" else None
    with force_formulation(formulation):
        program = jax.jit(step, donate_argnums=0, compiler_options=options)
        return program.lower(state, batch).compile()


def counted(game: Game) -> float:
    """Operations of one step of any of the games, by the program, which is not compiled.

    It is lowered for an accelerator, where every convolution is one of `lax`.
    """
    state, batch = jax.eval_shape(lambda: jaxgan_side.init(game)), jaxgan_side.batch_shapes(game)
    found = _lowered_operations(jaxgan_side.make_step(game, "float32"), state, batch)
    if game.name == "r3gan":
        # The critic of R1 and R2 judges what the loss has had judged, which XLA does once.
        _, critic = jaxgan_side.make_players(game)
        variables = {"params": state.discriminator.params}
        found -= 2 * _lowered_operations(critic.apply, variables, batch["image"])
    return found


def _lowered_operations(function, *shapes) -> float:
    lowered = jax.jit(function).trace(*shapes).lower(lowering_platforms=("cuda",))
    return lowered.cost_analysis()["flops"]


def peak_memory(compiled: jax.stages.Compiled) -> int:
    """Bytes held at once."""
    sizes = compiled.memory_analysis()
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes
        + sizes.temp_size_in_bytes
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"of {', '.join(OF_CPU)}; all unless given")
    names = parser.parse_args().models or OF_CPU
    for name in names:
        if name not in OF_CPU:
            parser.error(f"got {name!r}, expected one of {', '.join(OF_CPU)}")
    print(f"{'model':9}{'least Mflop':>13}{'XLA Mflop':>11}{'ratio':>8}{'memory MB':>11}")
    for name in names:
        game = GAMES[name]
        state = jax.eval_shape(lambda game=game: jaxgan_side.init(game))
        least = least_operations(
            *jaxgan_side.make_players(game), state, game.batch, game.latent_dim, game.image_shape
        )
        step, batch = jaxgan_side.make_step(game, "float32"), jaxgan_side.batch_shapes(game)
        plain = compile_step(step, state, batch, "lax").cost_analysis()["flops"]
        memory = peak_memory(compile_step(step, state, batch, "platform"))
        print(
            f"{name:9}{least / 1e6:13.0f}{plain / 1e6:11.0f}{plain / least:8.3f}"
            f"{memory / 1e6:11.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
