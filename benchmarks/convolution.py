"""Times the three maps of convolutions, plain `lax` beside jaxgan's: DCGANs', depthwise ones.

Each is compiled as its users do, jaxgan's with `jaxgan.cpu.compiler_options`.

    python benchmarks/convolution.py [--rounds 9] [--dtype float32] [NAME ...]

Both run alternately in one process; a time is the median of the rounds. GFLOP/s are of jaxgan's
formulation, counting two operations a tap, whichever way they are computed.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import jax
from jax import lax

from jaxgan import cpu
from jaxgan.depthwise import depthwise_conv
from jaxgan.networks.convolution import conv, conv_transpose

# function, batch, side, channels in, channels out, kernel, stride
SHAPES = {
    "dcgan28 G1": ("conv_transpose", 100, 7, 128, 64, 5, 2),
    "dcgan28 G2": ("conv_transpose", 100, 14, 64, 32, 5, 2),
    "dcgan28 G3": ("conv", 100, 28, 32, 1, 5, 1),
    "dcgan28 D1": ("conv", 100, 28, 1, 32, 5, 2),
    "dcgan28 D2": ("conv", 100, 14, 32, 64, 5, 2),
    "dcgan28 D3": ("conv", 100, 7, 64, 128, 5, 2),
    "dcgan64 G1": ("conv_transpose", 64, 4, 512, 256, 4, 2),
    "dcgan64 G2": ("conv_transpose", 64, 8, 256, 128, 4, 2),
    "dcgan64 G3": ("conv_transpose", 64, 16, 128, 64, 4, 2),
    "dcgan64 G4": ("conv_transpose", 64, 32, 64, 3, 4, 2),
    "dcgan64 D1": ("conv", 64, 64, 3, 64, 4, 2),
    "dcgan64 D2": ("conv", 64, 32, 64, 128, 4, 2),
    "dcgan64 D3": ("conv", 64, 16, 128, 256, 4, 2),
    "dcgan64 D4": ("conv", 64, 8, 256, 512, 4, 2),
    "resize 64": ("conv", 64, 32, 64, 64, 3, 1),
    "resize 128": ("conv", 64, 16, 128, 128, 3, 1),
    # Of EfficientNet-Lite0, images of 64 pixels.
    "depthwise 1": ("depthwise", 32, 32, 32, 32, 3, 1),
    "depthwise 2": ("depthwise", 32, 32, 96, 96, 3, 2),
    "depthwise 3": ("depthwise", 32, 16, 144, 144, 5, 2),
    "depthwise 4": ("depthwise", 32, 8, 240, 240, 5, 1),
    "depthwise 5": ("depthwise", 32, 4, 672, 672, 5, 1),
    "depthwise 6": ("depthwise", 32, 2, 1152, 1152, 5, 1),
}
OURS = {"conv": conv, "conv_transpose": conv_transpose, "depthwise": depthwise_conv}


def plain(name: str, x: jax.Array, kernel: jax.Array, strides: int) -> jax.Array:
    layout, window = ("NHWC", "HWIO", "NHWC"), (strides, strides)
    if name == "conv_transpose":
        return lax.conv_transpose(x, kernel, window, "SAME", dimension_numbers=layout)
    groups = x.shape[3] // kernel.shape[2]
    return lax.conv_general_dilated(
        x, kernel, window, "SAME", dimension_numbers=layout, feature_group_count=groups
    )


def directions(
    function: Callable, x: jax.Array, kernel: jax.Array, options: dict[str, str]
) -> dict[str, Callable]:
    """The value and both gradients, each compiled alone."""
    cotangent = jax.jit(function)(x, kernel)

    def by_x(x, kernel, cotangent):
        return jax.vjp(lambda x: function(x, kernel), x)[1](cotangent)

    def by_kernel(x, kernel, cotangent):
        return jax.vjp(lambda kernel: function(x, kernel), kernel)[1](cotangent)

    calls = {"value": lambda x, kernel, _: function(x, kernel), "by x": by_x, "by w": by_kernel}
    arguments = (x, kernel, cotangent)
    return {
        name: partial(run, jax.jit(call, compiler_options=options), arguments)
        for name, call in calls.items()
    }


def run(call: Callable, arguments: tuple) -> None:
    jax.block_until_ready(call(*arguments))


def alternate(first: Callable, second: Callable, rounds: int) -> list[float]:
    """Median milliseconds of each, after one call that compiles."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 1):
        for call, record in zip((first, second), times, strict=True):
            start = time.perf_counter()
            call()
            if i:
                record.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(record) for record in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SHAPES)}; or their beginnings")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    print(f"{'layer':12}{'map':8}{'lax ms':>9}{'ours ms':>9}{'ratio':>8}{'GFLOP/s':>9}")
    for name, (kind, batch, side, inputs, outputs, size, stride) in SHAPES.items():
        if options.names and not name.startswith(tuple(options.names)):
            continue
        inputs_of_one = 1 if kind == "depthwise" else inputs
        keys = jax.random.split(jax.random.key(0))
        x = jax.random.normal(keys[0], (batch, side, side, inputs), options.dtype)
        kernel = jax.random.normal(keys[1], (size, size, inputs_of_one, outputs), options.dtype)
        small = side if kind == "conv_transpose" else -(-side // stride)
        operations = 2 * batch * small**2 * size**2 * inputs_of_one * outputs
        theirs = directions(lambda x, w, k=kind, s=stride: plain(k, x, w, s), x, kernel, {})
        ours = directions(
            lambda x, w, k=kind, s=stride: OURS[k](x, w, strides=s),
            x,
            kernel,
            cpu.compiler_options(),
        )
        for direction in ours:
            a, b = alternate(theirs[direction], ours[direction], options.rounds)
            rate = operations / b / 1e6
            print(f"{name:12}{direction:8}{a:9.1f}{b:9.1f}{a / b:8.1f}{rate:9.0f}", flush=True)


if __name__ == "__main__":
    main()
