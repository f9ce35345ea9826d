"""pix2pix: images from images by pairs, near the truth and in its manner."""

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.inputs import Images
from jaxgan.losses import Loss, non_saturating
from jaxgan.methods.batches import entry, real_images
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics
from jaxgan.methods.players import are_logits, make_init
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree
from jaxgan.step import Aux, Context, apply_train, local_key

__all__ = ["pix2pix"]


def pix2pix(
    generator: NetworkLike,
    discriminator: NetworkLike,
    *,
    channels: int = 3,
    l1_weight: float = 100.0,
    loss: Loss = non_saturating,
    axis_name: str | None = None,
) -> Method:
    """A generator from images a to images b, and a discriminator of both together.

        2 L_D = E[-log D(a, b)] + E[-log(1 - D(a, G(a)))]
        L_G = E[-log D(a, G(a))] + w E[|b - G(a)|]

    Args:
      generator: module (B, H, W, channels) -> (B, H, W, C), taking `train`.
      discriminator: module (B, H, W, channels + C) -> logits (B,) or, of patches, (B, h, w), taking
        `train`; it is shown a and b laid over one another.
      channels: of the images a.
      l1_weight: w.
      loss: from `jaxgan.losses`, in place of that of the paper.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"a": (B, H, W, channels), "b": (B, H, W, C)} float32, whose images i
      belong together. Its metrics are those of `adversarial_metrics`, of all patches, and `l1`.

    Raises:
      UserError: a negative weight; by `init`, a generator of images of another shape than b's, or a
        discriminator without logits; while tracing, a batch that lacks images or has no floats.

    Examples:
      >>> from jaxgan import networks
      >>> method = pix2pix(*networks.pix2pix(image_size=64))

    Source: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
    equations 1 to 4 and section 3.3 for the half of L_D.
    """
    if l1_weight < 0:
        raise UserError(f"l1_weight: got {l1_weight}, expected 0 or more")

    def generate(gen_vars: PyTree, batch: PyTree, context: Context):
        key = local_key(context.key, axis_name)
        return apply_train(generator, gen_vars, entry(batch, "a"), key=key)

    def judge(disc_vars: PyTree, batch: PyTree, images: jax.Array, key: jax.Array):
        both = jnp.concatenate([batch["a"], images], axis=-1)
        logits, model_state = apply_train(discriminator, disc_vars, both, key=key)
        return logits.reshape(-1), model_state

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images = real_images(batch, fakes, "b")
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        real_logits, model_state = judge(disc_vars, batch, images, real_key)
        disc_vars = {**disc_vars, **model_state}
        fake_logits, model_state = judge(disc_vars, batch, fakes, fake_key)
        real_part, fake_part = loss.discriminator(real_logits, fake_logits)
        metrics = {
            "discriminator_loss_real": real_part / 2,
            "discriminator_loss_fake": fake_part / 2,
            **adversarial_metrics(loss, real_logits, fake_logits),
            "l1": jnp.mean(jnp.abs(images - fakes)),
        }
        return (real_part + fake_part) / 2, Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        logits = judge(disc_vars, batch, fakes, fake_key)[0]
        real = (
            (judge(disc_vars, batch, batch["b"], real_key)[0],) if loss.generator_sees_real else ()
        )
        l1 = jnp.mean(jnp.abs(batch["b"] - fakes))
        return loss.generator(logits, *real) + l1_weight * l1, Aux(None, {})

    def examples(batch: PyTree):
        a, b = (jnp.zeros((1, *entry(batch, name).shape[1:])) for name in "ab")
        return (a,), (jnp.concatenate([a, b], axis=-1),)

    expected = "its logit, or those of its patches"
    init = make_init(generator, discriminator, examples, are_logits, expected, target="b")
    return Method(generate, disc_loss, gen_loss, init, inputs={"images": Images(channels)})
