"""CycleGAN: translation without pairs, held to what it came from by the way back."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.losses import least_squares
from jaxgan.methods.method import Method
from jaxgan.methods.pool import empty_pool, exchange
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
from jaxgan.step import Aux, Context, local_key

__all__ = ["cyclegan"]


def cyclegan(
    generators: Mapping[str, NetworkLike],
    discriminators: Mapping[str, NetworkLike],
    *,
    cycle_weight: float = 10.0,
    identity_weight: float = 0.5,
    pool_size: int = 50,
    axis_name: str | None = None,
) -> Method:
    """Two generators, from a to b and back, and a discriminator of either domain.

        L_D = 1/2 E[(D_b(b) - 1)^2] + 1/2 E[D_b(past G_ab(a))^2]  and the same of a
        L_G = E[(D_b(G_ab(a)) - 1)^2] + w |G_ba(G_ab(a)) - a|_1 + w v |G_ab(b) - b|_1
              and the same the other way, with w = cycle_weight and v = identity_weight

    Norms are means over pixels. The discriminators are shown fakes out of a pool of past ones.

    Differs from the authors' code: `make_train_step` updates the discriminators first, and the
    generators are judged by the new ones; theirs updates the generators first. The fakes are the
    same in either order.

    Args:
      generators: {"ab", "ba"}, modules (B, H, W, C) -> (B, H, W, C), taking `train`.
      discriminators: {"a", "b"}, modules (B, H, W, C) -> logits (B, ...), taking `train`; every
        logit of a patch counts as one.
      cycle_weight: of the error after there and back.
      identity_weight: of what a generator changes in images that are in its domain already, in
        units of `cycle_weight`. 0 leaves it out, as domains of different channels need it.
      pool_size: past fakes that are kept for each discriminator.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      A `Method` on batches {"a": (B, H, W, C), "b": (B, H, W, C)} float32, for a state whose
      `extra` is {"a": `Pool`, "b": `Pool`}. Its metrics, for either domain: `discriminator_loss_a`;
      `generator_loss_a`, what the generator of images of a pays its discriminator; `cycle_a` and
      `identity_a`, the mean absolute errors, unweighted; and those of `verdicts`.

    Raises:
      UserError: a network is missing, a negative weight, a pool without room; by `init`, a
        generator that does not make images of the shape of its domain; while tracing, a batch that
        does not have images of both domains, or domains of different channels with an identity
        loss.

    Examples:
      >>> from jaxgan import networks
      >>> generator, discriminator = networks.cyclegan(image_size=28, width=8)
      >>> method = cyclegan(
      ...     {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}
      ... )

    Source: Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", equations 1 to 3 with the losses of section 4, and the identity loss of section 5.2.
    """
    check_players(generators, discriminators)
    if cycle_weight < 0:
        raise UserError(f"cycle_weight: got {cycle_weight}, expected 0 or more")
    if identity_weight < 0:
        raise UserError(f"identity_weight: got {identity_weight}, expected 0 or more")

    def judge(disc_vars: PyTree, images: Mapping[str, jax.Array], key: jax.Array):
        key = local_key(key, axis_name)
        logits, model_state = apply_each(discriminators, disc_vars, images, key)
        return {name: patches.reshape(-1) for name, patches in logits.items()}, model_state

    def disc_loss(disc_vars: PyTree, fakes: PyTree, batch: PyTree, context: Context):
        real_key, fake_key, *pool_keys = jax.random.split(context.key, 4)
        shown, pools = {}, {}
        for name, made, key in (("a", "ba", pool_keys[0]), ("b", "ab", pool_keys[1])):
            shown[name], pools[name] = exchange(
                context.extra[name], fakes[made], key, axis_name=axis_name
            )
        real, model_state = judge(disc_vars, {"a": batch["a"], "b": batch["b"]}, real_key)
        fake, model_state = judge({**disc_vars, **model_state}, shown, fake_key)
        metrics, parts = verdicts(least_squares, real, fake), {}
        for name in ("a", "b"):
            parts[name] = least_squares.discriminator(real[name], fake[name])
            metrics[f"discriminator_loss_{name}"] = parts[name][0] + parts[name][1]
        metrics["discriminator_loss_real"] = parts["a"][0] + parts["b"][0]
        metrics["discriminator_loss_fake"] = parts["a"][1] + parts["b"][1]
        loss = metrics["discriminator_loss_real"] + metrics["discriminator_loss_fake"]
        return loss, Aux(model_state, metrics, pools)

    def gen_loss(
        gen_vars: PyTree, disc_vars: PyTree, fakes: PyTree, batch: PyTree, context: Context
    ):
        disc_key, cycle_key, identity_key = jax.random.split(context.key, 3)
        logits, _ = judge(disc_vars, {"a": fakes["ba"], "b": fakes["ab"]}, disc_key)
        back = reconstruct(generators, gen_vars, fakes, local_key(cycle_key, axis_name))
        metrics = {}
        for name in ("a", "b"):
            # Twice, since the paper halves the least squares of the discriminator alone.
            metrics[f"generator_loss_{name}"] = 2 * least_squares.generator(logits[name])
            metrics[f"cycle_{name}"] = jnp.mean(jnp.abs(back[name] - batch[name]))
        loss = metrics["generator_loss_a"] + metrics["generator_loss_b"]
        loss = loss + cycle_weight * (metrics["cycle_a"] + metrics["cycle_b"])
        if identity_weight:
            if batch["a"].shape[-1] != batch["b"].shape[-1]:
                raise UserError(
                    f"channels: got {batch['a'].shape[-1]} in domain a and {batch['b'].shape[-1]} "
                    "in domain b, expected as many in both (or identity_weight=0)"
                )
            inputs = {"ab": batch["b"], "ba": batch["a"]}
            identity_key = local_key(identity_key, axis_name)
            same, _ = apply_each(generators, gen_vars, inputs, identity_key)
            for name, direction in (("a", "ba"), ("b", "ab")):
                metrics[f"identity_{name}"] = jnp.mean(jnp.abs(same[direction] - batch[name]))
            identity = metrics["identity_a"] + metrics["identity_b"]
            loss = loss + cycle_weight * identity_weight * identity
        return loss, Aux(None, metrics)

    def make_extra(batch: PyTree) -> PyTree:
        return {name: empty_pool(pool_size, batch[name].shape[1:]) for name in ("a", "b")}

    init = make_init(generators, discriminators, make_extra)
    return Method(make_generate(generators, axis_name), disc_loss, gen_loss, init)
