"""The variants called emoji: small coloured pictures, and else the experiment as it is."""

import acgan
import cyclegan
import dcgan
import discogan
import jax
import jax.numpy as jnp
import lsgan
import pytest
import sngan
import stackgan
import wgan_gp

from jaxgan import data
from jaxgan.training import adversarial, own_folder, stackgan_stages
from jaxgan.training.config import EMOJI, check_config

FROM_LATENTS = (dcgan, lsgan, wgan_gp, sngan, acgan)
TRANSLATIONS = (cyclegan, discogan)


def begin(module, config):
    """The game from latents."""
    if module is acgan:
        return acgan.make_game(config, data.emoji("test"), jax.random.key(0))
    players = dcgan.make_players if module is lsgan else module.make_players
    return adversarial.make_game(players, config, data.emoji("test"), jax.random.key(0))


@pytest.mark.parametrize("module", [*FROM_LATENTS, *TRANSLATIONS, stackgan])
def test_a_step_of_it_takes_its_pictures(module, tmp_path):
    config = module.get_config("emoji")
    check_config(config)
    assert config.variant == config.dataset == "emoji"
    side = config.image_size
    assert (side, config.channels) == (64 if module is stackgan else 32, 3)
    own_folder.fit_to_folder(config, {"variant"}, tmp_path)
    assert config.image_size == side
    if module is stackgan:
        stackgan_stages.check_sizes(config)
        return

    def take(key):
        images = jnp.zeros((config.batch_size * config.get("disc_steps", 1), side, side, 3))
        if module in TRANSLATIONS:
            *_, state, step = module.make_game(config, key)
            return step(state, {"a": images, "b": images})
        game = begin(module, config)
        return game.step(game.state, {"image": images, "label": jnp.zeros(len(images), jnp.int32)})

    _, metrics = jax.eval_shape(take, jax.random.key(0))
    assert {metric.shape for metric in metrics.values()} == {()}


@pytest.mark.parametrize("module", [*FROM_LATENTS, *TRANSLATIONS, stackgan])
def test_without_it_nothing_is_of_emoji(module):
    config = module.get_config()
    assert config.variant == "digits"
    assert config.dataset != EMOJI["dataset"]
    assert module.get_config("digits").to_dict() == config.to_dict()
