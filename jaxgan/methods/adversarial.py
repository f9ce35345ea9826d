"""The plain game: latents in, images out, one logit an image; with classes or without.

MLP GAN, DCGAN, LSGAN, WGAN-GP, SNGAN and R3GAN are this objective with other networks, losses and
penalties.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan.latent import sample_latents
from jaxgan.losses import Loss
from jaxgan.losses.penalties import lazily
from jaxgan.methods.batches import class_labels, entry, real_images
from jaxgan.methods.monitors import adversarial_metrics, diversity, judge_held_out
from jaxgan.methods.players import init_players
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Aux, Context, Metrics, Objective, apply_train, local_key

__all__ = ["adversarial", "init_adversarial", "make_evaluate"]

View = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def adversarial(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    loss: Loss,
    latent: str = "normal",
    conditional: bool = False,
    view: View | None = None,
    penalty: Callable[..., jax.Array] | None = None,
    penalty_interval: int = 1,
    axis_name: str | None = None,
) -> Objective:
    """The objective of a generator of images and a discriminator of images.

        z ~ prior;  L_D(D(x), D(G(z)));  L_G(D(G(z))), or L_G(D(G(z)), D(x)) if relativistic

    With classes, G(z, y) and D(x, y) are given those of the batch. The discriminator sees real and
    generated images in passes of their own, since batch norm would mix their statistics.

    Args:
      generator: module (B, latent_dim) -> (B, H, W, C), taking `train`, a bool, by that name; with
        classes it takes (latents, labels).
      discriminator: module (B, H, W, C) -> logits (B,), taking `train`; with classes it takes
        (images, labels).
      latent_dim: size of the latents.
      loss: from `jaxgan.losses`.
      latent: "normal" or "uniform".
      conditional: both networks are given the classes.
      view: (images, key, step) -> what the discriminator is shown of images, real or generated, in
        its own loss and in the generator's: augmented, noisy or packed, see `jaxgan.augment`. The
        key is the same on every device of a mapped axis; `step` counts the steps done. A pack is of
        images that follow one another in the batch.
      penalty: (critic, real, fake, key) -> scalar that the discriminator pays besides, with its
        weight, such as `lambda *inputs: 10 * penalties.gradient_penalty(*inputs)`. The key is the
        same on every device of a mapped axis. The view is part of the critic, D(view(x)), with the
        draw of the real images: gradients are by the images before it, as in R3GAN. Of packs of m,
        the images are (B / m, m, H, W, C), and the gradient norm is that of a logit by all images
        of its pack together.
      penalty_interval: it is paid at every so many steps, that many times, see `penalties.lazily`.
      axis_name: the mapped axis inside `pmap` or `shard_map`. What draws in `view` or `penalty` is
        given it as well.

    Returns:
      An `Objective` on batches {"image": (B, H, W, C) float32}, with classes also "label": (B,)
      int32; other entries are ignored. Its metrics are those of `adversarial_metrics`, and
      `diversity`; `penalty` where there is one.

    Raises:
      UserError: while tracing, a batch without images or labels, images that are no floats or of
        another shape than the generator's, labels that are not one integer an image.

    Example:
      >>> from jaxgan import augment, losses, networks
      >>> generator, discriminator = networks.dcgan(image_size=28, channels=1)
      >>> objective = adversarial(
      ...     generator,
      ...     discriminator,
      ...     latent_dim=100,
      ...     loss=losses.non_saturating,
      ...     view=lambda images, key, step: augment.diff_augment(images, key),
      ... )
    """

    def labels(batch: PyTree) -> tuple[jax.Array, ...]:
        return (class_labels(batch),) if conditional else ()

    def shown(images: jax.Array, key: jax.Array, context: Context) -> jax.Array:
        return images if view is None else view(images, jax.random.fold_in(key, 1), context.step)

    def generate(gen_vars: PyTree, batch: PyTree, context: Context):
        latent_key, key = jax.random.split(context.key)
        latents = sample_latents(
            latent_key,
            entry(batch, "image").shape[0],
            latent_dim,
            distribution=latent,
            axis_name=axis_name,
        )
        key = local_key(key, axis_name)
        return apply_train(generator, gen_vars, latents, *labels(batch), key=key)

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images = real_images(batch, fakes)
        real_key, fake_key, penalty_key = jax.random.split(context.key, 3)
        real, fake = shown(images, real_key, context), shown(fakes, fake_key, context)
        classes = labels(batch)
        real_logits, model_state = apply_train(
            discriminator, disc_vars, real, *classes, key=local_key(real_key, axis_name)
        )
        disc_vars = {**disc_vars, **model_state}
        fake_logits, model_state = apply_train(
            discriminator, disc_vars, fake, *classes, key=local_key(fake_key, axis_name)
        )
        real_part, fake_part = loss.discriminator(real_logits, fake_logits)
        metrics = {
            "discriminator_loss_real": real_part,
            "discriminator_loss_fake": fake_part,
            **adversarial_metrics(loss, real_logits, fake_logits),
            "diversity": diversity(images, fakes, axis_name),
        }
        if penalty is None:
            return real_part + fake_part, Aux(model_state, metrics)

        def paid():
            draw_key, critic_key = jax.random.split(penalty_key)
            critic_key = local_key(critic_key, axis_name)

            def critic(examples):
                viewed = examples.reshape(-1, *images.shape[1:])
                viewed = shown(viewed, real_key, context)
                return apply_train(discriminator, disc_vars, viewed, *classes, key=critic_key)[0]

            examples = (_in_packs(x, len(real_logits)) for x in (images, fakes))
            return penalty(critic, *examples, draw_key)

        metrics["penalty"] = lazily(paid, context.step, penalty_interval)
        return real_part + fake_part + metrics["penalty"], Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        def judge(images, key):
            images, key = shown(images, key, context), local_key(key, axis_name)
            return apply_train(discriminator, disc_vars, images, *labels(batch), key=key)[0]

        if not loss.generator_sees_real:
            return loss.generator(judge(fakes, context.key)), Aux(None, {})
        real_key, fake_key = jax.random.split(context.key)
        real_logits = judge(batch["image"], real_key)
        return loss.generator(judge(fakes, fake_key), real_logits), Aux(None, {})

    return Objective(generate, disc_loss, gen_loss)


def _in_packs(images: jax.Array, count: int) -> jax.Array:
    """(B, ...) -> (count, B / count, ...) where so many packs are judged, else the images."""
    if count == len(images) or len(images) % count:
        return images
    return images.reshape(count, -1, *images.shape[1:])


def init_adversarial(
    key: jax.Array,
    generator: nn.Module,
    discriminator: nn.Module,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    *,
    latent_dim: int,
    image_shape: tuple[int, int, int],
    shown_shape: tuple[int, int, int] | None = None,
    conditional: bool = False,
    ema: bool = False,
) -> TrainState:
    """Initialises both networks and makes the state at step 0.

    Args:
      key: `jax.random.key(seed)`.
      generator, discriminator: as in `adversarial`.
      gen_tx, disc_tx: the Optax optimisers.
      latent_dim: size of the latents.
      image_shape: (H, W, C) of the data.
      shown_shape: (H, W, C) of what the discriminator is shown, where a `view` changes it.
      conditional: as in `adversarial`.
      ema: keep an average of the generator's parameters.

    Returns:
      The `TrainState`.

    Raises:
      UserError: the generator makes images of another shape than `image_shape`, or the
        discriminator does not give one logit an image.
    """
    return init_players(
        key,
        generator,
        discriminator,
        gen_tx,
        disc_tx,
        latent_dim=latent_dim,
        image_shape=image_shape,
        shown_shape=shown_shape,
        generator_takes_labels=conditional,
        discriminator_takes_labels=conditional,
        is_right=lambda shapes: shapes == (1,),
        expected="(1,)",
        ema=ema,
    )


def make_evaluate(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    loss: Loss,
    latent: str = "normal",
    conditional: bool = False,
    view: View | None = None,
) -> Callable[[TrainState, PyTree, jax.Array], Metrics]:
    """Builds the discriminator's test: real images it never saw, and as many new fakes.

    Both networks run as in training, with the batch's own statistics, so that the figures differ
    from the accuracy in training by the data alone. The running statistics of a discriminator
    mix those of real and of generated batches, and would misjudge both.

    Args:
      generator, discriminator, latent_dim, loss, latent, conditional, view: as in `adversarial`.

    Returns:
      (state, batch, key) -> {"accuracy_real", "accuracy_fake"}: the number judged right in this
      batch, and {"jsd_lower_bound"}, the sum of its terms, as in `adversarial_metrics`; or with a
      loss without probabilities {"critic_real", "critic_fake"}, the sums of logits; and "count",
      the number of verdicts; sum over batches, then divide. `batch` is
      {"image": (B, H, W, C), "mask": (B,)}, mask 0 where a last batch was filled up, with classes
      also "label". Of packs, those without filling count.
    """

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        images, labels = batch["image"], (class_labels(batch),) if conditional else ()
        latent_key, gen_key, disc_key = jax.random.split(key, 3)
        latents = sample_latents(latent_key, images.shape[0], latent_dim, distribution=latent)
        fakes, _ = apply_train(generator, state.generator.variables, latents, *labels, key=gen_key)

        def judge(images):
            variables = state.discriminator.variables
            if view is not None:
                images = view(images, jax.random.fold_in(disc_key, 1), state.step)
            return apply_train(discriminator, variables, images, *labels, key=disc_key)[0]

        real_logits, fake_logits = judge(images), judge(fakes)
        mask = jnp.min(batch["mask"].reshape(len(real_logits), -1), axis=1)
        counts = judge_held_out(loss, real_logits, fake_logits, mask)
        return {**counts, "count": jnp.sum(mask)}

    return evaluate
