"""The plain game: latents in, images out, logits of images; with classes or without.

MLP GAN, DCGAN, LSGAN, WGAN-GP, SNGAN, R3GAN and Projected GAN are this objective with other
networks, losses and penalties.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxgan import augment
from jaxgan.errors import UserError
from jaxgan.inputs import Latents
from jaxgan.latent import sample_latents
from jaxgan.losses import Loss
from jaxgan.losses.penalties import lazily
from jaxgan.methods.batches import class_labels, entry, real_images
from jaxgan.methods.from_latents import latent_inputs, make_generate, one_of_each
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity, judge_held_out
from jaxgan.methods.players import are_logits, make_init
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Aux, Context, Metrics, apply_train, local_key

__all__ = ["adversarial"]

View = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def adversarial(
    generator: NetworkLike,
    discriminator: NetworkLike,
    *,
    latent_dim: int,
    loss: Loss,
    prior: str = "normal",
    num_classes: int | None = None,
    view: View | None = None,
    packing: int = 1,
    penalty: Callable[..., jax.Array] | None = None,
    penalty_weight: optax.Schedule | None = None,
    penalty_interval: int = 1,
    axis_name: str | None = None,
) -> Method:
    """The game of a generator of images and a discriminator of images.

        z ~ prior;  L_D(D(x), D(G(z)));  L_G(D(G(z))), or L_G(D(G(z)), D(x)) if relativistic

    With classes, G(z, y) and D(x, y) are given those of the batch. The discriminator sees real and
    generated images in passes of their own, since batch norm would mix their statistics.

    Args:
      generator: module (B, latent_dim) -> (B, H, W, C), taking `train`, a bool, by that name; with
        classes it takes (latents, labels).
      discriminator: module (B, H, W, C) -> logits (B,) or, of several patches or scales, (B, ...),
        taking `train`; with classes it takes (images, labels). Each logit counts as one example.
      latent_dim: size of the latents.
      loss: from `jaxgan.losses`.
      prior: "normal" or "uniform".
      num_classes: of the data, where both networks are given the classes.
      view: (images, key, step) -> what the discriminator is shown of images, real or generated, in
        its own loss and in the generator's: augmented or noisy, see `jaxgan.augment`. The key is
        the same on every device of a mapped axis; `step` counts the steps done.
      packing: how many images that follow one another in the batch are judged at once, laid over
        one another as channels, see `augment.pack`.
      penalty: (critic, real, fake, key) -> scalar that the discriminator pays besides, with its
        weight, such as `lambda *inputs: 10 * penalties.gradient_penalty(*inputs)`. The key is the
        same on every device of a mapped axis. The view is part of the critic, D(view(x)), with the
        draw of the real images: gradients are by the images before it, as in R3GAN. Of packs of m,
        the images are (B / m, m, H, W, C), and the gradient norm is that of a logit by all images
        of its pack together.
      penalty_weight: step -> how many times the penalty is paid, where that changes; once without.
      penalty_interval: it is paid at every so many steps, that many times, see `penalties.lazily`.
      axis_name: the mapped axis inside `pmap` or `shard_map`. What draws in `view` or `penalty` is
        given it as well.

    Returns:
      A `Method` on batches {"image": (B, H, W, C) float32}, with classes also "label": (B,) int32;
      other entries are ignored. Its metrics are those of `adversarial_metrics`, and `diversity`;
      `penalty` where there is one. Its `evaluate` shows the discriminator held-out images and as
      many new fakes, and gives the sums of `judge_held_out`. Both networks run as in training, with
      the batch's own statistics, so that these differ from what is measured in training by the data
      alone: the running statistics of a discriminator mix those of real and of generated batches,
      and would misjudge both. Of packs, those without filling count.

    Raises:
      UserError: by `init`, a generator of images of another shape than the batch's, or a
        discriminator that gives an image no logits; while tracing, a batch without images or
        labels, images that are no floats or of another shape than the generator's, labels that are
        not one integer an image.

    Examples:
      >>> from jaxgan import augment, losses, networks
      >>> generator, discriminator = networks.dcgan(image_size=28, channels=1)
      >>> method = adversarial(
      ...     generator,
      ...     discriminator,
      ...     latent_dim=100,
      ...     loss=losses.non_saturating,
      ...     view=lambda images, key, step: augment.diff_augment(images, key),
      ... )
    """

    latents = Latents(latent_dim, prior)
    inputs = latent_inputs(latents, num_classes)

    def labels(batch: PyTree) -> tuple[jax.Array, ...]:
        return () if num_classes is None else (class_labels(batch),)

    generate = make_generate(generator, latents, labels, axis_name)

    def shown(images: jax.Array, key: jax.Array, context: Context) -> jax.Array:
        if view is not None:
            images = view(images, jax.random.fold_in(key, 1), context.step)
        return images if packing == 1 else augment.pack(images, packing)

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
        judged = len(real_logits)
        real_logits, fake_logits = real_logits.reshape(-1), fake_logits.reshape(-1)
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

            examples = (_in_packs(x, judged) for x in (images, fakes))
            value = penalty(critic, *examples, draw_key)
            if jnp.shape(value) != ():
                raise UserError(f"penalty: got shape {jnp.shape(value)}, expected a scalar")
            return value if penalty_weight is None else penalty_weight(context.step) * value

        metrics["penalty"] = lazily(paid, context.step, penalty_interval)
        return real_part + fake_part + metrics["penalty"], Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        def judge(images, key):
            images, key = shown(images, key, context), local_key(key, axis_name)
            logits, _ = apply_train(discriminator, disc_vars, images, *labels(batch), key=key)
            return logits.reshape(-1)

        if not loss.generator_sees_real:
            return loss.generator(judge(fakes, context.key)), Aux(None, {})
        real_key, fake_key = jax.random.split(context.key)
        real_logits = judge(batch["image"], real_key)
        return loss.generator(judge(fakes, fake_key), real_logits), Aux(None, {})

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        images, classes = entry(batch, "image"), labels(batch)
        latent_key, gen_key, disc_key = jax.random.split(key, 3)
        latents = sample_latents(latent_key, images.shape[0], latent_dim, prior=prior)
        fakes, _ = apply_train(generator, state.generator.variables, latents, *classes, key=gen_key)

        # Images as they are, however training shows them.
        def judge(images):
            images = images if packing == 1 else augment.pack(images, packing)
            variables = state.discriminator.variables
            return apply_train(discriminator, variables, images, *classes, key=disc_key)[0]

        real_logits, fake_logits = judge(images), judge(fakes)
        mask = jnp.min(batch["mask"].reshape(len(real_logits), -1), axis=1)
        mask = jnp.repeat(mask, real_logits.size // len(real_logits))
        counts = judge_held_out(loss, real_logits.reshape(-1), fake_logits.reshape(-1), mask)
        return {**counts, "count": jnp.sum(mask)}

    def examples(batch: PyTree):
        given = one_of_each(inputs)
        image = shown_shape(shown, batch["image"], axis_name)
        return given, (jnp.zeros((1, *image)), *given[1:])

    expected = "its logit, or those of its patches or scales"
    init = make_init(generator, discriminator, examples, are_logits, expected)
    disc_inputs = {name: of for name, of in inputs.items() if name == "labels"}
    return Method(generate, disc_loss, gen_loss, init, evaluate, inputs, disc_inputs)


def shown_shape(
    shown: Callable, images: jax.ShapeDtypeStruct, axis_name: str | None
) -> tuple[int, int, int]:
    """(H, W, C) of what the discriminator is shown of a batch of such images."""

    def show(images):
        key = jax.random.key(0)
        return shown(images, key, Context(jnp.zeros((), jnp.int32), key, None))

    if axis_name is None:
        return jax.eval_shape(show, images).shape[1:]
    # What draws asks for the index of its device.
    show = jax.vmap(show, axis_name=axis_name)
    batches = jax.ShapeDtypeStruct((1, *images.shape), images.dtype)
    return jax.eval_shape(show, batches).shape[2:]


def _in_packs(images: jax.Array, count: int) -> jax.Array:
    """(B, ...) -> (count, B / count, ...) where so many packs are judged, else the images."""
    if count == len(images) or len(images) % count:
        return images
    return images.reshape(count, -1, *images.shape[1:])
