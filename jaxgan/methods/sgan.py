"""SGAN: a few labels, many images without, and a discriminator that is the classifier."""

import math

import jax
import jax.numpy as jnp

from jaxgan import losses
from jaxgan.devices import make_rows
from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import last_features
from jaxgan.inputs import Latents
from jaxgan.losses import Loss
from jaxgan.losses.semi_supervised import known_mean
from jaxgan.methods.batches import class_labels, entry, real_images
from jaxgan.methods.from_latents import latent_inputs, make_generate, one_of_each
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity
from jaxgan.methods.players import make_init
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Aux, Context, Metrics, apply_eval, apply_train, local_key

__all__ = ["sgan"]


def sgan(
    generator: NetworkLike,
    discriminator: NetworkLike,
    *,
    latent_dim: int,
    num_classes: int,
    loss: Loss = losses.non_saturating,
    feature_matching: bool = True,
    consistency: float = 0.0,
    prior: str = "normal",
    conditional: bool = False,
    axis_name: str | None = None,
) -> Method:
    """A semi-supervised GAN.

        s = log sum_k exp(l_k), the logit of being real, of any of the K classes
        discriminator: L_D(s(x), s(G(z))) + E[-log p(y | x, real)], the latter where y is known,
                       + w E[|p(. | x, real) - p'(. | x, real)|^2]
        generator: || E[f(x)] - E[f(G(z))] ||^2, or L_G(s(G(z)))

    With the non-saturating loss this is the cross-entropy of K + 1 outputs, the last of them,
    "generated", fixed at 0: labelled images are pushed to their class, other real ones to any,
    generated ones to the last. f is the discriminator's last layer but one; matched in the mean,
    images are less like real ones, and the classifier is the better.

    Differs from the code of Salimans et al.: it takes half of L_D, without the labelled batch; the
    generator matches the features of a second batch of real images, by the mean over features in
    place of the sum; the classifier is tested with averaged parameters.

    Args:
      generator: module (B, latent_dim) -> (B, H, W, C), taking `train`; with classes it takes
        (latents, labels).
      discriminator: module (B, H, W, C) -> class logits (B, K), taking `train`, whose
        nonlinearities are `networks.layers.LeakyReLU`.
      latent_dim: size of the latents.
      num_classes: K.
      loss: L_D and L_G, from `jaxgan.losses`.
      feature_matching: False for the generator's L_G.
      consistency: w, at least 0, the weight of the consistency term: two passes over a real image,
        with other noise and dropout, are to give the same class probabilities. 0 makes one pass.
      prior: "normal" or "uniform".
      conditional: the generator is given a class, each as often as any other, and its loss has
        E[-log p(y | G(z, y), real)] besides.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"image": (B, H, W, C) float32, "label": (B,) int32, -1 where it is
      not known}; other entries are ignored. Its metrics are those of `adversarial_metrics`,
      `diversity`, and of the labelled images `class_loss` and `class_accuracy`; with a weight,
      `consistency_loss`, unweighted. Its `evaluate` tests the discriminator as a classifier, as
      outside training, and gives the number of "accuracy".

    Raises:
      UserError: a consistency below 0 or not finite; by `init`, a generator of images of another
        shape than the batch's, or a discriminator that does not give K logits an image; while
        tracing, a batch without images or
        labels, or of another shape than the generator's.

    Examples:
      >>> from jaxgan import networks
      >>> generator, discriminator = networks.sgan(28, 1, num_classes=10)
      >>> method = sgan(generator, discriminator, latent_dim=100, num_classes=10)

    Source: Odena 2016, "Semi-Supervised Learning with Generative Adversarial Networks"; Salimans
    et al. 2016, "Improved Techniques for Training GANs", sections 3.1 and 5; for w, see
    `losses.class_consistency`.
    """
    if not 0 <= consistency < math.inf:
        raise UserError(f"consistency: got {consistency}, expected a number of at least 0")

    def requested(batch_size: int) -> tuple[jax.Array, ...]:
        def labels(shape):
            return jnp.arange(*shape) % num_classes

        return (make_rows(labels, (batch_size,), axis_name),) if conditional else ()

    latents = Latents(latent_dim, prior)
    inputs = latent_inputs(latents, num_classes if conditional else None)
    generate = make_generate(
        generator, latents, lambda batch: requested(len(entry(batch, "image"))), axis_name
    )

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images, labels = real_images(batch, fakes), class_labels(batch)
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        # In passes of their own, since batch norm would mix their statistics.
        real_classes, model_state = apply_train(discriminator, disc_vars, images, key=real_key)
        disc_vars = {**disc_vars, **model_state}
        fake_classes, model_state = apply_train(discriminator, disc_vars, fakes, key=fake_key)
        real_logits = losses.real_logits(real_classes)
        fake_logits = losses.real_logits(fake_classes)
        real_part, fake_part = loss.discriminator(real_logits, fake_logits)
        class_loss = losses.class_cross_entropy(real_classes, labels, axis_name=axis_name)
        right = jnp.argmax(real_classes, axis=1) == labels
        metrics = {
            "discriminator_loss_real": real_part,
            "discriminator_loss_fake": fake_part,
            "class_loss": class_loss,
            "class_accuracy": known_mean(right, labels >= 0, axis_name),
            **adversarial_metrics(loss, real_logits, fake_logits),
            "diversity": diversity(images, fakes, axis_name),
        }
        total = real_part + fake_part + class_loss
        if consistency:
            again_key = jax.random.fold_in(real_key, 1)
            again, _ = apply_train(discriminator, disc_vars, images, key=again_key)
            metrics["consistency_loss"] = losses.class_consistency(real_classes, again)
            total += consistency * metrics["consistency_loss"]
        return total, Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))

        def judge(images, key):
            return apply_train(discriminator, disc_vars, images, key=key)[0]

        def features(images, key):
            return last_features(lambda x: judge(x, key), images)

        # What is computed twice below is compiled once.
        if feature_matching:
            real = features(batch["image"], real_key)
            fake = features(fakes, fake_key)
            total = losses.feature_matching(real, fake, axis_name=axis_name)
        else:
            fake_logits = losses.real_logits(judge(fakes, fake_key))
            real = (
                (losses.real_logits(judge(batch["image"], real_key)),)
                if loss.generator_sees_real
                else ()
            )
            total = loss.generator(fake_logits, *real)
        for labels in requested(fakes.shape[0]):
            classes = judge(fakes, fake_key)
            total += losses.class_cross_entropy(classes, labels, axis_name=axis_name)
        return total, Aux(None, {})

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        mask = batch["mask"]
        variables = state.discriminator.variables
        logits = jnp.asarray(apply_eval(discriminator, variables, batch["image"]))
        right = jnp.argmax(logits, axis=1) == batch["label"]
        return {"accuracy": jnp.sum(mask * right), "count": jnp.sum(mask)}

    def examples(batch: PyTree):
        return one_of_each(inputs), (jnp.zeros((1, *batch["image"].shape[1:])),)

    expected = (1, num_classes)
    init = make_init(
        generator, discriminator, examples, lambda shapes: shapes == expected, str(expected)
    )
    return Method(generate, disc_loss, gen_loss, init, evaluate, inputs)
