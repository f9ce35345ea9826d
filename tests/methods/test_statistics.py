"""Every method keeps what both passes of a discriminator leave in its statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

from jaxgan import losses, make_train_step
from jaxgan.methods import (
    acgan,
    adversarial,
    cyclegan,
    discogan,
    sgan,
    stackgan_stage_one,
)

TX = optax.sgd(0.1)
KEY = jax.random.key(0)
IMAGES = jnp.arange(4.0).reshape(4, 1, 1, 1)
SHAPES = {"a": (1, 1, 1), "b": (1, 1, 1)}


class Counted(nn.Module):
    """Counts its passes in training; gives `output` of its first input, times a parameter."""

    output: str = "images"
    latent_dim: int = 1
    condition_dim: int = 1

    def setup(self):
        self.scale = self.param("scale", nn.initializers.ones, ())
        self.passes = self.variable("batch_stats", "passes", lambda: jnp.zeros(()))

    def condition(self, embeddings):
        return self.scale * embeddings, embeddings

    def __call__(self, inputs, embeddings=None, train=False):
        if train:
            self.passes.value += 1
        x = self.scale * inputs.reshape(len(inputs), -1)[:, 0]
        if embeddings is not None and embeddings.ndim == 3:  # StackGAN's two captions at once
            return x[None] * embeddings[..., 0]
        classes = x[:, None] * jnp.arange(3.0)[None]
        return {
            "images": x.reshape(-1, 1, 1, 1),
            "logits": x,
            "classes": classes,
            "both": (x, classes),
            "features": (x, (classes,)),
        }[self.output]


def plain():
    return adversarial(Counted(), Counted("logits"), loss=losses.hinge, latent_dim=1)


def auxiliary():
    options = {"latent_dim": 1, "num_classes": 3}
    return acgan(Counted(), Counted("both"), loss=losses.hinge, **options)


def semi_supervised():
    options = {"latent_dim": 1, "num_classes": 3, "feature_matching": False, "consistency": 1.0}
    return sgan(Counted(), Counted("classes"), **options)


def captioned():
    return stackgan_stage_one(Counted(), Counted("logits"))


def translation(make, output):
    generator, discriminator = Counted(), Counted(output)
    players = {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}
    return make(*players)


METHODS = {
    "adversarial": plain,
    "acgan": auxiliary,
    "sgan": semi_supervised,
    "stackgan": captioned,
    "cyclegan": lambda: translation(cyclegan, "logits"),
    "discogan": lambda: translation(discogan, "features"),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_step_keeps_one_pass_of_the_generator_and_two_of_the_discriminator(method):
    game = method()
    batch = {"image": IMAGES, "label": jnp.array([0, 1, 2, 0]), "embedding": IMAGES[:, 0, 0]}
    batch |= {"a": IMAGES, "b": 1 - IMAGES}
    state, _ = make_train_step(game, TX, TX)(game.init(KEY, batch, TX, TX), batch)
    for player, passes in ((state.generator, 1), (state.discriminator, 2)):
        counts = jax.tree.leaves(player.model_state["batch_stats"])
        assert counts == [passes] * len(counts) != []
