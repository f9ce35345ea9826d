"""The DCGAN pair with classes: what it is given, what its heads give, and back from JSON."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import abstract

from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import last_features
from jaxgan.networks import DCGANDiscriminator, DCGANGenerator, dcgan, describe, from_description

GENERATOR = DCGANGenerator(3, (6, 4), 1, 5, False, num_classes=3)
DISCRIMINATOR = DCGANDiscriminator((4, 6), 5, num_classes=3)


def test_the_class_is_three_more_latents():
    rng = np.random.default_rng(0)
    latents, labels = rng.standard_normal((4, 5)).astype(np.float32), np.array([2, 0, 1, 2])
    variables = GENERATOR.init(jax.random.key(0), latents, labels)
    assert variables["params"]["Dense_0"]["kernel"].shape == (5 + 3, 3 * 3 * 6)
    plain = GENERATOR.clone(num_classes=None)
    beside = np.concatenate([latents, np.eye(3, dtype=np.float32)[labels]], axis=1)
    np.testing.assert_array_equal(
        GENERATOR.apply(variables, latents, labels), plain.apply(variables, beside)
    )


def test_a_label_that_is_no_class_is_seen():
    latents = np.zeros((2, 5), np.float32)
    variables = GENERATOR.init(jax.random.key(0), latents, np.array([0, 1]))
    images = GENERATOR.apply(variables, latents, np.array([2, 3]))
    assert np.all(np.isfinite(images[0]))
    assert np.all(np.isnan(images[1]))


def test_the_second_head_is_linear_in_the_features_of_the_first():
    images = np.random.default_rng(0).standard_normal((4, 10, 10, 1)).astype(np.float32)
    variables = DISCRIMINATOR.init(jax.random.key(0), images)
    logits, classes = DISCRIMINATOR.apply(variables, images)
    assert (logits.shape, classes.shape) == ((4,), (4, 3))
    plain = DISCRIMINATOR.clone(num_classes=None)
    np.testing.assert_array_equal(logits, plain.apply(variables, images))
    features = last_features(lambda x: plain.apply(variables, x), images).reshape(4, -1)
    kernel = np.asarray(variables["params"]["class_logits"]["kernel"], np.float64)
    np.testing.assert_allclose(classes, features @ kernel, rtol=1e-4, atol=1e-6)


def test_the_pair_of_28_pixels_has_the_sizes_of_its_arithmetic():
    generator, discriminator = dcgan(28, num_classes=10, dtype=jnp.bfloat16)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 100), (2, 28, 28, 1))]
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)
    made, variables = jax.eval_shape(
        generator.init_with_output, jax.random.key(0), shapes[0], labels
    )
    assert (made.shape, made.dtype) == ((2, 28, 28, 1), jnp.float32)
    assert variables["params"]["Dense_0"]["kernel"].shape == (110, 7 * 7 * 128)
    heads, variables = abstract(discriminator, shapes[1].shape)
    assert [(head.shape, head.dtype) for head in heads] == [
        ((2,), jnp.float32),
        ((2, 10), jnp.float32),
    ]
    head = variables["params"]["class_logits"]
    assert sum(leaf.size for leaf in jax.tree.leaves(head)) == 4 * 4 * 128 * 10 + 10


@pytest.mark.parametrize("module", [GENERATOR, DISCRIMINATOR], ids=["generator", "discriminator"])
def test_describe_and_back(module):
    assert from_description(json.loads(json.dumps(describe(module)))) == module


def test_a_run_saved_before_there_were_classes_is_rebuilt():
    for module in dcgan(28):
        old = describe(module)
        del old["num_classes"]
        assert from_description(old) == module


@pytest.mark.parametrize(
    ("module", "labels", "message"),
    [
        (GENERATOR, (), "labels: got None, expected integers (2,)"),
        (GENERATOR, (np.zeros(2),), "labels: got float"),
        (GENERATOR.clone(num_classes=None), (np.zeros(2, int),), "labels: got some, expected none"),
    ],
)
def test_labels_go_with_classes(module, labels, message):
    with pytest.raises(UserError) as error:
        module.init(jax.random.key(0), np.zeros((2, 5), np.float32), *labels)
    assert str(error.value).startswith(message)
