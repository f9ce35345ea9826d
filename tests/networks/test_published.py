"""The published networks: their sizes, their settings, their initial weights."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import KEY, abstract, every_dtype, every_pair, flat
from scipy import stats

from jaxgan.errors import UserError
from jaxgan.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    MLPGenerator,
    dcgan,
    dcgan_paper,
    mlp,
)
from jaxgan.networks.layers import Upsample


@every_pair
def test_a_published_pair_has_the_published_sizes(pair):
    generator, discriminator = pair.make()
    for module, inputs, output, expected_kernels, count, normed in (
        (generator, (3, pair.latent_dim), (3, *pair.image_shape),
         pair.generator_kernels, pair.generator_count, pair.generator_normed),
        (discriminator, (3, *pair.image_shape), (3,),
         pair.discriminator_kernels, pair.discriminator_count, pair.discriminator_normed),
    ):  # fmt: skip
        made, variables = abstract(module, inputs)
        assert made.shape == output
        params = flat(variables["params"])
        shapes = [leaf.shape for name, leaf in params.items() if name.endswith("kernel")]
        assert sorted(shapes, key=str) == sorted(expected_kernels, key=str)
        assert sum(leaf.size for leaf in params.values()) == count
        statistics = jax.tree.leaves(variables.get("batch_stats", {}))
        assert sum(leaf.size for leaf in statistics) == 2 * normed


@every_pair
@every_dtype
def test_parameters_and_output_are_float32_whatever_the_computation(pair, dtype):
    generator, discriminator = pair.make(dtype=dtype)
    for module, shape in (
        (generator, (2, pair.latent_dim)),
        (discriminator, (2, *pair.image_shape)),
    ):
        made, variables = abstract(module, shape)
        assert made.dtype == jnp.float32
        assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {
            jnp.dtype("float32")
        }


@pytest.mark.parametrize(
    ("pair", "generator_count", "discriminator_count"),
    [
        # What Radford et al.'s program, faces/train_uncond_dcgan.py, and PyTorch's, examples/dcgan,
        # allocate. To the second we add the biases of the layers that no batch norm follows.
        (dcgan_paper(), 18_885_760, 17_232_768),
        (dcgan(64, 3), 3_576_704 + 3, 2_765_568 + 64 + 1),
    ],
    ids=["paper", "tutorial"],
)
def test_dcgans_count_as_their_authors_programs_do(pair, generator_count, discriminator_count):
    for module, shape, expected in zip(
        pair, ((1, 100), (1, 64, 64, 3)), (generator_count, discriminator_count), strict=True
    ):
        _, variables = abstract(module, shape)
        assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == expected


@pytest.mark.parametrize(("variant", "lacking"), [("plain", 0), ("dropout", 0), ("batch_norm", 7)])
def test_mlp_generators_lack_the_biases_before_batch_norm_alone(variant, lacking):
    generator, _ = mlp(variant)
    params = flat(abstract(generator, (1, 100))[1]["params"])
    biased = {name for name in params if name.startswith("Dense") and name.endswith("bias")}
    assert len(biased) == len(generator.hidden) + 1 - lacking
    assert sum(generator.hidden[:lacking]) == {0: 0, 7: 3_167}[lacking]
    if lacking:
        assert sum(leaf.size for leaf in params.values()) == 1_964_714 - 3_167


@pytest.mark.parametrize(
    ("generator", "slope", "dropout", "value_range"),
    [
        (mlp("plain")[0], 0.0, (), (-1, 1)),
        (mlp("dropout")[0], 0.2, (), (-1, 1)),
        (mlp("batch_norm")[0], 0.2, (0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4), (0, 1)),
    ],
)
def test_mlp_settings_that_shapes_do_not_show(generator, slope, dropout, value_range):
    assert (generator.slope, generator.dropout) == (slope, dropout)
    assert generator.value_range == value_range


@pytest.mark.parametrize(
    ("variant", "rate"), [("plain", 0.0), ("dropout", 0.3), ("batch_norm", 0.2)]
)
def test_mlp_discriminators_have_their_dropout(variant, rate):
    assert mlp(variant)[1].dropout == rate


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: mlp("deep"), "variant"),
        (lambda: mlp(None), "variant"),
        (lambda: dcgan(30), "image_size"),
        (lambda: dcgan(256), "image_size"),
        (lambda: dcgan("28"), "image_size"),
        (lambda: dcgan(28, upsampling="bilinear"), "upsampling"),
        (lambda: abstract(Upsample(3, method="bilinear"), (1, 4, 4, 2)), "upsampling"),
        (
            lambda: abstract(DCGANGenerator(2, (4, 3), 1, 4, True, upsampling="resise"), (1, 5)),
            "upsampling",
        ),
    ],
)
def test_errors(call, named):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(f"{named}: got ")
    assert "\n" not in str(error.value)


def test_dcgan_weights_are_drawn_as_the_paper_says():
    pair = DCGANGenerator(4, (64, 32), 3, 4, True), DCGANDiscriminator((32, 64), 4)
    params = {}
    for module, shape in zip(pair, ((1, 20), (1, 16, 16, 3)), strict=True):
        made = jax.jit(module.init)(KEY, jnp.zeros(shape))["params"]
        side = type(module).__name__
        params |= {f"{side} {name}": np.asarray(leaf) for name, leaf in flat(made).items()}
    scales = [leaf for name, leaf in params.items() if name.endswith("scale")]
    weights = {name: leaf for name, leaf in params.items() if name.endswith("kernel")}
    assert len(weights) == 6
    weights["every scale"] = np.concatenate(scales) - 1
    for name, leaf in weights.items():
        n = leaf.size
        assert abs(leaf.mean()) < 5 * 0.02 / math.sqrt(n), name
        assert abs(leaf.std() - 0.02) < 5 * 0.02 / math.sqrt(2 * n), name
        # Not cut off at two standard deviations, as `truncated_normal` would be.
        assert stats.kstest(leaf.ravel()[:20000] / 0.02, "norm").pvalue > 1e-4, name
    for name, leaf in params.items():
        if name.endswith("bias"):
            assert not np.any(leaf), name


def test_mlp_wants_a_dropout_rate_for_each_hidden_layer():
    generator = MLPGenerator(hidden=(4, 4), image_shape=(2, 2, 1), dropout=(0.5,))
    with pytest.raises(UserError, match="dropout: got 1 rates, expected one for each of the 2"):
        generator.init(jax.random.key(0), jnp.zeros((1, 3)))
