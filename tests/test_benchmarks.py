"""The count of a step's operations, which the figures of speed are judged by."""

import flops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgan import losses, make_train_step, networks
from jaxgan.methods import adversarial

BATCH = 100
GAMES = {
    "mlp": (*networks.mlp("plain"), 64, (28, 28, 1)),
    "dcgan": (
        networks.DCGANGenerator(4, (64, 32), 1, 5, True),
        networks.DCGANDiscriminator((32, 64), 5),
        20,
        (16, 16, 1),
    ),
}


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES.keys())
def test_no_pass_is_done_twice(game):
    generator, discriminator, latent_dim, image_shape = game
    method = adversarial(
        generator, discriminator, latent_dim=latent_dim, loss=losses.non_saturating
    )
    batch = {"image": jnp.zeros((1, *image_shape))}
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), batch, tiny.TX, tiny.TX))
    step = make_train_step(method, tiny.TX, tiny.TX)
    shapes = {"image": jax.ShapeDtypeStruct((BATCH, *image_shape), jnp.float32)}
    compiled = flops.compile_step(step, state, shapes, "lax")
    least = flops.least_operations(generator, discriminator, state, BATCH, latent_dim, image_shape)
    assert 1 <= compiled.cost_analysis()["flops"] / least < 1.02


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_the_taps_of_a_layer_are_those_that_meet_a_pixel(kernel):
    """With ones for image and kernel, a convolution's sum is its number of pairs."""
    for layer in (
        networks.layers.Conv(2, (kernel, kernel), 2, kernel_init=jax.nn.initializers.ones),
        networks.layers.ConvTranspose(2, (kernel, kernel), 2, kernel_init=jax.nn.initializers.ones),
        networks.layers.Conv(2, (kernel, kernel), 1, kernel_init=jax.nn.initializers.ones),
    ):
        x = np.ones((3, 7, 7, 4), np.float32)
        y, _ = layer.init_with_output(jax.random.key(0), x)
        assert flops.layer_operations(layer, x.shape) == [2 * float(y.sum())]
