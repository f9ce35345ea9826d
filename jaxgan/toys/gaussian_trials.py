"""The training of `gaussians.py`: several trials of one game at once, and what they generate.

The state is a `TrainState` in which every array but the step has the trials as its first axis.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import config_dict

from jaxgan import cpu, methods, networks
from jaxgan.latent import sample_latents
from jaxgan.networks.points import PointGenerator
from jaxgan.state import TrainState
from jaxgan.step import make_train_step
from jaxgan.toys import gaussian_toys
from jaxgan.training import adversarial, seeds
from jaxgan.training.config import SCHEDULE, check_numbers, expect_field, expect_policy
from jaxgan.training.experiment import guarded


class Trials(NamedTuple):
    """What is trained and measured.

    Attributes:
      generator, discriminator: of points (B, packing, D).
      mixture: the data.
      state: at step 0.
      train_steps: (state, numbers of steps (N,)) -> (state, metrics (N,), means over the trials).
      steps: the same, not compiled, of (state, numbers, data_keys).
      data_keys: (trials,), of the points that are drawn.
      draw: state -> points (trials, num_samples, D), from latents that stay the same.
    """

    generator: nn.Module
    discriminator: nn.Module
    mixture: gaussian_toys.Mixture
    state: TrainState
    train_steps: Callable
    steps: Callable
    data_keys: jax.Array
    draw: Callable


def make_trials(config: config_dict.ConfigDict) -> Trials:
    """Makes networks, states and the compiled steps, as the config says."""
    mixture = gaussian_toys.make_mixture(config.variant)
    dim, hidden = mixture.centres.shape[1], (config.width,) * config.layers
    generator = PointGenerator(hidden, config.latent_dim, dim)
    discriminator = networks.MLPDiscriminator(hidden)
    gen_tx = _optimizer(config.generator_learning_rate, config.num_steps)
    disc_tx = _optimizer(config.discriminator_learning_rate, config.num_steps * config.disc_steps)
    # To the method, a pack of points is one example and has one latent.
    init_key, data_key, draw_key = jax.random.split(jax.random.key(config.seed), 3)

    def make_method(step):
        # No more than a few functions, so it can be made while the step is traced, with a penalty
        # that knows the step.
        return methods.adversarial(
            generator,
            discriminator,
            latent_dim=config.packing * config.latent_dim,
            loss=adversarial.loss_of(config),
            prior=config.latent,
            penalty=_penalty(config, step),
        )

    def init(key):
        batch = {"image": jnp.zeros((1, config.packing, dim))}
        return make_method(0).init(key, batch, gen_tx, disc_tx, ema=config.ema_decay > 0)

    def step(state, data_key, number):
        train_step = make_train_step(
            make_method(state.step),
            gen_tx,
            disc_tx,
            disc_steps=config.disc_steps,
            ema_decay=config.ema_decay or None,
        )
        shape = (config.disc_steps * config.batch_size // config.packing, config.packing)
        points = mixture.sample(jax.random.fold_in(data_key, number), shape)
        return train_step(state, {"image": points / mixture.unit})

    data_keys = jax.random.split(data_key, config.trials)
    every_trial = jax.vmap(step, in_axes=(seeds.AXES, 0, None), out_axes=(seeds.AXES, 0))

    def steps(state, numbers, data_keys):
        def body(state, number):
            state, metrics = every_trial(state, data_keys, number)
            return state, jax.tree.map(jnp.mean, metrics)

        return jax.lax.scan(guarded(config, body), state, numbers)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def train_steps(state, numbers):
        return steps(state, numbers, data_keys)

    @jax.jit
    def draw_all(variables, keys):
        def one(variables, key):
            latents = sample_latents(
                key, config.num_samples, config.latent_dim, prior=config.latent
            )
            return mixture.unit * generator.apply(variables, latents)[:, 0]

        return jax.vmap(one)(variables, keys)

    draw_keys = jax.random.split(draw_key, config.trials)

    def draw(state):
        return draw_all(state.generator.ema_variables, draw_keys)

    state = jax.jit(jax.vmap(init, out_axes=seeds.AXES))(jax.random.split(init_key, config.trials))
    networks_of = generator, discriminator
    return Trials(*networks_of, mixture, state, train_steps, steps, data_keys, draw)


def _optimizer(rate, updates):
    # Adam's steps stay as large as their rate however flat the game has become: only smaller ones
    # come to rest.
    return optax.adam(optax.cosine_decay_schedule(rate, updates), b1=0.5, b2=0.99)


def _penalty(config, step):
    """(critic, real, fake, key) -> scalar, its weight falling by the same factor at every step."""
    fall = config.final_penalty_weight / config.penalty_weight
    weight = config.penalty_weight * fall ** (step / config.num_steps)
    return adversarial.weighted(weight, adversarial.penalties_of(config))


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses values that no run can have, naming the field."""
    check_numbers(config)
    expect = functools.partial(expect_field, config)
    for name in ("trials", "num_samples", "batch_size", "packing", "latent_dim", "width", "layers",
                 "disc_steps", *SCHEDULE):  # fmt: skip
        expect(name, config[name] >= 1, "1 or more")
    for name in ("penalty_weight", "final_penalty_weight", "generator_learning_rate",
                 "discriminator_learning_rate"):  # fmt: skip
        expect(name, config[name] > 0 and math.isfinite(config[name]), "a positive number")
    expect("seed", 0 <= config.seed < 2**31 - 1, "a number from 0 to 2^31 - 2")
    expect("ema_decay", 0 <= config.ema_decay < 1, "a number in [0, 1)")
    expect("latent", config.latent in ("normal", "uniform"), "normal or uniform")
    loss = adversarial.loss_of(config)
    adversarial.penalties_of(config)
    expect("packing", config.batch_size % config.packing == 0, "a divisor of batch_size")
    expect_policy(config)
    seeds.check_seeds(config)
    if config.variant == "line":
        for name, only in (("latent_dim", 1), ("packing", 1), ("ema_decay", 0)):
            expect(name, config[name] == only, f"{only} on the line, where densities are compared")
        expect(
            "loss",
            loss.log_probabilities is not None,
            "one that gives probabilities, on the line, as non_saturating",
        )
