"""ACGAN: the discriminator also tells the class, of real images and of generated ones."""

import jax
import jax.numpy as jnp
import optax

from jaxgan.inputs import Latents
from jaxgan.latent import sample_latents
from jaxgan.losses import Loss
from jaxgan.methods.batches import class_labels, entry, real_images
from jaxgan.methods.from_latents import latent_inputs, make_generate, one_of_each
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity, judge_held_out
from jaxgan.methods.players import make_init
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Aux, Context, Metrics, apply_train, local_key

__all__ = ["acgan"]


def acgan(
    generator: NetworkLike,
    discriminator: NetworkLike,
    *,
    latent_dim: int,
    num_classes: int,
    loss: Loss,
    prior: str = "normal",
    class_weight: float = 1.0,
    axis_name: str | None = None,
) -> Method:
    """An auxiliary classifier GAN.

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
      num_classes: K.
      loss: L_D and L_G, from `jaxgan.losses`.
      prior: "normal" or "uniform".
      class_weight: w.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"image": (B, H, W, C) float32, "label": (B,) int32}; other entries are
      ignored. Its metrics are those of `adversarial_metrics`, `diversity`, and of either kind
      of images `class_loss_real`, `class_loss_fake`, `class_accuracy_real` and
      `class_accuracy_fake`. Its `evaluate` tests both heads as that of `adversarial` does, and
      gives the numbers of `class_accuracy_real` and `class_accuracy_fake` besides.

    Raises:
      UserError: by `init`, a generator of images of another shape than the batch's, or a
        discriminator that does not give one logit and K class logits an image; while tracing, a
        batch without images or labels, or of another shape than the generator's.

    Examples:
      >>> from jaxgan import losses, networks
      >>> generator, discriminator = networks.dcgan(image_size=28, channels=1, num_classes=10)
      >>> options = {"latent_dim": 100, "num_classes": 10}
      >>> method = acgan(generator, discriminator, loss=losses.non_saturating, **options)

    Source: Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs",
    section 3.
    """
    latents = Latents(latent_dim, prior)
    inputs = latent_inputs(latents, num_classes)
    generate = make_generate(generator, latents, lambda batch: (class_labels(batch),), axis_name)

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

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        images, labels, mask = entry(batch, "image"), class_labels(batch), entry(batch, "mask")
        latent_key, gen_key, disc_key = jax.random.split(key, 3)
        latents = sample_latents(latent_key, images.shape[0], latent_dim, prior=prior)
        fakes, _ = apply_train(generator, state.generator.variables, latents, labels, key=gen_key)
        counts, judged = {"count": jnp.sum(mask)}, {}
        for kind, shown in (("real", images), ("fake", fakes)):
            variables = state.discriminator.variables
            (logits, classes), _ = apply_train(discriminator, variables, shown, key=disc_key)
            judged[kind] = logits
            counts[f"class_accuracy_{kind}"] = jnp.sum(mask * _right(classes, labels))
        return {**counts, **judge_held_out(loss, judged["real"], judged["fake"], mask)}

    def examples(batch: PyTree):
        return one_of_each(inputs), (jnp.zeros((1, *batch["image"].shape[1:])),)

    expected = ((1,), (1, num_classes))
    init = make_init(
        generator,
        discriminator,
        examples,
        lambda shapes: shapes == expected,
        expected=" and ".join(map(str, expected)),
    )
    return Method(generate, disc_loss, gen_loss, init, evaluate, inputs)


def _class_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def _right(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=1) == labels
