"""ACGAN: the discriminator also tells the class, of real images and of generated ones."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxgan.latent import sample_latents
from jaxgan.losses import Loss
from jaxgan.methods.adversarial import adversarial
from jaxgan.methods.batches import class_labels, entry, real_images
from jaxgan.methods.monitors import adversarial_metrics, diversity, judge_held_out
from jaxgan.methods.players import init_players
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Aux, Context, Metrics, Objective, apply_train, local_key

__all__ = ["acgan", "init_acgan", "make_acgan_evaluate"]


def acgan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    loss: Loss,
    latent: str = "normal",
    class_weight: float = 1.0,
    axis_name: str | None = None,
) -> Objective:
    """The objective of an auxiliary classifier GAN.

        L_C = E[-log P(y | x)] + E[-log P(y | G(z, y))]
        discriminator: L_D(S(x), S(G(z, y))) + w L_C;  generator: L_G(S(G(z, y))) + w L_C

    S and P are the two heads of one network, P the softmax of its class logits. Both players want
    the class told; only over real and generated are they at odds. Of L_C the generator moves the
    second term alone, so the first is left out of its loss. Generated images are of the batch's
    classes, which are drawn as often as the data have them.

    Args:
      generator: module (latents (B, latent_dim), labels (B,)) -> (B, H, W, C), taking `train`.
      discriminator: module (B, H, W, C) -> (logits (B,), class logits (B, K)), taking `train`.
      latent_dim: size of the latents.
      loss: L_D and L_G, from `jaxgan.losses`.
      latent: "normal" or "uniform".
      class_weight: w.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      An `Objective` on batches {"image": (B, H, W, C) float32, "label": (B,) int32}; other entries
      are ignored. Its metrics are those of `adversarial_metrics`, `diversity`, and of either kind
      of images `class_loss_real`, `class_loss_fake`, `class_accuracy_real` and
      `class_accuracy_fake`.

    Raises:
      UserError: while tracing, a batch without images or labels, or of another shape than the
        generator's.

    Example:
      >>> from jaxgan import losses, networks
      >>> generator, discriminator = networks.dcgan(image_size=28, channels=1, num_classes=10)
      >>> objective = acgan(generator, discriminator, latent_dim=100, loss=losses.non_saturating)

    Source: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs",
    section 3.
    """
    plain = adversarial(
        generator,
        discriminator,
        latent_dim=latent_dim,
        loss=loss,
        latent=latent,
        conditional=True,
        axis_name=axis_name,
    )

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images, labels = real_images(batch, fakes), class_labels(batch)
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        # In passes of their own, since batch norm would mix their statistics.
        (real_logits, real_classes), model_state = apply_train(
            discriminator, disc_vars, images, key=real_key
        )
        disc_vars = {**disc_vars, **model_state}
        (fake_logits, fake_classes), model_state = apply_train(
            discriminator, disc_vars, fakes, key=fake_key
        )
        real_part, fake_part = loss.discriminator(real_logits, fake_logits)
        real_class = _class_loss(real_classes, labels)
        fake_class = _class_loss(fake_classes, labels)
        metrics = {
            "discriminator_loss_real": real_part,
            "discriminator_loss_fake": fake_part,
            "class_loss_real": real_class,
            "class_loss_fake": fake_class,
            "class_accuracy_real": jnp.mean(_right(real_classes, labels)),
            "class_accuracy_fake": jnp.mean(_right(fake_classes, labels)),
            **adversarial_metrics(loss, real_logits, fake_logits),
            "diversity": diversity(images, fakes, axis_name),
        }
        total = real_part + fake_part + class_weight * (real_class + fake_class)
        return total, Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        def judge(images, key):
            return apply_train(discriminator, disc_vars, images, key=key)[0]

        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        logits, classes = judge(fakes, fake_key)
        real = (judge(batch["image"], real_key)[0],) if loss.generator_sees_real else ()
        class_loss = _class_loss(classes, batch["label"])
        return loss.generator(logits, *real) + class_weight * class_loss, Aux(None, {})

    return Objective(plain.generate, disc_loss, gen_loss)


def init_acgan(
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
      generator, discriminator: as in `acgan`.
      gen_tx, disc_tx: the Optax optimisers.
      latent_dim: size of the latents.
      image_shape: (H, W, C) of the data.
      ema: keep an average of the generator's parameters.

    Returns:
      The `TrainState`.

    Raises:
      UserError: the generator makes images of another shape than `image_shape`, or the
        discriminator does not give one logit and several class logits an image.
    """

    def is_right(shapes):
        return len(shapes) == 2 and shapes[0] == (1,) and len(shapes[1]) == 2

    return init_players(
        key,
        generator,
        discriminator,
        gen_tx,
        disc_tx,
        latent_dim=latent_dim,
        image_shape=image_shape,
        generator_takes_labels=True,
        is_right=is_right,
        expected="(1,) and (1, K)",
        ema=ema,
    )


def make_acgan_evaluate(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    latent_dim: int,
    loss: Loss,
    latent: str = "normal",
) -> Callable[[TrainState, PyTree, jax.Array], Metrics]:
    """Builds the test of both heads: real images they never saw, and as many new fakes.

    Both networks run as in training, with the batch's own statistics, as `make_evaluate` has it.

    Args:
      generator, discriminator, latent_dim, loss, latent: as in `acgan`.

    Returns:
      (state, batch, key) -> {"accuracy_real", "accuracy_fake", "class_accuracy_real",
      "class_accuracy_fake"}: the number judged right in this batch, "jsd_lower_bound" and "count",
      as in `make_evaluate`; sum over batches, then divide. `batch` is {"image": (B, H, W, C),
      "label": (B,), "mask": (B,)}, mask 0 where a last batch was filled up. With a loss without
      probabilities "critic_real" and "critic_fake", as there.
    """

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        images, labels, mask = entry(batch, "image"), class_labels(batch), entry(batch, "mask")
        latent_key, gen_key, disc_key = jax.random.split(key, 3)
        latents = sample_latents(latent_key, images.shape[0], latent_dim, distribution=latent)
        fakes, _ = apply_train(generator, state.generator.variables, latents, labels, key=gen_key)
        counts, judged = {"count": jnp.sum(mask)}, []
        for kind, shown in (("real", images), ("fake", fakes)):
            variables = state.discriminator.variables
            (logits, classes), _ = apply_train(discriminator, variables, shown, key=disc_key)
            judged.append(logits)
            counts[f"class_accuracy_{kind}"] = jnp.sum(mask * _right(classes, labels))
        return {**counts, **judge_held_out(loss, *judged, mask)}

    return evaluate


def _class_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def _right(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=1) == labels
