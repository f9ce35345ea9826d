"""StackGAN: images from embeddings of captions, in two stages of one game each.

The discriminator is shown three kinds of pairs: real images with their captions, real images with
captions of others, generated images with the captions that they were made from.
"""

from collections.abc import Callable, Mapping
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.devices import own_rows, whole_batch
from jaxgan.errors import UserError
from jaxgan.latent import sample_latents
from jaxgan.losses import Loss, cosine_similarities, gaussian_kl, non_saturating
from jaxgan.methods.batches import entry, real_images
from jaxgan.methods.method import Method
from jaxgan.methods.monitors import adversarial_metrics, diversity
from jaxgan.methods.players import make_init
from jaxgan.network import NetworkLike, name_of
from jaxgan.state import PyTree
from jaxgan.step import Aux, Context, apply_train, local_key

__all__ = [
    "stackgan_stage_one",
    "stackgan_stage_two",
]

# The paper's lambda is 1; its authors' code takes the mean over the 128 entries, times 2.
_KL_WEIGHT = 2 / 128


def stackgan_stage_one(
    generator: nn.Module,
    discriminator: NetworkLike,
    *,
    loss: Loss = non_saturating,
    kl_weight: float = _KL_WEIGHT,
    encode: Callable[[PyTree, jax.Array], jax.Array] | None = None,
    matching_weight: float = 0.0,
    axis_name: str | None = None,
) -> Method:
    """Stage I: a small image from a caption.

        L_D = 1/2 L_D(D(x, t), D(G(z, t), t)) + 1/2 L_D(D(x, t), D(x, t'))
        L_G = L_G(D(G(z, t), t)) + w KL(N(mean(t), sigma(t)^2) || N(0, I))
              + m (1 - cos(E(G(z, t)), t))

    With the cross entropy, L_D counts real pairs once and either kind of wrong ones half. t' is
    the nearest caption in the batch that is not true of x: of another embedding and, where the
    batch tells meanings, of another meaning. Its second half is the mean over the images for which
    there is one. In the paper t' is any other; most of those differ in what is easiest to see, the
    ground of a scene for one, and the discriminator learns late to look for more.

    The last term is not in the paper either: a frozen encoder E, trained so that captions find
    their images, asks for all that captions say at once.

    Differs from the authors' code: a wrong pair there is the caption with an image of another class
    out of the whole data set, here the image with another caption. Its KL is a mean over the
    entries of the Gaussian, times 2: equal to the default w with 128 entries, and with N entries to
    w = 2 / N. It averages the embeddings of four captions of an image.

    Args:
      generator: `networks.StackGANStageOne`, or a module (latents, embeddings) -> images, taking
        `train`, with its `latent_dim`, `condition_dim` and `condition`.
      discriminator: `networks.StackGANDiscriminator`, or a module (images, embeddings (B, E) or
        (K, B, E)) -> logits (B,) or (K, B), taking `train`.
      loss: from `jaxgan.losses`.
      kl_weight: w.
      encode: (the state's extra, images) -> embeddings (B, E), E.
      matching_weight: m, which asks for `encode`; 0 is the paper's loss.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"image": (B, H, W, C) float32, "embedding": (B, E) float32,
      "meaning": (B,) int32, optional, equal where a caption is true of the other image, too}, with
      embeddings that are not trained. Its metrics are those of `adversarial_metrics` on right
      pairs and generated ones, `discriminator_loss_real`, `_fake` and `_wrong`, `d_wrong` and
      `accuracy_wrong`, or `critic_wrong`, on wrong pairs (0 in a batch without), `diversity`, `kl`,
      and `matching`, the cosine.

    Raises:
      UserError: a loss that compares fakes with real images for the generator, a weight without
        `encode`; by `init`, a generator of images of another shape than the batch's; while tracing,
        a batch without images or embeddings, of one example, or of another shape than the
        generator's.

    Examples:
      >>> from jaxgan import networks
      >>> method = stackgan_stage_one(*networks.stackgan_stage_one(64))

    Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
    Generative Adversarial Networks", sections 3.2 and 3.3; Reed et al. 2016, "Generative
    Adversarial Text to Image Synthesis", section 4.2, for the wrong pairs; Xu et al. 2018,
    "AttnGAN: Fine-Grained Text to Image Generation with Attentional Generative Adversarial
    Networks", section 3.2, for matching with frozen encoders, there by words and in a batch.
    """
    _expect_linen(generator=generator)

    def generate(gen_vars: PyTree, batch: PyTree, context: Context):
        embeddings = _embeddings(batch)
        latent_key, key = jax.random.split(context.key)
        latents = sample_latents(
            latent_key,
            len(embeddings),
            generator.latent_dim + generator.condition_dim,
            axis_name=axis_name,
        )
        key = local_key(key, axis_name)
        return apply_train(generator, gen_vars, latents, embeddings, key=key)

    noise_dim = generator.latent_dim + generator.condition_dim

    def examples(batch: PyTree):
        embedding = jnp.zeros((1, *_embeddings(batch).shape[1:]))
        image = jnp.zeros((1, *batch["image"].shape[1:]))
        return (jnp.zeros((1, noise_dim)), embedding), (image, embedding)

    losses_of = _matching_aware(
        generator, discriminator, loss, kl_weight, encode, matching_weight, axis_name
    )
    return Method(generate, *losses_of, make_init(generator, discriminator, examples))


