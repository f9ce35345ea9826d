"""What can be seen, without an accelerator, of the train steps that are lowered for one."""

import functools
import re

import jax
import jaxgan_side
import pytest
from games import SMALL

from jaxgan.networks.convolution import force_formulation

PLATFORMS = ("cuda", "tpu")
BATCH = 11
"""Of no other axis of these games, so that it tells feature maps from kernels."""


@functools.cache
def lower(name, dtype, platform):
    """The text of a step; as the sizes are, so are its operations at those of `GAMES`."""
    game = SMALL[name]._replace(batch=BATCH)
    state = jax.eval_shape(lambda: jaxgan_side.init(game))
    step = jax.jit(jaxgan_side.make_step(game, dtype), donate_argnums=0)
    lowered = step.trace(state, jaxgan_side.batch_shapes(game)).lower(
        lowering_platforms=(platform,)
    )
    paths, _ = jax.tree.flatten_with_path(state)
    # A singular value is computed anew from its vectors, and so no argument of the program.
    return lowered.as_text(), sum("sigma" not in jax.tree_util.keystr(path) for path, _ in paths)


def shapes(text):
    """(dimensions, type) of every tensor in a piece of a program."""
    for found in re.findall(r"tensor<([^>]*)>", text):
        *sizes, kind = found.split("x")
        yield sizes, kind


def operations(program, name):
    """The lines of an operation, which end with the types of its inputs and of its result."""
    return [line for line in program.splitlines() if f" stablehlo.{name}" in line]


def convolutions(program):
    """What the convolutions are, whatever their inputs are called."""
    lines = operations(program, "convolution")
    return sorted(re.sub(r"%\w+(#\d+)?", "%", line).strip() for line in lines)


def inputs_of_convolutions(program):
    """The types of all inputs and results of convolutions."""
    lines = operations(program, "convolution")
    assert len(lines) > 10
    for line in lines:
        yield from shapes(line.rpartition(" : ")[2])


each = pytest.mark.parametrize("platform", PLATFORMS)
games = pytest.mark.parametrize("name", SMALL)


@each
@games
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_numbers_are_of_the_type_that_was_asked_for(name, dtype, platform):
    """No float64, which accelerators are slow in or have not; and convolutions in bfloat16."""
    program, _ = lower(name, dtype, platform)
    kinds = {kind for _, kind in shapes(program)}
    floats = {kind for kind in kinds if re.search(r"f\d", kind)}
    assert floats == ({"f32"} if dtype == "float32" else {"f32", "bf16"})
    assert {kind for _, kind in inputs_of_convolutions(program)} == {
        {"float32": "f32", "bfloat16": "bf16"}[dtype]
    }


@each
@games
def test_no_step_waits_for_the_host(name, platform):
    program, _ = lower(name, "float32", platform)
    assert not re.findall(r".*(?:custom_call|infeed|outfeed|stablehlo\.send|recv).*", program)


@each
@games
def test_every_array_of_the_state_is_donated(name, platform):
    program, arrays = lower(name, "float32", platform)
    arguments = program[program.index("@main(") : program.index(") -> ")]
    donated = re.findall(r"%arg(\d+): [^%]*tf\.aliasing_output", arguments)
    # The state is the first argument, the batch the second.
    assert donated == [str(i) for i in range(arrays)]
    assert len(re.findall(r"%arg\d+: ", arguments)) == arrays + (2 if name == "cyclegan" else 1)


@each
@games
def test_all_shapes_are_known(name, platform):
    program, _ = lower(name, "float32", platform)
    assert not [sizes for sizes, _ in shapes(program) if "?" in sizes]


@each
@games
def test_feature_maps_stay_as_they_lie(name, platform):
    """Convolutions take and give maps as (B, H, W, C); no transposition stands between them."""
    program, _ = lower(name, "float32", platform)
    # Of one example each: a batch is cut into shares for the updates of the discriminator.
    moved = [
        line
        for line in operations(program, "transpose")
        for sizes, _ in list(shapes(line))[:1]
        if str(BATCH) in sizes and len(sizes) == 4
    ]
    if name == "r3gan":
        # The learnt map of the smallest feature map, a product for each channel.
        moved = [
            line for line in moved if f"<{BATCH}x4x4x" not in line and f"x4x4x{BATCH}x" not in line
        ]
    assert not moved
    for line in operations(program, "convolution"):
        layout = re.search(r"dim_numbers = \[(.*?)\]x\[.*?\]->\[(.*?)\]", line).groups()
        kernel = not any(str(BATCH) in sizes for sizes, _ in list(shapes(line))[2:])
        # The gradient by a kernel sums over the batch, which stands where channels else do.
        assert kernel or layout == ("b, 0, 1, f", "b, 0, 1, f")


@each
@games
def test_convolutions_are_those_of_the_library(name, platform):
    """The formulations of `convolution_cpu` are for CPUs; lowering decides, not this machine."""
    program, _ = lower(name, "float32", platform)
    with force_formulation("lax"):
        plain, _ = lower.__wrapped__(name, "float32", platform)
    on_cpu, _ = lower(name, "float32", "cpu")
    assert convolutions(program) == convolutions(plain) != convolutions(on_cpu)
    groups = max(map(int, re.findall(r"feature_group_count = (\d+)", program)))
    assert (groups > 1) == (name == "r3gan")


@each
@games
def test_nothing_is_chosen_while_a_step_runs(name, platform):
    """Of a choice by platform one branch is left, which XLA takes; others wait for the host."""
    program, _ = lower(name, "float32", platform)
    cases = re.finditer(
        r'\n( +)[^\n]*"stablehlo\.case"(.*?)\n\1\}\) : [^\n]*-> ([^\n]*)', program, re.DOTALL
    )
    # The number of a platform among those of a choice is a constant, made by a choice itself.
    several = [
        case for case in cases if f"\n{case[1]}}}, {{" in case[2] and case[3] != "tensor<i32>"
    ]
    assert not [case[3] for case in several]
    assert "stablehlo.if" not in program
