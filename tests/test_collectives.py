"""What benchmarks/collectives.py reads from programs."""

import collectives
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scaling
from collectives import Collective
from jax.sharding import NamedSharding, PartitionSpec

from jaxgan import losses, make_train_step, networks
from jaxgan.methods import adversarial
from jaxgan.training import sharding

DEVICES = 8


@pytest.mark.parametrize(
    ("call", "out", "expected", "sent"),
    [
        # Of 8 x 128 float32 numbers, 4096 bytes, of which a device has an eighth.
        (lambda x: jax.lax.psum(x, "data"), PartitionSpec(), ("all-reduce", 512), 7 / 4 * 512),
        (
            lambda x: jax.lax.all_gather(x, "data", tiled=True, to="invarying"),
            PartitionSpec(),
            ("all-gather", 4096),
            7 / 8 * 4096,
        ),
        (
            lambda x: jax.lax.psum_scatter(x[0], "data", tiled=True)[None],
            PartitionSpec("data"),
            ("reduce-scatter", 512),
            7 / 8 * 512,
        ),
    ],
)
def test_reads_what_a_device_sends(mesh, call, out, expected, sent):
    mapped = jax.shard_map(call, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=out)
    program = jax.jit(mapped).lower(jnp.ones((8, 128))).compile().as_text()
    found = collectives.collectives(program, DEVICES)
    assert found == [Collective(*expected)]
    assert collectives.moved_bytes(found, DEVICES) == sent


def test_what_overlaps_parts_of_a_program_of_a_tpu_is_counted_once():
    program = """
%fused (a: bf16[8,16]) -> bf16[64,16] {
  %all-gather.1 = bf16[64,16]{1,0:T(8,128)(2,1)} all-gather(%a), channel_id=4, dimensions={0}
}
%again (a: bf16[8,16]) -> bf16[64,16] {
  %all-gather.2 = bf16[64,16]{1,0:T(8,128)(2,1)} all-gather(%a), channel_id=4, dimensions={0}
}
%all-reduce-scatter.5 (a: f32[64], b: f32[8,8]) -> (f32[8], f32[1,8]) {
  %all-reduce = (f32[64]{0}, f32[8,8]{1,0:T(8,128)S(1)}) all-reduce(%a, %b), channel_id=5
}
ENTRY %main () -> f32[] {
  %all-reduce.1 = (f32[3]{0}, /*index=1*/f32[]{:T(128)}) all-reduce(%c, %d), channel_id=6
}
"""
    assert collectives.collectives(program, DEVICES) == [
        Collective("all-gather", 2 * 64 * 16),
        Collective("reduce-scatter", 4 * 128),
        Collective("all-reduce", 16),
    ]


@pytest.fixture(scope="module")
def mlp_game():
    """(state, method) of layers that are all cut, but for their biases."""
    method = adversarial(
        networks.MLPGenerator((128,), (8, 8, 1)),
        networks.MLPDiscriminator((128,)),
        latent_dim=64,
        loss=losses.non_saturating,
    )
    image = jnp.zeros((1, 8, 8, 1))
    tx = optax.sgd(0.1)
    return method.init(jax.random.key(0), {"image": image}, tx, tx), method


def compile_step(state, method, mesh, *, cut):
    places = sharding.shard_state(state, mesh, over_data=cut)
    method = sharding.share_parameters(method, mesh, over_data=True) if cut else method
    step = make_train_step(method, optax.sgd(0.1), optax.sgd(0.1))
    images = jax.ShapeDtypeStruct(
        (16, 8, 8, 1), np.float32, sharding=NamedSharding(mesh, PartitionSpec("data"))
    )
    compiled = jax.jit(step, out_shardings=(places, None)).lower(
        sharding.place(state, places), {"image": images}
    )
    return collectives.collectives(compiled.compile().as_text(), DEVICES), places


def test_each_value_of_a_cut_parameter_is_gathered_once(mlp_game, mesh):
    state, method = mlp_game
    found, places = compile_step(state, method, mesh, cut=True)
    gathered = [one.size for one in found if one.kind == "all-gather"]

    def cut(player, place):
        pairs = zip(jax.tree.leaves(player.params), jax.tree.leaves(place.params), strict=True)
        return [x.nbytes for x, where in pairs if not where.is_fully_replicated]

    gen = cut(state.generator, places.generator)
    disc = cut(state.discriminator, places.discriminator)
    assert len(gen) == 2
    # The generator is judged by the discriminator's new parameters.
    assert sorted(gathered) == sorted(gen + 2 * disc)


def test_a_state_that_is_whole_gathers_nothing(mlp_game, mesh):
    state, method = mlp_game
    found, _ = compile_step(state, method, mesh, cut=False)
    assert {one.kind for one in found} == {"all-reduce"}
    params = state.generator.params, state.discriminator.params
    least = collectives.least_bytes(*params, DEVICES, cut=False)
    # XLA for CPU sums the discriminator's gradients of its two batches apart.
    disc = sum(x.nbytes for x in jax.tree.leaves(params[1]))
    moved = collectives.moved_bytes(found, DEVICES)
    assert least < moved < 1.05 * (least + 7 / 4 * disc)


def test_scaling_counts_and_trains_a_step(mesh):
    _, alone = scaling.measure("mlp", 1, 2, "whole")
    row, losses = scaling.measure("mlp", 4, 2, "cut")
    assert row["share"] < row["state"] < 1.1 * row["share"]
    assert 1 < row["ratio"] < 2
    np.testing.assert_allclose(losses, alone, rtol=1e-4)


def test_under_shard_map_no_more_is_moved_than_the_gradients(mesh):
    row, _ = scaling.measure("mlp", 4, 1, "mapped")
    assert 1 < row["ratio"] < 1.01
