"""The train step: one update of the discriminator, then one of the generator.

A method is an `Objective`, three pure functions; `make_train_step` turns it into a pure
`(state, batch) -> (state, metrics)`. The step holds no loop, no I/O and no config, so that it can
be jitted, scanned, sharded or mapped by whoever calls it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from jaxgan.errors import UserError
from jaxgan.network import NetworkLike, apply_network
from jaxgan.state import Player, PyTree, TrainState, update_player

__all__ = [
    "Aux",
    "Context",
    "Objective",
    "apply_eval",
    "apply_train",
    "example_gradient_norm",
    "local_key",
    "local_values",
    "make_train_step",
    "update_average",
]

Metrics = dict[str, jax.Array]


class Context(NamedTuple):
    """What every function of an objective may need besides the networks and the batch.

    Attributes:
      step: int32 scalar, the number of steps done before this one.
      key: a PRNG key for this call alone; the same on every device of a mapped axis.
      extra: the state's `extra`, what the method alone carries.
    """

    step: jax.Array
    key: jax.Array
    extra: PyTree


class Aux(NamedTuple):
    """What a loss gives besides its value.

    Attributes:
      model_state: the new collections, besides "params", of the player being updated.
      metrics: scalars to log.
      extra: the new `extra`; None leaves it as it was.
    """

    model_state: PyTree
    metrics: Metrics
    extra: PyTree = None


class Objective(NamedTuple):
    """A method, as three pure functions.

    Attributes:
      generate: (gen_vars, batch, context) -> (fakes, new generator model_state).
      disc_loss: (disc_vars, fakes, batch, context) -> (loss, Aux).
      gen_loss: (gen_vars, disc_vars, fakes, batch, context) -> (loss, Aux); `Aux.model_state`
        may be None where `generate` was the only pass through the generator.

    The `_vars` are dictionaries of collections, {"params": ..., "batch_stats": ...}. The
    generator's gradient flows through `fakes` as well as through `gen_vars`.

    On a mapped axis the step takes the mean of the devices' losses, metrics and model state. A
    loss that is no mean over examples is made of the whole axis by the objective itself, as by
    `jax.lax.pmean` within it; what it draws for each example by `jaxgan.devices.make_rows`; and a
    new `extra` has to be the same on every device, as by `jaxgan.devices.whole_batch`.
    """

    generate: Callable[..., tuple[PyTree, PyTree]]
    disc_loss: Callable[..., tuple[jax.Array, Aux]]
    gen_loss: Callable[..., tuple[jax.Array, Aux]]


class ObjectiveLike(Protocol):
    """What `make_train_step` asks for: an `Objective`, or a `Method`, which has more."""

    @property
    def generate(self) -> Callable[..., tuple[PyTree, PyTree]]: ...

    @property
    def disc_loss(self) -> Callable[..., tuple[jax.Array, Aux]]: ...

    @property
    def gen_loss(self) -> Callable[..., tuple[jax.Array, Aux]]: ...


def make_train_step(
    objective: ObjectiveLike,
    gen_tx: optax.GradientTransformation,
    disc_tx: optax.GradientTransformation,
    *,
    disc_steps: int = 1,
    micro_batches: int = 1,
    fresh_fakes: bool = False,
    fresh_batch: bool = False,
    ema_decay: float | optax.Schedule | None = None,
    axis_name: str | None = None,
) -> Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]:
    """Builds the pure train step of a method.

    The fakes are computed once; through `jax.vjp` the generator's update goes back through the
    very pass that made them. Only the player being updated commits its model state.

    Args:
      objective: the method.
      gen_tx, disc_tx: the two Optax optimisers.
      disc_steps: updates of the discriminator for each of the generator. The batch then holds
        `disc_steps` times as many examples, and each update takes its own share.
      micro_batches: into how many parts an update's examples are cut, which pass the networks one
        after another, so that activations take so many times less memory. The update is by the
        mean of their gradients: that of the whole batch where losses are means over examples that
        do not see each other. Batch norm sees one part at a time, and so does what a method counts
        over its batch. Each part draws with a key of its own. Costs one generator pass a step.
      fresh_fakes: draw new noise for the generator's update, as algorithm 1 of Goodfellow et al.
        2014 does, in place of using the discriminator's fakes again. Costs one generator pass.
      fresh_batch: give the generator's update examples and noise of its own. The batch then holds
        as many more, and each update takes its own share. Costs one generator pass.
      ema_decay: keep `state.generator.ema_params` as a moving average with this decay; early in
        training the decay is min(ema_decay, (1 + step) / (10 + step)), so that the random start
        is soon forgotten. Or a schedule, step -> decay, which is taken as it is.
      axis_name: the mapped axis, inside `jax.pmap` or `jax.shard_map`: gradients, metrics and
        model state are averaged over it. Networks and objective must be given the same name.
        None under plain `jax.jit`, also with sharded arrays.

    Returns:
      (state, batch) -> (state, metrics). `batch` is a pytree of arrays (updates * B, ...), of
      disc_steps updates, or one more with `fresh_batch`;
      `metrics` are float32 scalars: those of the objective, `discriminator_loss`,
      `generator_loss`, and `generator_gradient_norm`, the mean norm of the generator's gradient at
      each generated example. Jit it with `donate_argnums=0`.

    Raises:
      UserError: a `disc_steps`, `micro_batches` or `ema_decay` out of range; while tracing, a
        batch that they do not divide.

    Examples:
      >>> step = jax.jit(make_train_step(objective, tx, tx), donate_argnums=0)  # doctest: +SKIP
      >>> state, metrics = step(state, {"image": images})  # doctest: +SKIP

    Source: Goodfellow et al. 2014, "Generative Adversarial Networks", algorithm 1.
    """
    for name, number in {"disc_steps": disc_steps, "micro_batches": micro_batches}.items():
        if number < 1:
            raise UserError(f"{name}: got {number}, expected 1 or more")
    if not (ema_decay is None or callable(ema_decay) or 0 <= ema_decay < 1):
        raise UserError(f"ema_decay: got {ema_decay}, expected a number in [0, 1)")

    fresh = fresh_fakes or fresh_batch
    updates = (disc_steps + 1, "disc_steps + 1") if fresh_batch else (disc_steps, "disc_steps")

    def pmean(tree):
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    def local(tree):
        return local_values(tree, axis_name)

    def update(player: Player, grads, model_state, tx) -> Player:
        return update_player(player, pmean(grads), pmean_statistics(model_state), tx)

    def pmean_statistics(model_state):
        # Batch norm that was given the axis name returns averaged statistics already; this one
        # covers networks that were not. Counters, as Equinox has them, stay whole numbers.
        def mean(x):
            if jnp.issubdtype(x.dtype, jnp.inexact):
                return jax.lax.pmean(x, axis_name)
            return jax.lax.pmax(x.astype(jnp.int32), axis_name).astype(x.dtype)

        return model_state if axis_name is None else jax.tree.map(mean, local(model_state))

    def mean_of_parts(function, carry, part):
        """function(carry, micro-batch, its number) -> (carry, values); the means of the values."""
        if micro_batches == 1:
            return function(carry, part, None)
        parts = _split(part, micro_batches, "micro_batches")

        def body(carry_and_sums, part_and_number):
            carry, sums = carry_and_sums
            carry, values = function(carry, *part_and_number)
            return (carry, jax.tree.map(jnp.add, sums, local(values))), None

        numbers = jnp.arange(micro_batches)
        first = jax.tree.map(lambda x: x[0], (parts, numbers))
        _, values = jax.eval_shape(function, carry, *first)
        sums = local(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), values))
        (carry, sums), _ = jax.lax.scan(body, (carry, sums), (parts, numbers))
        return carry, jax.tree.map(lambda x: x / micro_batches, sums)

    def train_step(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)

        def context(index: int | jax.Array, extra: PyTree, number: jax.Array | None) -> Context:
            own = jax.random.fold_in(key, index)
            own = own if number is None else jax.random.fold_in(own, number)
            return Context(state.step, own, extra)

        def generate(params, model_state, part, index, extra, number):
            variables = {"params": params, **model_state}
            return objective.generate(variables, part, context(index, extra, number))

        def update_discriminator(disc: Player, extra, make_fakes, part, index):
            """`make_fakes` is (extra, part, number of the part) -> fakes."""

            def gradient(carry, part, number):
                model_state, extra = carry

                def loss_fn(params):
                    variables = {"params": params, **model_state}
                    fixed = jax.lax.stop_gradient(make_fakes(extra, part, number))
                    of = context(index, extra, number)
                    loss, aux = objective.disc_loss(variables, fixed, part, of)
                    return local(loss), aux

                (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(local(disc.params))
                extra = extra if aux.extra is None else aux.extra
                metrics = {"discriminator_loss": loss, **aux.metrics}
                return (local(aux.model_state), extra), (grads, metrics)

            (model_state, extra), (grads, metrics) = mean_of_parts(
                gradient, (local(disc.model_state), extra), part
            )
            return update(disc, grads, model_state, disc_tx), extra, metrics

        disc, extra = state.discriminator, state.extra
        gen_params = local(state.generator.params)
        gen_state = local(state.generator.model_state)
        parts = _split(batch, *updates)
        # Indices 0, 2, 4 ... seed the fakes and 1, 3, 5 ... the discriminator's losses.

        def anew(index):
            """Makes fakes for the discriminator alone."""
            return lambda extra, part, number: generate(
                gen_params, gen_state, part, index, extra, number
            )[0]

        if disc_steps > 1:

            def body(carry, inputs):
                disc, extra = carry
                part, index = inputs
                disc, extra, _ = update_discriminator(
                    disc, extra, anew(2 * index), part, 2 * index + 1
                )
                return (disc, extra), None

            early = jax.tree.map(lambda x: x[: disc_steps - 1], parts)
            (disc, extra), _ = jax.lax.scan(
                body, (disc, extra), (early, jnp.arange(disc_steps - 1))
            )

        part, last = jax.tree.map(lambda x: x[disc_steps - 1], parts), 2 * (disc_steps - 1)
        gen_part = jax.tree.map(lambda x: x[-1], parts) if fresh_batch else part
        again = last + 2 if fresh else last

        def pass_back(model_state, extra, part, number):
            """(fakes, from their cotangent to the generator's gradient, its new model state)."""
            return jax.vjp(
                lambda params: generate(params, model_state, part, again, extra, number),
                gen_params,
                has_aux=True,
            )

        # One pass makes the fakes of both updates, unless they are to be others, or would all have
        # to be kept.
        shared = None
        if not fresh and micro_batches == 1:
            shared = pass_back(gen_state, extra, part, None)
        disc, extra, disc_metrics = update_discriminator(
            disc, extra, (lambda *_: shared[0]) if shared else anew(last), part, last + 1
        )

        def gen_gradient(carry, part, number):
            before, extra = carry
            fakes, pullback, model_state = shared or pass_back(before, extra, part, number)

            def gen_loss(params, fakes):
                gen_vars = {"params": params, **model_state}
                of = context(last + 3, extra, number)
                loss, aux = objective.gen_loss(gen_vars, local(disc.variables), fakes, part, of)
                return local(loss), aux

            (loss, aux), (direct, by_fakes) = jax.value_and_grad(
                gen_loss, argnums=(0, 1), has_aux=True
            )(gen_params, fakes)
            grads = jax.tree.map(jnp.add, direct, pullback(by_fakes)[0])
            model_state = model_state if aux.model_state is None else aux.model_state
            extra = extra if aux.extra is None else aux.extra
            metrics = {
                "generator_loss": loss,
                "generator_gradient_norm": example_gradient_norm(by_fakes),
                **aux.metrics,
            }
            return (local(model_state), extra), (grads, metrics)

        (model_state, extra), (grads, gen_metrics) = mean_of_parts(
            gen_gradient, (gen_state, extra), gen_part
        )
        gen = update(state.generator, grads, model_state, gen_tx)
        if ema_decay is None and gen.ema_params is not None:
            raise UserError("ema_decay: got None for a generator with ema_params, expected a decay")
        if ema_decay is not None:
            gen = gen.replace(ema_params=update_average(gen, state.step, ema_decay))

        metrics = pmean({**disc_metrics, **gen_metrics})
        new_state = state.replace(
            step=state.step + 1, generator=gen, discriminator=disc, extra=extra
        )
        return new_state, metrics

    return train_step


def apply_train(
    network: NetworkLike, variables: dict[str, PyTree], *inputs: Any, key: jax.Array
) -> tuple[Any, dict[str, PyTree]]:
    """Applies a network in training mode.

    Args:
      network: a Linen module whose `__call__` takes `train`, or any `jaxgan.network.Network`.
      variables: its collections; all but "params" may change.
      *inputs: its inputs.
      key: for dropout.

    Returns:
      (output, the new collections other than "params").

    Raises:
      UserError: `network` is none.
    """
    return apply_network(network, variables, *inputs, train=True, key=key)


def apply_eval(network: NetworkLike, variables: dict[str, PyTree], *inputs: Any) -> Any:
    """Applies a network as outside training: nothing is drawn, and no statistics change.

    Args:
      network, variables, *inputs: as for `apply_train`.

    Returns:
      The output.

    Raises:
      UserError: `network` is none.

    Examples:
      >>> from jaxgan.networks import MLPGenerator
      >>> generator, latents = MLPGenerator((8,), (2, 2, 1)), jnp.ones((4, 3))
      >>> apply_eval(generator, generator.init(jax.random.key(0), latents), latents).shape
      (4, 2, 2, 1)
    """
    return apply_network(network, variables, *inputs, train=False)[0]


def example_gradient_norm(by_examples: PyTree) -> jax.Array:
    """The mean norm of the gradient at each example, of a loss that is a mean over examples.

        1/B sum_i || grad_i L_i ||,  L = 1/B sum_i L_i

    Taken at the images, it costs next to nothing; the norm over parameters would cost an MLP as
    much as a tenth of its step. It does not change with the size of the batch.

    Args:
      by_examples: the gradient of L by a batch, arrays (B, ...).

    Returns:
      float32 scalar.

    Examples:
      >>> images = jnp.ones((4, 2, 2, 1))
      >>> print(example_gradient_norm(jax.grad(lambda x: jnp.mean(jnp.sum(x, (1, 2, 3))))(images)))
      2.0
    """

    def squares(leaf):
        return jnp.sum(jnp.square(leaf.astype(jnp.float32)), axis=tuple(range(1, leaf.ndim)))

    # The gradient of the mean has 1 / B in it: the sum over examples is the mean of their own.
    return jnp.sum(jnp.sqrt(sum(squares(leaf) for leaf in jax.tree.leaves(by_examples))))


def local_key(key: jax.Array, axis_name: str | None) -> jax.Array:
    """A key of this device's own on a mapped axis, for dropout and the like; else the key."""
    return key if axis_name is None else jax.random.fold_in(key, jax.lax.axis_index(axis_name))


def local_values(tree: PyTree, axis_name: str | None) -> PyTree:
    """Marks arrays as this device's own on a mapped axis, which changes no number.

    Under `shard_map` the gradient by a replicated value arrives already summed over the axis. By
    a value marked so it is this device's own, and `pmean` means the same everywhere. The same goes
    for a loss that is made of means over the whole axis.
    """
    if axis_name is None:
        return tree
    return jax.tree.map(lambda x: _varying(x, axis_name), tree)


def _split(batch: PyTree, count: int, name: str) -> PyTree:
    """(count * B, ...) -> (count, B, ...), every count-th example, so that shards stay in place."""

    def split(x):
        if x.shape[0] % count:
            raise UserError(
                f"batch: got {x.shape[0]} examples, expected a multiple of {name}={count}"
            )
        return jnp.swapaxes(x.reshape(-1, count, *x.shape[1:]), 0, 1)

    return jax.tree.map(split, batch)


def update_average(player: Player, step: jax.Array, decay: float | optax.Schedule) -> PyTree:
    """The averaged parameters after a step, see `ema_decay` of `make_train_step`."""
    if player.ema_params is None:
        raise UserError("ema_decay: the generator has no ema_params; create_player(..., ema=True)")
    kept = decay(step) if callable(decay) else jnp.minimum(decay, (1 + step) / (10 + step))
    return optax.incremental_update(player.params, player.ema_params, 1 - kept)


def _varying(x: jax.Array, axis_name: str) -> jax.Array:
    try:
        return jax.lax.pcast(x, axis_name, to="varying")
    except ValueError:  # it varies already
        return x
