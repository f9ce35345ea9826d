"""Critics and terms against figures of their authors' code, made by benchmarks/critics.py."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from anchor_inputs import random_tensors
from critic_inputs import (
    AUTOENCODER,
    NETWORKS,
    SOME,
    autoencoded,
    autoencoder_variables,
    balanced_layers,
    balanced_weight,
    critic_images,
    followed_lecam,
    logit_batches,
    narrowed,
    outputs,
    to_variables,
)
from network_tables import abstract, every_dtype

from jaxgan import UserError, adversarial_critic, losses
from jaxgan.networks import MultiScaleDiscriminator, UNetDiscriminator

FIGURES = json.loads((Path(__file__).parents[1] / "results" / "critics.json").read_text())[
    "figures"
]
every_network = pytest.mark.parametrize("name", NETWORKS)


@every_network
def test_a_published_critic_has_the_parameters_of_the_authors_code(name):
    _, variables = abstract(NETWORKS[name], (1, 64, 64, 3))
    count = sum(x.size for x in jax.tree.leaves(variables["params"]))
    assert count == FIGURES[name]["published"]["parameters"]
    # pix2pixHD prints as many for three discriminators of RGB; Real-ESRGAN's has these.
    assert count == {"MultiScaleDiscriminator": 8_294_211, "UNetDiscriminator": 4_376_897}[name]


@every_network
def test_a_critic_gives_what_the_authors_code_gives(name):
    figures = FIGURES[name]["narrow"]
    tensors = random_tensors(
        {key.removesuffix("_orig"): tuple(shape) for key, shape in figures["shapes"].items()}
    )
    tensors = {key: tensors[key.removesuffix("_orig")] for key in figures["shapes"]}
    made = outputs(name, to_variables(name, tensors), 8, critic_images())
    assert set(made) == set(figures) - {"parameters", "shapes"}
    for key, found in made.items():
        kept, expected = found.reshape(2, -1)[:, ::SOME], np.array(figures[key]["values"])
        assert np.max(np.abs(kept - expected)) < 1e-4 * figures[key]["deviation"], key


def test_the_autoencoder_gives_what_the_authors_code_gives():
    figures = FIGURES["VQAutoencoder"]
    tensors = random_tensors({key: tuple(shape) for key, shape in figures["shapes"].items()})
    variables = autoencoder_variables(tensors)
    shapes = jax.tree.map(jnp.shape, abstract(AUTOENCODER, (1, 64, 64, 3))[1])
    assert jax.tree.map(jnp.shape, variables) == shapes
    assert sum(x.size for x in jax.tree.leaves(variables)) == figures["parameters"]
    made = autoencoded(variables, critic_images())
    assert sorted(set(made["tokens"].ravel().tolist())) == figures["tokens"]
    np.testing.assert_allclose(made["loss"], figures["loss"]["value"], rtol=1e-4)
    kept, expected = made["images"].reshape(2, -1)[:, ::SOME], np.array(figures["images"]["values"])
    assert np.max(np.abs(kept - expected)) < 1e-4 * figures["images"]["deviation"]


def test_the_adaptive_weight_is_that_of_the_authors_code():
    for name, case in balanced_layers().items():
        np.testing.assert_allclose(
            balanced_weight(**case), FIGURES["adaptive_weight"][name]["value"], rtol=1e-5
        )


def test_lecam_is_that_of_the_authors_code():
    found, figures = followed_lecam(logit_batches()), FIGURES["lecam"]
    np.testing.assert_allclose(found, figures["values"], rtol=1e-5)
    np.testing.assert_allclose(found[-1], figures["biggan"]["value"], rtol=1e-5)


@every_network
@every_dtype
def test_a_critic_computes_in_its_dtype_and_gives_float32_logits(name, dtype):
    network = narrowed(NETWORKS[name], 16).copy(dtype=dtype)
    made, variables = abstract(network, (2, 32, 32, 3))
    logits = made[0] if isinstance(made, tuple) else [made]
    assert {x.dtype for x in logits} == {jnp.dtype("float32")}
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    if isinstance(made, tuple):
        assert {x.dtype for x in jax.tree.leaves(made[1])} == {jnp.dtype(dtype)}


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (UNetDiscriminator(2), (1, 12, 16, 3)),
        (MultiScaleDiscriminator(5, (2, 2)), (1, 64, 8, 3)),
    ],
)
def test_images_that_do_not_fit_are_refused(network, shape):
    with pytest.raises(UserError, match=r"^image_size: got images"):
        abstract(network, shape)


@every_network
def test_a_critic_judges_in_a_term(name):
    network = narrowed(NETWORKS[name], 16)
    features = {"feature_weight": 1.0} if name == "MultiScaleDiscriminator" else {}
    critic = adversarial_critic(network, optax.adam(1e-3), loss=losses.hinge, **features)
    images = critic_images()[:, ::2, ::2]
    state = critic.init(jax.random.key(0), images)
    slope = jax.grad(lambda fake: critic.update(state, images, fake, 0)[0])
    assert np.all(np.isfinite(jax.jit(slope)(images / 2)))