def stackgan_stage_two(
    stage_one: nn.Module,
    generator: nn.Module,
    discriminator: NetworkLike,
    *,
    loss: Loss = non_saturating,
    kl_weight: float = _KL_WEIGHT,
    encode: Callable[[PyTree, jax.Array], jax.Array] | None = None,
    matching_weight: float = 0.0,
    stage_one_variables: PyTree = None,
    axis_name: str | None = None,
) -> Method:
    """Stage II: a large image from Stage I's and the caption once more.

    The losses are those of `stackgan_stage_one`, with G(z, t) made of Stage I's image. Stage I
    stays as `extra` has it, and runs as it does when images are drawn, by its running statistics.

    Differs from the authors' code: as `stackgan_stage_one`; and there Stage I runs by the
    statistics of its batch while Stage II is trained.

    Args:
      stage_one: Stage I's generator.
      generator: `networks.StackGANStageTwo`, or a module (images, noise, embeddings) -> images,
        taking `train`, with its `condition_dim` and `condition`.
      discriminator, loss, kl_weight, encode, matching_weight, axis_name: as in
        `stackgan_stage_one`.
      stage_one_variables: those of Stage I after training, which `init` puts a copy of into the
        state: `state.generator.variables`, or `restore_stage(...).variables` of
        `jaxgan.inference.captions`, averaged parameters with batch norm statistics of their own.

    Returns:
      A `Method` as that of `stackgan_stage_one`, for a state with `extra` {"stage_one": variables}.

    Raises:
      UserError: as `stackgan_stage_one`; by `init`, no variables of Stage I, or those of another
        network; while tracing, a state without Stage I.

    Examples:
      >>> from jaxgan import networks
      >>> first, _ = networks.stackgan_stage_one(64)
      >>> method = stackgan_stage_two(first, *networks.stackgan_stage_two(256, 64))

    Source: Zhang et al. 2017, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked
    Generative Adversarial Networks", section 3.4.
    """
    _expect_linen(stage_one=stage_one, generator=generator)

    def generate(gen_vars: PyTree, batch: PyTree, context: Context):
        embeddings = _embeddings(batch)
        if not isinstance(context.extra, Mapping) or "stage_one" not in context.extra:
            raise UserError(
                "stage_one: got none in the state's extra, expected Stage I's variables"
            )
        latent_key, key = jax.random.split(context.key)
        first_dim = stage_one.latent_dim + stage_one.condition_dim
        noise = sample_latents(
            latent_key,
            len(embeddings),
            first_dim + generator.condition_dim,
            axis_name=axis_name,
        )
        first = stage_one.apply(context.extra["stage_one"], noise[:, :first_dim], embeddings)
        key = local_key(key, axis_name)
        return apply_train(generator, gen_vars, first, noise[:, first_dim:], embeddings, key=key)

    first_noise = jnp.zeros((1, stage_one.latent_dim + stage_one.condition_dim))

    def examples(batch: PyTree):
        embedding = jnp.zeros((1, *_embeddings(batch).shape[1:]))
        first, expected = jax.eval_shape(
            stage_one.init_with_output, jax.random.key(0), first_noise, embedding
        )
        if jax.tree.map(jnp.shape, stage_one_variables) != jax.tree.map(jnp.shape, expected):
            got = "none" if stage_one_variables is None else "those of another network"
            raise UserError(f"stage_one_variables: got {got}, expected the variables of Stage I")
        noise = jnp.zeros((1, generator.condition_dim))
        image = jnp.zeros((1, *batch["image"].shape[1:]))
        return (jnp.zeros(first.shape), noise, embedding), (image, embedding)

    def make_extra():
        # A copy, since a donated state must not hold what the caller goes on using.
        return {"stage_one": jax.tree.map(jnp.copy, dict(stage_one_variables))}

    losses_of = _matching_aware(
        generator, discriminator, loss, kl_weight, encode, matching_weight, axis_name
    )
    init = make_init(generator, discriminator, examples, make_extra=make_extra)
    return Method(generate, *losses_of, init)


def _expect_linen(**generators: nn.Module) -> None:
    """Of their generators these methods call more than `init` and `apply`."""
    for field, generator in generators.items():
        if not isinstance(generator, nn.Module):
            raise UserError(
                f"{field}: got {name_of(generator)}, expected a Linen module, as those of "
                "jaxgan.networks.stackgan_stage_one and _two"
            )


