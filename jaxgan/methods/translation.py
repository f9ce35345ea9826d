"""Translation both ways between two domains of images, a and b: what its methods share.

Two generators make one player and two discriminators the other. In dictionaries, "ab" is the
generator from a to b, "ba" the one back, and "a" and "b" are the discriminators that judge images
of these domains; parameters and other collections are {collection: {name: tree}}.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from jaxgan.errors import UserError
from jaxgan.losses import Loss
from jaxgan.methods.batches import check_pixels, entry
from jaxgan.network import NetworkLike, check
from jaxgan.state import PyTree, TrainState, create_player, create_train_state, init_variables
from jaxgan.step import Context, Metrics, apply_train, local_key

__all__ = [
    "apply_each",
    "check_players",
    "make_generate",
    "make_init",
    "reconstruct",
    "variables_of",
    "verdicts",
]

Images = dict[str, jax.Array]
Modules = Mapping[str, NetworkLike]


def check_players(generators: Modules, discriminators: Modules) -> None:
    """Refuses all but {"ab", "ba"} generators and {"a", "b"} discriminators."""
    for field, modules, names in (
        ("generators", generators, {"ab", "ba"}),
        ("discriminators", discriminators, {"a", "b"}),
    ):
        if not isinstance(modules, Mapping) or set(modules) != names:
            got = ", ".join(modules) if isinstance(modules, Mapping) else type(modules).__name__
            raise UserError(f"{field}: got {got}, expected a dictionary of {sorted(names)}")


def variables_of(variables: PyTree, name: str) -> PyTree:
    """The variables of one network of a player, as `module.apply` takes them.

    Args:
      variables: {collection: {name: tree}}, such as `state.generator.variables`.
      name: "ab" or "ba" of the generators, "a" or "b" of the discriminators.

    Returns:
      {collection: tree}.

    Examples:
      >>> variables_of({"params": {"ab": 1, "ba": 2}, "batch_stats": {"ab": 3, "ba": 4}}, "ba")
      {'params': 2, 'batch_stats': 4}
    """
    return {collection: trees[name] for collection, trees in variables.items()}


def apply_each(
    modules: Modules, variables: PyTree, inputs: Mapping[str, jax.Array], key: jax.Array
) -> tuple[dict[str, PyTree], PyTree]:
    """Applies each module of a player to its own input, in training mode.

    Args:
      modules: {name: Flax module}.
      variables: {collection: {name: tree}}.
      inputs: {name: (B, H, W, C)}.
      key: for dropout.

    Returns:
      ({name: output}, the new collections other than "params").
    """
    outputs, states = {}, {}
    for index, (name, module) in enumerate(sorted(modules.items())):
        outputs[name], states[name] = apply_train(
            module,
            variables_of(variables, name),
            inputs[name],
            key=jax.random.fold_in(key, index),
        )
    return outputs, _by_collection(states)


def make_generate(generators: Modules, axis_name: str | None = None):
    """The `generate` of an objective: every image of the batch in the other domain.

    Args:
      generators: {"ab", "ba"}, modules (B, H, W, C) -> (B, H, W, C), taking `train`.
      axis_name: the mapped axis inside `pmap` or `shard_map`.

    Returns:
      (gen_vars, batch, context) -> ({"ab": G_ab(a), "ba": G_ba(b)}, new model_state), on batches
      {"a": (B, H, W, C), "b": (B, H, W, C)}.
    """

    def generate(gen_vars: PyTree, batch: PyTree, context: Context) -> tuple[Images, PyTree]:
        a, b = _images(batch)
        key = local_key(context.key, axis_name)
        fakes, model_state = apply_each(generators, gen_vars, {"ab": a, "ba": b}, key)
        for name, real in (("ab", b), ("ba", a)):
            _check_made(name, real, fakes[name])
        return fakes, model_state

    return generate


def reconstruct(generators: Modules, gen_vars: PyTree, fakes: Images, key: jax.Array) -> Images:
    """The way back: {"a": G_ba(G_ab(a)), "b": G_ab(G_ba(b))}.

    Batch statistics are not kept: the running ones remain those of real images, which is what a
    generator is given after training.
    """
    back, _ = apply_each(generators, gen_vars, {"ab": fakes["ba"], "ba": fakes["ab"]}, key)
    return {"a": back["ba"], "b": back["ab"]}


def verdicts(
    loss: Loss, real_logits: Mapping[str, jax.Array], fake_logits: Mapping[str, jax.Array]
) -> Metrics:
    """What the two discriminators hold real and generated images to be.

    Args:
      loss: gives the meaning of a logit as a probability D.
      real_logits, fake_logits: {"a", "b"}, (N,) float.

    Returns:
      float32 scalars: `d_real_a`, `d_real_b`, the means of D on real images, and their mean
      `d_real`; `accuracy_real`, the share of logits on the right side of D = 1/2 over both
      domains; and the same of `fake`.

    Examples:
      >>> from jaxgan import losses
      >>> sure, unsure = jnp.full(2, 9.0), jnp.zeros(2)
      >>> metrics = verdicts(losses.minimax, {"a": sure, "b": unsure}, {"a": -sure, "b": -sure})
      >>> print(f"{metrics['d_real_a']:.2f} {metrics['d_real_b']:.2f} {metrics['d_real']:.2f}")
      1.00 0.50 0.75
    """
    assert loss.log_probabilities is not None
    metrics = {}
    for kind, logits, sign in (("real", real_logits, 1), ("fake", fake_logits, -1)):
        log_d, log_not_d = {}, {}
        for name in ("a", "b"):
            log_d[name], log_not_d[name] = loss.log_probabilities(logits[name])
            metrics[f"d_{kind}_{name}"] = jnp.mean(jnp.exp(log_d[name]))
        metrics[f"d_{kind}"] = 0.5 * (metrics[f"d_{kind}_a"] + metrics[f"d_{kind}_b"])
        right = [jnp.mean(sign * (log_d[name] - log_not_d[name]) > 0) for name in ("a", "b")]
        metrics[f"accuracy_{kind}"] = 0.5 * (right[0] + right[1])
    return metrics


def make_init(
    generators: Modules,
    discriminators: Modules,
    make_extra: Callable[[PyTree], PyTree] = lambda batch: None,
) -> Callable[..., TrainState]:
    """The `init` of a method of translation: of its four networks.

    Args:
      generators, discriminators: {"ab", "ba"} and {"a", "b"}.
      make_extra: batch -> what the method alone needs, the state's `extra`.

    Returns:
      As `Method.init`, of a batch {"a": (B, H, W, C), "b": (B, H, W, C)}. It raises a `UserError`
      where a generator does not make images of the shape of its domain.
    """

    def init(
        key: jax.Array,
        batch: PyTree,
        gen_tx: optax.GradientTransformation,
        disc_tx: optax.GradientTransformation,
        *,
        ema: bool = False,
    ) -> TrainState:
        images = dict(zip("ab", _images(batch), strict=True))
        for name in images:
            check_pixels(batch, name)
        images = {name: jnp.zeros((1, *of.shape[1:])) for name, of in images.items()}
        *each, train_key = jax.random.split(key, 5)
        keys = dict(zip(("ab", "ba", "a", "b"), each, strict=True))
        variables = {}
        for name, network in {**generators, **discriminators}.items():
            source = images[name[0]]
            player = "generator" if name in generators else "discriminator"
            made = check(f"{player} {name!r}", network, keys[name], source)
            if name in generators:
                _check_made(name, images[name[1]], made)
            variables[name] = init_variables(network, keys[name], source)
        both = (_by_collection({k: variables[k] for k in of}) for of in (("ab", "ba"), ("a", "b")))
        gen_vars, disc_vars = both
        return create_train_state(
            train_key,
            create_player(gen_vars, gen_tx, ema=ema),
            create_player(disc_vars, disc_tx),
            make_extra(batch),
        )

    return init


def _check_made(name: str, real: jax.Array, made: jax.Array) -> None:
    if made.shape != real.shape:
        raise UserError(
            f"{name[1]}: got a batch of shape {real.shape}, expected {made.shape}, which is what "
            f"the generator {name!r} makes"
        )


def _by_collection(trees: Mapping[str, PyTree]) -> PyTree:
    """{name: {collection: tree}} -> {collection: {name: tree}}, {} where a network has none."""
    collections = sorted({collection for tree in trees.values() for collection in tree})
    return {c: {name: tree.get(c, {}) for name, tree in trees.items()} for c in collections}


def _images(batch: PyTree) -> tuple[jax.Array, jax.Array]:
    """The images of both domains; anything else is refused."""
    a, b = entry(batch, "a"), entry(batch, "b")
    for name, images in (("a", a), ("b", b)):
        if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
            raise UserError(
                f"{name}: got {images.dtype} of shape {images.shape}, expected floats (B, H, W, C)"
            )
    if len(a) != len(b):
        raise UserError(f"b: got {len(b)} images, expected {len(a)}, as many as of a")
    return a, b
