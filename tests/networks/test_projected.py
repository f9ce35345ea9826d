"""Projected GAN's discriminator: against NumPy, its published sizes, what of it no step moves."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from network_tables import abstract, every_dtype

from jaxgan import UserError, losses, make_train_step
from jaxgan.methods import adversarial
from jaxgan.networks import FastGANGenerator, ProjectedDiscriminator
from jaxgan.networks.projected import Head, Mixing

KEY = jax.random.key(0, impl="rbg")
LITE0 = ((4, 24), (8, 40), (16, 112), (32, 320))  # stride and channels
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def pyramid(images):
    """Means of 4x4, 8x8, 16x16 and 32x32 pixels, in as many channels as Lite0 gives."""
    maps = []
    for stride, channels in LITE0:
        b, h, w, c = images.shape
        parts = images.reshape(b, h // stride, stride, w // stride, stride, c).mean((2, 4))
        maps.append(jnp.tile(parts, -(-channels // c))[..., :channels])
    return maps


@pytest.mark.parametrize(("size", "logits"), [(224, 16), (256, 25), (128, 1), (64, 1)])
def test_each_scale_ends_alike(size, logits):
    """At 224 pixels as in the authors' code, which resizes smaller images to that side."""
    made, _ = abstract(ProjectedDiscriminator(pyramid), (2, size, size, 3))
    assert made.shape == (2, 4 * logits)


def test_it_counts_as_the_authors_code_does():
    """`MultiScaleD` has 10,331,328: 3,136 more, biases that the batch norm after them takes away.

    The mixing is that of `_make_scratch_ccm` and `_make_scratch_csm` with 64 channels.
    """
    _, variables = abstract(ProjectedDiscriminator(pyramid), (2, 224, 224, 3))
    count = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in variables.items()}
    assert count["params"] == 10_331_328 - 3_136
    assert count["fixed"] == 376_768


@pytest.mark.parametrize("size", [64, 96, 128])
def test_pixels_have_a_discriminator_of_their_own(size):
    """It tells one plain colour from another where batch norm would take them away."""
    features, images = pyramid, jnp.zeros((2, size, size, 3))
    made, variables = abstract(ProjectedDiscriminator(features, 2, pixel_width=3), images.shape)
    without, _ = abstract(ProjectedDiscriminator(features, 2), images.shape)
    places = size >> int(np.log2(size / 4))
    assert made.shape == (2, without.shape[1] + places**2)
    kernels = [x.shape for x in jax.tree.leaves(variables["params"]["Head_4"]) if len(x.shape) == 4]
    widths = [3, *(3 * 2**n for n in range(int(np.log2(size / 4)))), 1]
    assert sorted(kernels) == sorted((4, 4, *pair) for pair in itertools.pairwise(widths))

    head = Head(4, 12, train=True, axis_name=None, dtype=jnp.float32, norm=False)
    plain = jnp.ones((2, 16, 16, 3)) * jnp.array([1.0, -1.0]).reshape(2, 1, 1, 1)
    logits = jit(lambda: head.init_with_output(KEY, plain)[0])()
    one, other = (
        jit(lambda x: head.init_with_output(KEY, x)[0])(x) for x in (plain[:1], plain[1:])
    )
    assert jnp.all(jnp.abs(one - other) > 1e-4)
    np.testing.assert_allclose(logits, jnp.concatenate([one, other]), rtol=1e-5)


@every_dtype
def test_logits_are_float32(dtype):
    made, variables = abstract(ProjectedDiscriminator(pyramid, 2, dtype=dtype), (2, 64, 64, 3))
    assert made.dtype == jnp.float32
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def doubled(x):
    """Linearly, between the pixels' centres."""
    for axis in (1, 2):
        size = x.shape[axis]
        places = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x


def test_maps_are_mixed_as_numpy_does():
    module = Mixing(2)
    rng = np.random.default_rng(0)
    maps = [rng.standard_normal((2, n, n, 3)).astype(np.float32) for n in (16, 8, 4, 2)]
    variables = jit(module.init)(KEY, maps)

    def conv(number, x):
        layer = jax.tree.map(np.float64, variables["fixed"][f"FixedConv_{number}"])
        assert np.abs(layer["kernel"]).max() <= x.shape[-1] ** -0.5
        return x @ layer["kernel"] + layer["bias"]

    expected, x = [], 0
    for number, level in enumerate((3, 2, 1, 0)):
        x = doubled(conv(2 * number + 1, conv(2 * number, np.float64(maps[level])) + x))
        expected.insert(0, x)
    mixed = jit(module.apply)(variables, maps)
    assert [x.shape for x in mixed] == [(2, 32, 32, 2), (2, 16, 16, 2), (2, 8, 8, 4), (2, 4, 4, 8)]
    for made, wanted in zip(mixed, expected, strict=True):
        np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)


def test_what_is_fixed_stays_and_the_generator_learns_through_it():
    method = adversarial(
        FastGANGenerator(32, 2),
        ProjectedDiscriminator(lambda images: pyramid(images)[:3], 2),
        latent_dim=5,
        loss=losses.hinge,
    )
    tx = optax.adam(1e-3)
    batch = {"image": np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)}
    first = state = method.init(KEY, batch, tx, tx)
    before, fixed = state.discriminator, state.discriminator.model_state["fixed"]
    # Adam has two numbers for each parameter, and one that counts.
    size = optax.tree.size
    assert size(before.opt_state) == 2 * size(before.params) + 1
    assert size(fixed) > 0
    step = jit(make_train_step(method, tx, tx))
    for _ in range(2):
        state, metrics = step(state, batch)
    assert tiny.difference(state.discriminator.model_state["fixed"], fixed) == 0
    assert metrics["generator_gradient_norm"] > 0
    for side in ("generator", "discriminator"):
        old, new = getattr(first, side).params, getattr(state, side).params
        assert all(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (old, new)), strict=True))


def test_other_seeds_mix_otherwise():
    maps = [jnp.zeros((1, n, n, 3)) for n in (4, 2)]
    one, other = (Mixing(2).init(jax.random.key(seed), maps) for seed in (0, 1))
    assert all(np.all(a != b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))


def test_too_small_images_are_refused():
    with pytest.raises(UserError, match=r"^images: got shape \(1, 32, 32, 3\), whose smallest"):
        abstract(ProjectedDiscriminator(pyramid), (1, 32, 32, 3))