def _matching_aware(
    generator: nn.Module,
    discriminator: NetworkLike,
    loss: Loss,
    kl_weight: float,
    encode: Callable | None,
    matching_weight: float,
    axis_name: str | None,
) -> tuple[Callable, Callable]:
    """The two losses of either stage."""
    if loss.generator_sees_real:
        raise UserError("loss: got one that shows the generator real images, expected another")
    if matching_weight and encode is None:
        raise UserError(f"matching_weight: got {matching_weight} without encode, expected both")

    def disc_loss(disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context):
        images, embeddings = real_images(batch, fakes), _embeddings(batch)
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        every, meaning = whole_batch(embeddings, axis_name), batch.get("meaning")
        if meaning is not None:
            meaning = whole_batch(meaning, axis_name)
        wrong, paired = wrong_captions(every, meaning)
        wrong, paired = own_rows(every[wrong], axis_name), own_rows(paired, axis_name)
        captions = jnp.stack([embeddings, wrong])
        (right_logits, wrong_logits), model_state = apply_train(
            discriminator, disc_vars, images, captions, key=real_key
        )
        disc_vars = {**disc_vars, **model_state}
        fake_logits, model_state = apply_train(
            discriminator, disc_vars, fakes, embeddings, key=fake_key
        )
        real, fake = loss.discriminator(right_logits, fake_logits)

        def on_wrong(function):
            """The mean of a function of the logits over the images that have a wrong caption."""
            of_each = jax.vmap(lambda *logits: function(*(x[None] for x in logits)))
            count = jnp.sum(paired)
            if axis_name is not None:
                count = jax.lax.pmean(count, axis_name)
            return jax.tree.map(
                lambda x: jnp.sum(paired * x) / jnp.where(count > 0, count, 1),
                of_each(right_logits, wrong_logits),
            )

        real_again, wrong = on_wrong(loss.discriminator)
        metrics = {
            "discriminator_loss_real": real,
            "discriminator_loss_fake": fake,
            "discriminator_loss_wrong": wrong,
            **adversarial_metrics(loss, right_logits, fake_logits),
            **{
                name.replace("_fake", "_wrong"): value
                for name, value in on_wrong(partial(adversarial_metrics, loss)).items()
                if name.endswith("_fake")
            },
            "diversity": diversity(images, fakes, axis_name),
        }
        return 0.5 * (real + fake + real_again + wrong), Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: jax.Array, batch: PyTree, context: Context
    ):
        embeddings = _embeddings(batch)
        key = local_key(context.key, axis_name)
        logits, _ = apply_train(discriminator, disc_vars, fakes, embeddings, key=key)
        kl = gaussian_kl(*generator.apply(gen_vars, embeddings, method="condition"))
        total, metrics = loss.generator(logits) + kl_weight * kl, {"kl": kl}
        if encode is not None and matching_weight:
            found = cosine_similarities(encode(context.extra, fakes), embeddings)
            metrics["matching"] = jnp.mean(jnp.diagonal(found))
            total += matching_weight * (1 - metrics["matching"])
        return total, Aux(None, metrics)

    return disc_loss, gen_loss


def wrong_captions(
    embeddings: jax.Array, meaning: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Chooses for each caption the nearest one that says something else.

    Args:
      embeddings: (B, E) float; equal ones are taken for one caption.
      meaning: (B,) int, equal where captions say the same in other words; None where not known.

    Returns:
      (int (B,), the other caption's place in the batch; float32 (B,), 1 where there is one and 0
      where all of the batch says the same).

    Examples:
      >>> embeddings = jnp.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]])
      >>> print(*wrong_captions(embeddings, jnp.array([4, 4, 9])))
      [2 2 1] [1. 1. 1.]
    """
    same = jnp.all(embeddings[:, None] == embeddings[None], axis=-1)
    if meaning is not None:
        same |= meaning[:, None] == meaning[None]
    cosines = cosine_similarities(embeddings, embeddings)
    nearest = jnp.argmax(jnp.where(same, -jnp.inf, cosines), axis=1)
    return nearest, jnp.any(~same, axis=1).astype(jnp.float32)


def _embeddings(batch: PyTree) -> jax.Array:
    """The embeddings of a batch, which is refused if they do not make pairs with its images."""
    images, embeddings = entry(batch, "image"), entry(batch, "embedding")
    if embeddings.ndim != 2 or len(embeddings) != len(images) or len(images) < 2:
        raise UserError(
            f"embedding: got shape {embeddings.shape} for {len(images)} images, expected (B, E) "
            "for two images or more"
        )
    if "meaning" in batch and batch["meaning"].shape != embeddings.shape[:1]:
        raise UserError(
            f"meaning: got shape {batch['meaning'].shape}, expected {embeddings.shape[:1]}"
        )
    return embeddings
