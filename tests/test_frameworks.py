"""Networks of NNX, Equinox and plain functions train, resume and load as those of Linen do."""

import jax
import numpy as np
import optax
import pytest

pytest.importorskip("equinox")

import framework_players as fp

from jaxgan import create_player, create_train_state, losses, make_train_step
from jaxgan.methods import adversarial

STEPS, TX = 10, optax.sgd(0.1)
# Ten steps on values near 1: a handful of float32 roundings.
ROUNDING = 2e-6
BATCH = {"image": np.random.default_rng(0).uniform(-1, 1, (STEPS, 8, 8, 8, 1)).astype(np.float32)}
FIRST = {"image": BATCH["image"][0]}


def game(generator, discriminator):
    return adversarial(
        generator, discriminator, latent_dim=fp.LATENT_DIM, loss=losses.non_saturating
    )


def trained(generator, discriminator, gen_vars, disc_vars):
    """Metrics and both players' variables after each of ten steps."""
    step = make_train_step(game(generator, discriminator), TX, TX)
    players = (create_player(of, TX) for of in (gen_vars, disc_vars))
    state = create_train_state(jax.random.key(1), *players)

    def body(state, batch):
        state, metrics = step(state, batch)
        return state, (metrics, state.generator.variables, state.discriminator.variables)

    return jax.jit(lambda state: jax.lax.scan(body, state, BATCH)[1])(state)


def references(framework):
    gen_vars = fp.GENERATOR.init(jax.random.key(2), None)
    return gen_vars, framework.reference.init(jax.random.key(3), None)


@pytest.mark.parametrize("name", fp.FRAMEWORKS)
def test_ten_steps_are_those_of_plain_functions(name):
    """Losses, parameters (and so gradients) and statistics after each, from the same weights."""
    framework = fp.FRAMEWORKS[name]
    gen_vars, disc_vars = references(framework)
    expected = trained(fp.GENERATOR, framework.reference, gen_vars, disc_vars)
    state = game(framework.generator, framework.discriminator).init(
        jax.random.key(0), FIRST, TX, TX
    )
    metrics, *players = trained(
        framework.generator,
        framework.discriminator,
        fp.to_framework(framework.generator_layout, gen_vars, state.generator.variables),
        fp.to_framework(framework.discriminator_layout, disc_vars, state.discriminator.variables),
    )
    layouts = framework.generator_layout, framework.discriminator_layout
    players = [
        jax.vmap(lambda of, layout=layout: fp.from_framework(layout, of))(variables)
        for layout, variables in zip(layouts, players, strict=True)
    ]
    for path, value in jax.tree_util.tree_leaves_with_path(expected):
        np.testing.assert_allclose(
            dict(jax.tree_util.tree_leaves_with_path((metrics, *players)))[path],
            value,
            rtol=ROUNDING,
            atol=ROUNDING,
            err_msg=jax.tree_util.keystr(path),
        )
