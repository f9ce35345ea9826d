"""An adversarial term for a loss of one's own: a critic, its optimiser and all that it carries."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxgan.errors import UserError
from jaxgan.losses import Loss, lecam, paired_feature_matching
from jaxgan.losses.penalties import lazily
from jaxgan.methods.monitors import adversarial_metrics, diversity
from jaxgan.network import NetworkLike, check
from jaxgan.state import Player, PyTree, create_player, init_variables, update_player
from jaxgan.step import (
    Metrics,
    apply_train,
    example_gradient_norm,
    local_key,
    local_values,
    update_average,
)

__all__ = ["Critic", "CriticState", "adversarial_critic"]

_LECAM_DECAY = 0.99


class CriticState(flax.struct.PyTreeNode):
    """All that a critic reads and writes: a pytree, to be saved with the state of its owner.

    Attributes:
      player: parameters, model state, optimiser state and averages.
      key: the critic's PRNG key, never changed; dropout and penalties draw from `fold_in(key,
        step)`.
      averages: moving averages of the logits, where LeCam needs them, or None.
    """

    player: Player
    key: jax.Array
    averages: PyTree = None


class Critic(NamedTuple):
    """What `adversarial_critic` makes, two pure functions.

    Attributes:
      init: (key, examples, *inputs) -> the `CriticState`. Of the examples (B, ...) and of what else
        the network takes, the shapes alone are used.
      update: (state, real, fake, step, *inputs) -> (term, new state, metrics). `real` and `fake`
        are (B, ...) floats of one shape, `step` counts the steps done.
    """

    init: Callable[..., CriticState]
    update: Callable[..., tuple[jax.Array, CriticState, Metrics]]


def adversarial_critic(
    network: NetworkLike,
    tx: optax.GradientTransformation,
    *,
    loss: Loss,
    penalty: Callable[..., jax.Array] | None = None,
    penalty_interval: int = 1,
    feature_weight: float = 0.0,
    lecam_weight: float = 0.0,
    start: int = 0,
    ema_decay: float | optax.Schedule | None = None,
    axis_name: str | None = None,
) -> Critic:
    """A critic whose verdict is one more term of somebody else's loss.

        critic:  L_D(D(x), D(y)) + penalty(D) + lecam_weight R(D)
        term:    L_G(D(y)) + feature_weight sum_l E[|f_l(x) - f_l(y)|]

    for real x and generated y. `update` first moves the critic by one step, and then judges y by
    the critic that has just been moved, as `make_train_step` does, and as audio codecs and
    algorithm 1 of Goodfellow et al. do; in VQGAN, Real-ESRGAN and DMD2 the term is by the critic
    that the step before has left.

    The term is differentiable by `fake` alone. Neither the critic's parameters nor `real` receive
    gradients from it, and its own update sees a `fake` without gradients: `update` stands inside
    of what `jax.value_and_grad` is given, and the new state comes out as auxiliary data.

    Args:
      network: any network (B, ...) -> logits, see `jaxgan.network`. Logits are an array (B, ...),
        of which each counts as one example, or a list of such arrays, one of each scale, say, whose
        losses are added. With (logits, features), a tuple, it gives the outputs of inner layers
        besides, a pytree of (B, ...).
      tx: the critic's Optax optimiser. Its schedules count the critic's own updates.
      loss: from `jaxgan.losses`.
      penalty: (critic, real, fake, key) -> scalar, weight and all, such as `lambda *inputs: 5 *
        penalties.r1(*inputs)`. The logit of an example is there the mean of all that it has, or
        the sum of the means of a list.
      penalty_interval: it is paid at every so many updates, that many times, see
        `penalties.lazily`.
      feature_weight: of `losses.paired_feature_matching` in the term.
      lecam_weight: of `losses.lecam`; its averages decay by 0.99 at each update, and forget that
        they began at 0. With a list of logits each array has its own.
      start: at steps before this one the term is 0, and nothing of the critic moves: neither
        parameters and optimiser nor statistics and averages.
      ema_decay: keep `state.player.ema_params`, as in `make_train_step`.
      axis_name: the mapped axis inside `pmap` or `shard_map`: the critic is updated by the whole
        batch, and metrics are of it. The term stays that of this device's examples, as the rest of
        the loss is, whose gradients its owner averages. What draws in a penalty is given the axis
        as well, and so is a network with batch norm.

    Returns:
      A `Critic`. The metrics are float32 scalars: those of `adversarial_metrics`, `diversity`,
      `discriminator_loss`, its parts `discriminator_loss_real` and `_fake`, `penalty` and `lecam`
      (without its weight), the term as `generator_loss`, `feature_matching` (without its weight),
      and `generator_gradient_norm`, see `example_gradient_norm`. Before the start all but the
      diversity are 0. `jaxgan.runs.diagnosis.diagnose` tells from rows of them what goes wrong.

    Raises:
      UserError: negative weights, start or intervals; by `init`, a network that `network.check`
        refuses, or whose output is not as above; by `update`, integers or complex numbers, two
        shapes, outside of `jit` also NaN.

    Examples:
      >>> from jaxgan import losses, networks
      >>> network = networks.PatchDiscriminator((8, 16))
      >>> critic = adversarial_critic(network, optax.adam(1e-4), loss=losses.hinge)
      >>> images = jnp.ones((2, 16, 16, 3))
      >>> critic_state = critic.init(jax.random.key(0), images)
      >>> def loss_fn(scale, step):
      ...     fake = scale * images
      ...     term, state, metrics = critic.update(critic_state, images, fake, step)
      ...     return jnp.mean(jnp.abs(images - fake)) + 0.1 * term, (state, metrics)
      >>> grads, (critic_state, metrics) = jax.grad(loss_fn, has_aux=True)(0.5, step=0)

    Source: Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis", section
    3.1, for a term with a start; the losses name theirs.
    """
    numbers = {"feature_weight": feature_weight, "lecam_weight": lecam_weight, "start": start}
    for name, number in numbers.items():
        if not number >= 0:
            raise UserError(f"{name}: got {number}, expected 0 or more")
    if penalty_interval < 1:
        raise UserError(f"penalty_interval: got {penalty_interval}, expected 1 or more")

    def pmean(tree: PyTree) -> PyTree:
        tree = local_values(tree, axis_name)
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    def init(key: jax.Array, examples: ArrayLike, *inputs: ArrayLike) -> CriticState:
        _check_examples("examples", examples)
        first = [jnp.zeros((1, *jnp.shape(x)[1:]), jnp.result_type(x)) for x in (examples, *inputs)]
        init_key, own_key = jax.random.split(key)
        output = check("network", network, own_key, *first)
        variables = init_variables(network, init_key, *first, train=False)
        logits, features = _split(output)
        for shape in [jnp.shape(x) for x in logits] or [()]:
            if shape[:1] != (1,) or 0 in shape:
                raise UserError(
                    f"network: got an output of shape {shape} for one example, expected logits "
                    "(1, ...), a list of such arrays, or a tuple (logits, features)"
                )
        if feature_weight and not features:
            raise UserError(
                f"feature_weight: got {feature_weight} for a network that gives logits alone, "
                "expected one that gives (logits, features)"
            )
        averages = None
        if lecam_weight:
            zeros = jnp.zeros(len(logits))
            averages = {"real": zeros, "fake": zeros, "weight": jnp.zeros(())}
        player = create_player(variables, tx, ema=ema_decay is not None)
        return CriticState(player, own_key, averages)

    def judge(variables, examples, inputs, key):
        key = local_key(key, axis_name)
        output, model_state = apply_train(network, variables, examples, *inputs, key=key)
        return *_split(output), model_state

    def move(state: CriticState, real, fake, inputs, count, key) -> tuple[CriticState, Metrics]:
        """One step of the critic's optimiser."""
        real_key, fake_key, draw_key, penalty_key = jax.random.split(key, 4)

        def loss_fn(params):
            variables = {"params": params, **local_values(state.player.model_state, axis_name)}
            real_logits, _, model_state = judge(variables, real, inputs, real_key)
            variables = {**variables, **model_state}
            fake_logits, _, model_state = judge(variables, fake, inputs, fake_key)
            pairs = [(r.ravel(), f.ravel()) for r, f in zip(real_logits, fake_logits, strict=True)]
            real_part, fake_part = map(
                sum, zip(*(loss.discriminator(*pair) for pair in pairs), strict=True)
            )
            total = real_part + fake_part
            all_logits = map(jnp.concatenate, zip(*pairs, strict=True))
            metrics = {
                "discriminator_loss_real": real_part,
                "discriminator_loss_fake": fake_part,
                **adversarial_metrics(loss, *all_logits),
            }
            if penalty is not None:

                def critic(examples):
                    logits, _, _ = judge(variables, examples, inputs, penalty_key)
                    return sum(jnp.mean(x.reshape(len(x), -1), axis=1) for x in logits)

                def paid():
                    value = penalty(critic, real, fake, draw_key)
                    if jnp.shape(value) != ():
                        raise UserError(f"penalty: got shape {jnp.shape(value)}, expected a scalar")
                    return value

                metrics["penalty"] = lazily(paid, count, penalty_interval)
                total += metrics["penalty"]
            averages = state.averages
            if lecam_weight:
                averages = follow(averages, pairs)
                means = [averages[name] / averages["weight"] for name in ("real", "fake")]
                metrics["lecam"] = sum(map(lecam, *zip(*pairs, strict=True), *means))
                total += lecam_weight * metrics["lecam"]
            metrics["discriminator_loss"] = total
            return local_values(total, axis_name), (model_state, averages, metrics)

        params = local_values(state.player.params, axis_name)
        grads, (model_state, averages, metrics) = jax.grad(loss_fn, has_aux=True)(params)
        player = update_player(state.player, pmean(grads), pmean(model_state), tx)
        if ema_decay is not None:
            player = player.replace(ema_params=update_average(player, count, ema_decay))
        return state.replace(player=player, averages=averages), metrics

    def follow(averages, pairs):
        """The averages after these logits, and the weight that these and all before them have."""
        means = jnp.stack([jnp.stack([jnp.mean(x) for x in pair]) for pair in pairs], axis=1)
        real, fake = pmean(jax.lax.stop_gradient(means.astype(jnp.float32)))
        new = {"real": real, "fake": fake, "weight": jnp.ones(())}
        return optax.incremental_update(new, averages, 1 - _LECAM_DECAY)

    def judge_fake(fake, given):
        variables, real, inputs, key = given
        real_key, fake_key = jax.random.split(key)
        fake_logits, fake_features, _ = judge(variables, fake, inputs, fake_key)
        compared, metrics = [fake_logits], {}
        if loss.generator_sees_real or feature_weight:
            real_logits, real_features, _ = judge(variables, real, inputs, real_key)
        if loss.generator_sees_real:
            compared.append(real_logits)
        parts = zip(*compared, strict=True)
        value = sum(loss.generator(*(x.ravel() for x in part)) for part in parts)
        if feature_weight:
            metrics["feature_matching"] = paired_feature_matching(real_features, fake_features)
            value += feature_weight * metrics["feature_matching"]
        return value, {"generator_loss": value, **metrics}

    def with_gradient(fake, given):
        """(the term, metrics, the gradient of the term by the fakes)"""
        (value, metrics), by_fake = jax.value_and_grad(judge_fake, has_aux=True)(fake, given)
        return (
            value,
            {**metrics, "generator_gradient_norm": example_gradient_norm(by_fake)},
            by_fake,
        )

    # The gradient by the fakes is needed for its norm, too: as the rule of the derivative it is
    # computed once for both. And it is a rule of `fake` alone.
    @jax.custom_jvp
    def term_of(fake, given):
        return with_gradient(fake, given)[:2]

    @term_of.defjvp
    def _(primals, tangents):
        value, metrics, by_fake = with_gradient(*primals)
        tangent = jnp.vdot(by_fake, tangents[0]).astype(value.dtype)
        return (value, metrics), (tangent, jax.tree.map(jnp.zeros_like, metrics))

    def update(
        state: CriticState, real: ArrayLike, fake: ArrayLike, step: ArrayLike, *inputs: Any
    ) -> tuple[jax.Array, CriticState, Metrics]:
        _check_examples("real", real)
        _check_examples("fake", fake)
        if jnp.shape(real) != jnp.shape(fake):
            raise UserError(
                f"fake: got shape {jnp.shape(fake)}, expected {jnp.shape(real)}, that of real"
            )
        fake = jnp.asarray(fake)
        state, real, fixed, inputs = jax.lax.stop_gradient((state, jnp.asarray(real), fake, inputs))
        move_key, term_key = jax.random.split(jax.random.fold_in(state.key, step))

        moved = functools.partial(move, state, real, fixed, inputs, step - start, move_key)
        after, metrics = from_start(step, moved, lambda: (state, _zeros(moved)[1]))
        given = local_values(after.player.variables, axis_name), real, inputs, term_key
        judged = functools.partial(term_of, fake, given)
        term, more = from_start(step, judged, lambda: _zeros(judged))
        metrics |= {**more, "diversity": diversity(real, fake, axis_name)}
        return term, after, pmean(jax.lax.stop_gradient(metrics))

    def from_start(step, function, before):
        # No choice where there is none, which an accelerator would ask the host for.
        return function() if start == 0 else jax.lax.cond(step >= start, function, before)

    return Critic(init, update)


def _split(output: PyTree) -> tuple[list[jax.Array], PyTree]:
    """The arrays of logits, and the features or None, of what a network gives."""
    logits, features = output if isinstance(output, tuple) and len(output) == 2 else (output, None)
    return logits if isinstance(logits, list) else [logits], features


def _zeros(function: Callable) -> PyTree:
    """Of the function's own types, which on a mapped axis tell what differs between devices."""
    return jax.tree.map(jnp.zeros_like, jax.eval_shape(function))


def _check_examples(name: str, examples: ArrayLike) -> None:
    shape, dtype = jnp.shape(examples), jnp.result_type(examples)
    if len(shape) < 2 or not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(f"{name}: got {dtype} of shape {shape}, expected floats (B, ...)")
    if isinstance(examples, jax.core.Tracer | jax.ShapeDtypeStruct):
        return  # there are no numbers yet
    if getattr(examples, "is_fully_addressable", True) and np.any(np.isnan(np.asarray(examples))):
        raise UserError(f"{name}: got NaN among its numbers of shape {shape}, expected none")
