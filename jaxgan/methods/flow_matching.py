"""Flow matching: a network learns the velocity from noise to images, and an ODE solver draws.

    x_t = (1 - t) x + t e,  e ~ N(0, I),  v(x_t, t) = E[e - x | x_t]

Time runs from images at 0 to noise at 1. Once v is known, so are the mean of the images that x_t
may come from and the score of x_t:

    E[x | x_t] = x_t - t v(x_t, t),  grad log p_t(x_t) = -(x_t + (1 - t) v(x_t, t)) / t
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxgan.devices import make_rows
from jaxgan.errors import UserError
from jaxgan.methods.batches import entry
from jaxgan.network import NetworkLike, check
from jaxgan.state import Player, PyTree, create_player, init_variables, update_player
from jaxgan.step import Metrics, apply_train

__all__ = ["Noised", "add_noise", "denoise", "init_flow", "integrate", "make_flow_step", "score"]

Velocity = Callable[[jax.Array, jax.Array], jax.Array]


class Noised(NamedTuple):
    """Images on their way to noise.

    Attributes:
      images: x_t, (B, H, W, C) float.
      times: t, (B,) float.
      noise: e, as the images.
    """

    images: jax.Array
    times: jax.Array
    noise: jax.Array


def add_noise(
    images: jax.Array,
    key: jax.Array,
    times: tuple[float, float] = (0.0, 1.0),
    *,
    axis_name: str | None = None,
) -> Noised:
    """Draws for each image a time, uniform in a range, and where it is then.

        x_t = (1 - t) x + t e

    Args:
      images: x, (B, H, W, C) float32.
      key: a PRNG key; the same on every device of a mapped axis.
      times: the range.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      The `Noised`.

    Examples:
      >>> noised = add_noise(jnp.zeros((2, 4, 4, 1)), jax.random.key(0), (1.0, 1.0))
      >>> bool(jnp.all(noised.images == noised.noise))
      True

    Source: Liu et al. 2023, "Flow Straight and Fast", equation 1; Lipman et al. 2023, "Flow
    Matching for Generative Modeling", section 4.1. Both have time run the other way.
    """
    time_key, noise_key = jax.random.split(key)

    def draw_times(shape):
        return jax.random.uniform(time_key, shape, minval=times[0], maxval=times[1])

    def draw_noise(shape):
        return jax.random.normal(noise_key, shape)

    t = make_rows(draw_times, images.shape[:1], axis_name)
    noise = make_rows(draw_noise, images.shape, axis_name)
    return Noised((1 - _of_each(t, images)) * images + _of_each(t, images) * noise, t, noise)


def denoise(images: jax.Array, velocity: jax.Array, times: jax.Array) -> jax.Array:
    """The mean of the images that noisy ones may come from, x_t - t v.

    Args:
      images: x_t, (B, ...) float.
      velocity: v(x_t, t), as the images.
      times: t, (B,) float.

    Returns:
      As the images.

    Examples:
      >>> x, e, t = jnp.full((1, 2), 3.0), jnp.ones((1, 2)), jnp.full(1, 0.25)
      >>> print(denoise(0.75 * x + 0.25 * e, e - x, t))
      [[3. 3.]]
    """
    return images - _of_each(times, images) * velocity


def score(images: jax.Array, velocity: jax.Array, times: jax.Array) -> jax.Array:
    """The gradient of the log density of noisy images, -(x_t + (1 - t) v) / t.

    Args:
      images: x_t, (B, ...) float.
      velocity: v(x_t, t), as the images.
      times: t > 0, (B,) float.

    Returns:
      As the images.

    Examples:
      >>> x = jnp.full((1, 2), 3.0)  # at t = 1, of a standard Gaussian, whatever the velocity
      >>> print(score(x, x, jnp.ones(1)))
      [[-3. -3.]]
    """
    t = _of_each(times, images)
    return -(images + (1 - t) * velocity) / t


def integrate(
    velocity: Velocity, noise: jax.Array, num_steps: int, *, heun: bool = False
) -> jax.Array:
    """Draws images from noise: dx/dt = v(x, t) from t = 1 to 0 in equal steps.

        Euler: x - h v(x, t);  Heun: x - h/2 (v(x, t) + v(x - h v(x, t), t - h))

    Args:
      velocity: (x (B, ...), t (B,)) -> v, as x.
      noise: (B, ...) float32, from N(0, I).
      num_steps: 1 / h.
      heun: take Heun's rule, which asks for two velocities a step, in place of Euler's.

    Returns:
      As the noise.

    Raises:
      UserError: fewer than 1 step.

    Examples:
      >>> print(integrate(lambda x, t: jnp.ones_like(x), jnp.zeros((1, 2)), 4))
      [[-1. -1.]]

    Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative
    Models", algorithm 1, for Heun's rule.
    """
    if num_steps < 1:
        raise UserError(f"num_steps: got {num_steps}, expected 1 or more")
    h = 1 / num_steps

    def step(x, index):
        # Counted, since sums of h would miss the 0 at the end.
        now, then = (jnp.full(len(x), 1 - i / num_steps) for i in (index, index + 1))
        v = velocity(x, now)
        if heun:
            v = (v + velocity(x - h * v, then)) / 2
        return x - h * v, None

    return jax.lax.scan(step, noise, jnp.arange(num_steps, dtype=jnp.float32))[0]


def init_flow(
    key: jax.Array,
    network: NetworkLike,
    tx: optax.GradientTransformation,
    *,
    image_shape: tuple[int, int, int],
) -> Player:
    """Initialises a network of velocities, with an average of its parameters.

    Args:
      key: a PRNG key.
      network: any network (x (B, H, W, C), t (B,)) -> velocities, as x.
      tx: its Optax optimiser.
      image_shape: (H, W, C).

    Returns:
      The `Player`.

    Raises:
      UserError: a network that `network.check` refuses, or that gives velocities of another shape
        than the images.

    Examples:
      >>> from jaxgan import networks
      >>> network, tx = networks.VelocityUNet(8), optax.adam(1e-3)
      >>> player = init_flow(jax.random.key(0), network, tx, image_shape=(28, 28, 1))
    """
    shown = jnp.zeros((1, *image_shape)), jnp.zeros(1)
    made = check("network", network, key, *shown)
    if made.shape != shown[0].shape:
        raise UserError(
            f"network: got velocities of shape {made.shape}, expected {shown[0].shape}, as images"
        )
    return create_player(init_variables(network, key, *shown, train=False), tx, ema=True)


def make_flow_step(
    network: NetworkLike, tx: optax.GradientTransformation, *, ema_decay: float
) -> Callable[[Player, PyTree, jax.Array], tuple[Player, Metrics]]:
    """Builds the pure step of flow matching.

        L = E |v(x_t, t) - (e - x)|^2,  t ~ U[0, 1], a mean over pixels

    Args:
      network, tx: as for `init_flow`.
      ema_decay: of the player's `ema_params`, by which to draw.

    Returns:
      (player, batch, key) -> (player, {"flow_matching_loss"}), on batches {"image": (B, H, W, C)
      float32}.

    Raises:
      UserError: an `ema_decay` out of [0, 1); while tracing, a batch without images.

    Examples:
      >>> step = jax.jit(make_flow_step(network, tx, ema_decay=0.999))  # doctest: +SKIP
      >>> player, metrics = step(player, batch, key)  # doctest: +SKIP

    Source: Lipman et al. 2023, "Flow Matching for Generative Modeling", equation 23 with no
    deviation left at the images.
    """
    if not 0 <= ema_decay < 1:
        raise UserError(f"ema_decay: got {ema_decay}, expected a number in [0, 1)")

    def step(player: Player, batch: PyTree, key: jax.Array) -> tuple[Player, Metrics]:
        images = entry(batch, "image")
        noise_key, network_key = jax.random.split(key)
        noised = add_noise(images, noise_key)

        def loss_of(params):
            variables = {"params": params, **player.model_state}
            given = noised.images, noised.times
            velocity, model_state = apply_train(network, variables, *given, key=network_key)
            return flow_matching_loss(velocity, images, noised.noise), model_state

        (loss, model_state), grads = jax.value_and_grad(loss_of, has_aux=True)(player.params)
        player = update_player(player, grads, model_state, tx)
        averaged = optax.incremental_update(player.params, player.ema_params, 1 - ema_decay)
        return player.replace(ema_params=averaged), {"flow_matching_loss": loss}

    return step


def flow_matching_loss(velocity: jax.Array, images: jax.Array, noise: jax.Array) -> jax.Array:
    """E |v(x_t, t) - (e - x)|^2, a mean over pixels; all of them are (B, H, W, C)."""
    return jnp.mean(jnp.square(velocity - (noise - images)))


def _of_each(times: jax.Array, images: jax.Array) -> jax.Array:
    """(B,) -> (B, 1, ...), of as many axes as the images."""
    return times.reshape(-1, *(1 for _ in images.shape[1:]))
