"""InfoGAN: the discriminator reads the codes of an image, and the generator makes them readable."""

import jax
import jax.numpy as jnp
import optax

from jaxgan.devices import make_rows
from jaxgan.inputs import Latents
from jaxgan.latent import sample_latents
from jaxgan.losses import Loss
from jaxgan.methods.batches import entry, real_images
from jaxgan.methods.from_latents import latent_inputs, one_of_each
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity, judge_held_out
from jaxgan.methods.players import make_init
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Aux, Context, Metrics, apply_train, local_key

__all__ = ["infogan"]


def infogan(
    generator: NetworkLike,
    discriminator: NetworkLike,
    *,
    latent_dim: int,
    num_codes: int,
    num_classes: int,
    loss: Loss,
    prior: str = "uniform",
    class_weight: float = 1.0,
    code_weight: float = 0.1,
    axis_name: str | None = None,
) -> Method:
    """A GAN whose codes have high mutual information with its images; no labels are needed.

        I(c; G(z, c)) >= E[log Q(c | G(z, c))] + H(c)
        both players pay  w_class E[-log Q(y | x)] + w_code E[sum_i (c_i - Q_i(x))^2 / 2]
        besides L_D or L_G, of generated images x, of their class y and their codes c

    The codes c are the last of the latents. Q is a second head of the discriminator: the logits of
    the class, and for each code the mean of a Gaussian of deviation 1.

    Args:
      generator: module (latents (B, latent_dim), classes (B,)) -> (B, H, W, C), taking `train`.
      discriminator: module (B, H, W, C) -> (logits (B,), Q (B, num_classes + num_codes)), taking
        `train`, such as one of `networks.dcgan` of so many classes.
      latent_dim: size of the latents, those that are codes among them.
      num_codes: how many of the latents are codes, which may be none.
      num_classes: of the categorical code, each as frequent as any other.
      loss: L_D and L_G, from `jaxgan.losses`.
      prior: the prior of all latents, "normal" or "uniform".
      class_weight, code_weight: w_class and w_code.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"image": (B, H, W, C) float32}; other entries are ignored. Its metrics
      are those of `adversarial_metrics`, `diversity`, and of generated images `class_loss`,
      `class_accuracy` and `code_loss`, unweighted. Its `evaluate` gives the sums of
      `judge_held_out`.

    Raises:
      UserError: by `init`, a generator of images of another shape than the batch's, or a
        discriminator that does not give one logit and Q; while tracing, a batch without images.

    Examples:
      >>> from jaxgan import losses, networks
      >>> generator, _ = networks.dcgan(28, 1, num_classes=10)
      >>> _, discriminator = networks.dcgan(28, 1, num_classes=12)
      >>> codes = {"latent_dim": 64, "num_codes": 2, "num_classes": 10}
      >>> method = infogan(generator, discriminator, loss=losses.non_saturating, **codes)

    Source: Chen et al. 2016, "InfoGAN: Interpretable Representation Learning by Information
    Maximizing Generative Adversarial Nets", section 5; the weights are those of its appendix C.
    """
    inputs = latent_inputs(Latents(latent_dim, prior), num_classes)

    def draw(key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
        latents = sample_latents(key, count, latent_dim, prior=prior, axis_name=axis_name)
        key = jax.random.fold_in(key, 1)
        classes = make_rows(
            lambda shape: jax.random.randint(key, shape, 0, num_classes), (count,), axis_name
        )
        return latents, classes

    def generate(gen_vars: PyTree, batch: PyTree, context: Context):
        draw_key, key = jax.random.split(context.key)
        latents, classes = draw(draw_key, len(entry(batch, "image")))
        key = local_key(key, axis_name)
        images, model_state = apply_train(generator, gen_vars, latents, classes, key=key)
        # What each image was made of, as floats, since gradients go through all of it.
        codes = latents[:, latent_dim - num_codes :]
        fakes = {"image": images, "class": jax.nn.one_hot(classes, num_classes), "codes": codes}
        return fakes, model_state

    def read(fakes: PyTree, q: jax.Array) -> tuple[jax.Array, Metrics]:
        """What both players pay, and its parts."""
        logits, means = q[:, :num_classes], q[:, num_classes:]
        right = jnp.argmax(logits, axis=1) == jnp.argmax(fakes["class"], axis=1)
        squares = jnp.sum(jnp.square(fakes["codes"] - means), axis=1)
        metrics = {
            "class_loss": jnp.mean(optax.softmax_cross_entropy(logits, fakes["class"])),
            "class_accuracy": jnp.mean(right),
            "code_loss": jnp.mean(squares) / 2,
        }
        paid = class_weight * metrics["class_loss"] + code_weight * metrics["code_loss"]
        return paid, metrics

    def disc_loss(disc_vars: PyTree, fakes: PyTree, batch: PyTree, context: Context):
        images = real_images(batch, fakes["image"])
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        (real_logits, _), model_state = apply_train(discriminator, disc_vars, images, key=real_key)
        (fake_logits, q), model_state = apply_train(
            discriminator, {**disc_vars, **model_state}, fakes["image"], key=fake_key
        )
        real_part, fake_part = loss.discriminator(real_logits, fake_logits)
        paid, read_metrics = read(fakes, q)
        metrics = {
            "discriminator_loss_real": real_part,
            "discriminator_loss_fake": fake_part,
            **read_metrics,
            **adversarial_metrics(loss, real_logits, fake_logits),
            "diversity": diversity(images, fakes["image"], axis_name),
        }
        return real_part + fake_part + paid, Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: PyTree, batch: PyTree, context: Context
    ):
        def judge(images, key):
            return apply_train(discriminator, disc_vars, images, key=key)[0]

        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        logits, q = judge(fakes["image"], fake_key)
        real = (judge(batch["image"], real_key)[0],) if loss.generator_sees_real else ()
        return loss.generator(logits, *real) + read(fakes, q)[0], Aux(None, {})

    def evaluate(state: TrainState, batch: PyTree, key: jax.Array) -> Metrics:
        draw_key, gen_key, disc_key = jax.random.split(key, 3)
        drawn = draw(draw_key, len(batch["image"]))
        fakes, _ = apply_train(generator, state.generator.variables, *drawn, key=gen_key)
        real_logits, fake_logits = (
            apply_train(discriminator, state.discriminator.variables, images, key=disc_key)[0][0]
            for images in (batch["image"], fakes)
        )
        counts = judge_held_out(loss, real_logits, fake_logits, batch["mask"])
        return {**counts, "count": jnp.sum(batch["mask"])}

    def examples(batch: PyTree):
        return one_of_each(inputs), (jnp.zeros((1, *batch["image"].shape[1:])),)

    expected = ((1,), (1, num_classes + num_codes))
    init = make_init(
        generator,
        discriminator,
        examples,
        lambda shapes: shapes == expected,
        expected=" and ".join(map(str, expected)),
    )
    return Method(generate, disc_loss, gen_loss, init, evaluate, inputs)
