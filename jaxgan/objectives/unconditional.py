"""The unconditional GAN: latents in, images out, one logit an image.

MLP GAN, DCGAN and LSGAN are this objective with other networks and losses.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan.errors import UserError
from jaxgan.latent import sample_latents
from jaxgan.losses import Loss
from jaxgan.penalties import lazily
from jaxgan.state import PyTree, TrainState, create_player, create_train_state
from jaxgan.step import Aux, Context, Metrics, Objective, apply_train, local_key

__all__ = [
    "adversarial_metrics",
    "diversity",
    "init_unconditional",
    "make_evaluate",
    "unconditional",
]


def unconditional(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    loss: Loss,
    latent: str = "normal",
    penalty: Callable[..., jax.Array] | None = None,
    penalty_interval: int = 1,
    axis_name: str | None = None,
) -> Objective:
    """The objective of a generator of images and a discriminator of images.

        z ~ prior;  L_D(D(x), D(G(z)));  L_G(D(G(z))), or L_G(D(G(z)), D(x)) if relativistic

    The discriminator sees real and generated images in passes of their own, since batch norm
    would mix their statistics.

    Args:
      generator: module (B, latent_dim) -> (B, H, W, C), taking `train`.
      discriminator: module (B, H, W, C) -> logits (B,), taking `train`.
      latent_dim: size of the latents.
      loss: from `jaxgan.losses`.
      latent: "normal" or "uniform".
      penalty: (critic, real, fake, key) -> scalar that the discriminator pays besides, with its
        weight, such as `lambda *inputs: 10 * penalties.gradient_penalty(*inputs)`.
      penalty_interval: it is paid at every so many steps, that many times, see `penalties.lazily`.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      An `Objective` on batches {"image": (B, H, W, C) float32}; other entries are ignored. Its
      metrics are those of `adversarial_metrics`, and `diversity`; `penalty` where there is one.

    Raises:
      UserError: while tracing, a batch without images, or of another shape than the generator's.

    Example:
      >>> from jaxgan import losses, networks
      >>> generator, discriminator = networks.dcgan(image_size=28, channels=1)
      >>> objective = unconditional(
      ...     generator, discriminator, latent_dim=100, loss=losses.non_saturating
      ... )
    """

    def generate(gen_vars: PyTree, batch: PyTree, context: Context):
        latent_key, key = jax.random.split(context.key)
        latents = sample_latents(
            latent_key,
            _images(batch).shape[0],
            latent_dim,
            distribution=latent,
            axis_name=axis_name,
        )
        return apply_train(generator, gen_vars, latents, key=local_key(key, axis_name))

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images = _images(batch)
        if images.shape != fakes.shape:
            raise UserError(
                f"image: got a batch of shape {images.shape}, expected {fakes.shape}, which is "
                "what the generator makes"
            )
        real_key, fake_key, penalty_key = jax.random.split(local_key(context.key, axis_name), 3)
        real_logits, model_state = apply_train(discriminator, disc_vars, images, key=real_key)
        disc_vars = {**disc_vars, **model_state}
        fake_logits, model_state = apply_train(discriminator, disc_vars, fakes, key=fake_key)
        real, fake = loss.discriminator(real_logits, fake_logits)
        metrics = {
            "discriminator_loss_real": real,
            "discriminator_loss_fake": fake,
            **adversarial_metrics(loss, real_logits, fake_logits),
            "diversity": diversity(images, fakes, axis_name),
        }
        if penalty is None:
            return real + fake, Aux(model_state, metrics)

        def paid():
            draw_key, critic_key = jax.random.split(penalty_key)

            def critic(images):
                return apply_train(discriminator, disc_vars, images, key=critic_key)[0]

            return penalty(critic, images, fakes, draw_key)

        metrics["penalty"] = lazily(paid, context.step, penalty_interval)
        return real + fake + metrics["penalty"], Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        key = local_key(context.key, axis_name)
        if not loss.generator_sees_real:
            logits, _ = apply_train(discriminator, disc_vars, fakes, key=key)
            return loss.generator(logits), Aux(None, {})
        real_key, fake_key = jax.random.split(key)
        real_logits, _ = apply_train(discriminator, disc_vars, batch["image"], key=real_key)
        fake_logits, _ = apply_train(discriminator, disc_vars, fakes, key=fake_key)
        return loss.generator(fake_logits, real_logits), Aux(None, {})

    return Objective(generate, disc_loss, gen_loss)


def _images(batch: PyTree) -> jax.Array:
    """The images of a batch, which is refused if it has none."""
    if not isinstance(batch, Mapping) or "image" not in batch:
        got = f"entries {', '.join(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise UserError(f"batch: got {got}, expected {{'image': images, ...}}")
    return batch["image"]


def adversarial_metrics(loss: Loss, real_logits: jax.Array, fake_logits: jax.Array) -> Metrics:
    """What the discriminator's logits say about the game.

    Args:
      loss: gives the meaning of a logit as a probability D.
      real_logits, fake_logits: (B,) float.

    Returns:
      float32 scalars: `d_real` E[D(x)], `d_fake` E[D(G(z))], `accuracy_real` and `accuracy_fake`
      (the share on the right side of D = 1/2), `d_ratio` E[D(x) / (D(x) + D(G(z)))] over pairs,
      and `jsd_lower_bound` log 2 + 1/2 E[log D(x)] + 1/2 E[log(1 - D(G(z)))] in nats, which is
      at most the Jensen-Shannon divergence of data and generator, itself at most log 2.

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", theorem 1, for the bound.

    Example:
      >>> from jaxgan import losses
      >>> metrics = adversarial_metrics(losses.minimax, jnp.full(2, 9.0), jnp.full(2, -9.0))
      >>> print(f"{metrics['jsd_lower_bound']:.3f} {metrics['accuracy_real']:.1f}")
      0.693 1.0
    """
    log_d_real, log_not_d_real = loss.log_probabilities(real_logits)
    log_d_fake, log_not_d_fake = loss.log_probabilities(fake_logits)
    return {
        "d_real": jnp.mean(jnp.exp(log_d_real)),
        "d_fake": jnp.mean(jnp.exp(log_d_fake)),
        "accuracy_real": jnp.mean(log_d_real > log_not_d_real),
        "accuracy_fake": jnp.mean(log_d_fake < log_not_d_fake),
        "d_ratio": jnp.mean(jax.nn.sigmoid(log_d_real - log_d_fake)),
        "jsd_lower_bound": jnp.log(2.0) + 0.5 * (jnp.mean(log_d_real) + jnp.mean(log_not_d_fake)),
    }


def diversity(real: jax.Array, fake: jax.Array, axis_name: str | None = None) -> jax.Array:
    """How much generated images spread, in units of how much real ones do.

        sqrt(mean over pixels of Var[fake] / mean over pixels of Var[real])

    About 1 in a healthy game; 0 where the generator makes one image only.

    Args:
      real, fake: (B, ...) float, of equal shapes.
      axis_name: the mapped axis over whose devices the batch is split, if any.

    Returns:
      float32 scalar.

    Example:
      >>> images = jnp.arange(4.0).reshape(4, 1, 1, 1)
      >>> print(diversity(images, images / 2))
      0.5
    """

    def variance(images):
        images = images.astype(jnp.float32)
        mean, square = jnp.mean(images, 0), jnp.mean(jnp.square(images), 0)
        if axis_name is not None:
            mean, square = jax.lax.pmean((mean, square), axis_name)
        return jnp.mean(square - jnp.square(mean))

    # Rounding may leave a constant image a little below zero, and real ones must not be alike.
    ratio = variance(jax.lax.stop_gradient(fake)) / jnp.maximum(variance(real), 1e-12)
    return jnp.sqrt(jnp.maximum(ratio, 0.0))


def init_unconditional(
    key: jax.Array,
    generator: nn.Module,
    discriminator: nn.Module,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    *,
    latent_dim: int,
    image_shape: tuple[int, int, int],
    ema: bool = False,
) -> TrainState:
    """Initialises both networks and makes the state at step 0.

    Args:
      key: `jax.random.key(seed)`.
      generator, discriminator: as in `unconditional`.
      gen_tx, disc_tx: the Optax optimisers.
      latent_dim: size of the latents.
      image_shape: (H, W, C) of the data.
      ema: keep an average of the generator's parameters.

    Returns:
      The `TrainState`.

    Raises:
      UserError: the generator makes images of another shape than `image_shape`, or the
        discriminator does not give one logit an image.
    """
    gen_key, disc_key, train_key = jax.random.split(key, 3)
    latents, images = jnp.zeros((1, latent_dim)), jnp.zeros((1, *image_shape))
    made, _ = jax.eval_shape(generator.init_with_output, gen_key, latents)
    if made.shape != images.shape:
        raise UserError(
            f"image_size, channels: got data of shape {tuple(image_shape)}, expected "
            f"{made.shape[1:]}, which is what the generator makes"
        )
    logits, _ = jax.eval_shape(discriminator.init_with_output, disc_key, images)
    if logits.shape != (1,):
        raise UserError(f"discriminator: got logits {logits.shape} for one image, expected (1,)")
    return create_train_state(
        train_key,
        create_player(jax.jit(generator.init)(gen_key, latents), gen_tx, ema=ema),
        create_player(jax.jit(discriminator.init)(disc_key, images), disc_tx),
    )


def make_evaluate(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    loss: Loss,
    latent: str = "normal",
) -> Callable[[TrainState, PyTree, jax.Array], Metrics]:
    """Builds the discriminator's test: real images it never saw, and as many new fakes.

    Both networks run as in training, with the batch's own statistics, so that the figures differ
    from the accuracy in training by the data alone. The running statistics of a discriminator
    mix those of real and of generated batches, and would misjudge both.

    Args:
      generator, discriminator, latent_dim, loss, latent: as in `unconditional`.

    Returns:
      (state, batch, key) -> {"accuracy_real", "accuracy_fake"}: the number judged right in this
      batch, and "count", the number of examples; sum over batches, then divide. `batch` is
      {"image": (B, H, W, C), "mask": (B,)}, mask 0 where a last batch was filled up.
    """

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        images, mask = batch["image"], batch["mask"]
        latent_key, gen_key, disc_key = jax.random.split(key, 3)
        latents = sample_latents(latent_key, images.shape[0], latent_dim, distribution=latent)
        fakes, _ = apply_train(generator, state.generator.variables, latents, key=gen_key)

        def right(images, real):
            variables = state.discriminator.variables
            logits, _ = apply_train(discriminator, variables, images, key=disc_key)
            log_d, log_not_d = loss.log_probabilities(logits)
            return jnp.sum(mask * (log_d > log_not_d if real else log_d < log_not_d))

        return {
            "accuracy_real": right(images, True),
            "accuracy_fake": right(fakes, False),
            "count": jnp.sum(mask),
        }

    return evaluate
