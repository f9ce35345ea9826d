"""DiscoGAN: relations between domains found by reconstruction and by matched features."""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.losses import feature_matching, non_saturating
from jaxgan.methods.method import Method
from jaxgan.methods.translation import (
    apply_each,
    check_players,
    make_generate,
    make_init,
    reconstruct,
    verdicts,
)
from jaxgan.network import NetworkLike
from jaxgan.state import PyTree
from jaxgan.step import Aux, Context, Metrics, local_key

__all__ = ["discogan"]


def discogan(
    generators: Mapping[str, NetworkLike],
    discriminators: Mapping[str, NetworkLike],
    *,
    rate: float = 0.5,
    starting_rate: float = 0.01,
    curriculum: int = 10_000,
    feature_weight: float = 0.9,
    axis_name: str | None = None,
) -> Method:
    """Two generators, from a to b and back, and a discriminator of either domain.

        L_D = 1/2 E[-log D_b(b)] + 1/2 E[-log(1 - D_b(G_ab(a)))]  and the same of a
        L_G = (1 - r) ((1 - f) E[-log D_b(G_ab(a))] + f FM_b) + r E[(G_ba(G_ab(a)) - a)^2]
              and the same the other way
        FM_b = Σ_layers mean over units of (E[h(b)] - E[h(G_ab(a))])^2

    D is the sigmoid of the logit, f is `feature_weight`, h a layer of D_b and E its mean over the
    batch. FM is what the authors' hinge embedding loss comes to, of the squared differences with
    all targets 1. The share r of the reconstruction is small until the translations look real.

    Differs from the authors' code: it updates the discriminators at every third step and the
    generators at the other two. Here every step updates both; `optax.transforms.conditionally_mask`
    leaves out any of them.

    Args:
      generators: {"ab", "ba"}, modules (B, H, W, C) -> (B, H, W, C), taking `train`.
      discriminators: {"a", "b"}, modules (B, H, W, C) -> (logits (B,), sequence of features
        (B, ...)), taking `train`.
      rate: r after the start.
      starting_rate: r at the start.
      curriculum: steps that the start lasts.
      feature_weight: f, the share of feature matching in what a generator pays the discriminator.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"a": (B, H, W, C), "b": (B, H, W, C)} float32. Its metrics, for either
      domain: `discriminator_loss_a`; `generator_loss_a`, the cross entropy that the generator of
      images of a pays; `features_a`, FM; `cycle_a`, the mean squared error; and those of
      `verdicts`.

    Raises:
      UserError: a network is missing, a share outside [0, 1], a negative number of steps; while
        tracing, a batch that does not have images of both domains.

    Examples:
      >>> from jaxgan import networks
      >>> generator, discriminator = networks.discogan(image_size=28)
      >>> method = discogan(
      ...     {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}
      ... )

    Source: Kim et al. 2017, "Learning to Discover Cross-Domain Relations with Generative
    Adversarial Networks", equations 1 to 7; feature matching and the weights from the authors'
    code.
    """
    check_players(generators, discriminators)
    shares = {"rate": rate, "starting_rate": starting_rate, "feature_weight": feature_weight}
    for field, share in shares.items():
        if not 0 <= share <= 1:
            raise UserError(f"{field}: got {share}, expected a number in [0, 1]")
    if curriculum < 0:
        raise UserError(f"curriculum: got {curriculum}, expected 0 or more steps")

    def judge(disc_vars: PyTree, images: Mapping[str, jax.Array], key: jax.Array):
        outputs, model_state = apply_each(discriminators, disc_vars, images, key)
        logits = {name: output[0] for name, output in outputs.items()}
        return logits, {name: output[1] for name, output in outputs.items()}, model_state

    def disc_loss(disc_vars: PyTree, fakes: PyTree, batch: PyTree, context: Context):
        real_key, fake_key = jax.random.split(local_key(context.key, axis_name))
        made = {"a": fakes["ba"], "b": fakes["ab"]}
        real, _, model_state = judge(disc_vars, {"a": batch["a"], "b": batch["b"]}, real_key)
        fake, _, model_state = judge({**disc_vars, **model_state}, made, fake_key)
        metrics, parts = verdicts(non_saturating, real, fake), {}
        for name in ("a", "b"):
            both = non_saturating.discriminator(real[name], fake[name])
            parts[name] = [0.5 * part for part in both]
            metrics[f"discriminator_loss_{name}"] = parts[name][0] + parts[name][1]
        metrics["discriminator_loss_real"] = parts["a"][0] + parts["b"][0]
        metrics["discriminator_loss_fake"] = parts["a"][1] + parts["b"][1]
        loss = metrics["discriminator_loss_real"] + metrics["discriminator_loss_fake"]
        return loss, Aux(model_state, metrics)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: PyTree, batch: PyTree, context: Context
    ):
        key = local_key(context.key, axis_name)
        real_key, fake_key, cycle_key = jax.random.split(key, 3)
        reals, made = {"a": batch["a"], "b": batch["b"]}, {"a": fakes["ba"], "b": fakes["ab"]}
        _, real_features, _ = judge(disc_vars, reals, real_key)
        logits, fake_features, _ = judge(disc_vars, made, fake_key)
        back = reconstruct(generators, gen_vars, fakes, cycle_key)
        metrics: Metrics = {}
        share, loss = jnp.where(context.step < curriculum, starting_rate, rate), 0.0
        for name in ("a", "b"):
            layers = zip(real_features[name], fake_features[name], strict=True)
            adversarial = non_saturating.generator(logits[name])
            parts = [
                feature_matching(real, fake, axis_name=axis_name) / math.prod(real.shape[1:])
                for real, fake in layers
            ]
            matching = functools.reduce(jnp.add, parts)
            cycle = jnp.mean(jnp.square(back[name] - batch[name]))
            metrics |= {
                f"generator_loss_{name}": adversarial,
                f"features_{name}": matching,
                f"cycle_{name}": cycle,
            }
            paid = (1 - feature_weight) * adversarial + feature_weight * matching
            loss = loss + (1 - share) * paid + share * cycle
        return loss, Aux(None, metrics)

    init = make_init(generators, discriminators)
    return Method(make_generate(generators, axis_name), disc_loss, gen_loss, init)
