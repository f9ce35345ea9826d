"""Networks written in NNX or Equinox, as the two functions that jaxgan asks for.

What such a module holds becomes dictionaries with string keys, so that checkpoints, digests and
optimisers meet the same as with Linen. Parameters are trained; keys and counters of random numbers
are not kept at all, since they come from the step's key. Neither framework is imported before it is
asked for.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from jaxgan.errors import UserError
from jaxgan.network import Network, PyTree, Variables

__all__ = ["from_equinox", "from_nnx"]

Path = tuple[str, ...]
Leaves = dict[Path, Any]


def from_nnx(module: Any) -> Network:
    """Makes a network of an NNX module.

    Args:
      module: what makes it, called as `module(rngs=nnx.Rngs(key))`, such as its class; or a module,
        which begins with the parameters that it has, whatever the key.

    Returns:
      The `Network`. Of its variables, "params" are `nnx.Param`, "batch_stats" `nnx.BatchStat` and
      "other" all other variables and arrays. `nnx.Rngs` are made anew of the step's key at every
      call. The module is called with `train=` if it takes that; before, its `train()` or `eval()`.
      What a call changes of its parameters is lost, and so are new variables. `value_range`,
      `channels` and, of any module within it, `couples_examples` are the module's attributes.

    Raises:
      UserError: neither a module nor what makes one.

    Examples:
      >>> from flax import nnx
      >>> network = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
      >>> variables = network.init(jax.random.key(0), jnp.zeros((1, 3)))
      >>> jax.tree.map(jnp.shape, variables)
      {'params': {'bias': (2,), 'kernel': (3, 2)}}
    """
    from flax import nnx

    kinds = {"params": nnx.Param, "batch_stats": nnx.BatchStat, "rngs": nnx.RngState, "other": ...}
    variable = jax.tree_util.GetAttrKey("value")  # ends the path of each of NNX's variables

    def make(key: jax.Array) -> Any:
        own = module if isinstance(module, nnx.Module) else module(rngs=nnx.Rngs(key))
        if not isinstance(own, nnx.Module):
            raise UserError(f"module: got one that makes {type(own).__name__}, expected nnx.Module")
        for part in parts_of(own):
            for name, value in list(vars(part).items()):
                if isinstance(value, jax.core.Tracer):  # NNX takes it for no array
                    setattr(part, name, nnx.data(value))
        return own

    def parts_of(own: Any) -> list[Any]:
        return [part for _, part in nnx.iter_graph(own) if isinstance(part, nnx.Module)]

    def split(own: Any) -> tuple[Any, dict[str, PyTree]]:
        graphdef, *states = nnx.split(own, *kinds.values())
        return graphdef, dict(zip(kinds, states, strict=True))

    def collect(states: dict[str, PyTree]) -> dict[str, Leaves]:
        return {name: _by_path(of, variable) for name, of in states.items() if name != "rngs"}

    facts: dict[str, Any] = {}

    def look(key: jax.Array) -> dict[str, PyTree]:
        own = make(key)
        facts["graphdef"], states = split(own)
        facts["attributes"] = _attributes(own, parts_of(own))
        facts["takes_train"] = "train" in inspect.signature(type(own).__call__).parameters
        return states

    if not callable(module):
        raise UserError(
            f"module: got {type(module).__name__}, expected an nnx.Module or what makes one"
        )
    like = jax.eval_shape(look, jax.random.key(0))
    declared = collect(like)

    def init(key: jax.Array, *inputs: Any) -> Variables:
        return _first_variables(collect(split(make(key))[1]))

    def apply(variables: Variables, *inputs: Any, train: bool, key: jax.Array | None):
        states = {name: _restore(like[name], declared[name], variables, name) for name in declared}
        states["rngs"] = _new_rngs(like["rngs"], key)
        called = nnx.merge(facts["graphdef"], *(states[name] for name in kinds))
        called.train() if train else called.eval()
        outputs = called(*inputs, **({"train": train} if facts["takes_train"] else {}))
        if not train:
            return outputs, _model_state(variables)
        after = collect(split(called)[1])
        del after["params"]
        # Without what is new; what is gone is missed by `network.check`.
        kept = {
            name: {path: leaf for path, leaf in of.items() if path in declared[name]}
            for name, of in after.items()
        }
        return outputs, _as_dicts(kept)

    return Network(init=init, apply=apply, **facts["attributes"])


def from_equinox(module: Any, state: Any = None, *, axis_name: str = "batch") -> Network:
    """Makes a network of an Equinox module, which is of one example, as all of Equinox's are.

    Args:
      module: what makes it, called as `module(key=key)`, such as its class; or a module, which
        begins with the parameters that it has, whatever the key.
      state: of a module made by `eqx.nn.make_with_state`, the state that came with it.
      axis_name: what the module calls the batch, which it is mapped over, as for batch norm.

    Returns:
      The `Network`. It maps `module(*example, key=key)` over the batch, or, where there is state,
      `module(*example, state, key=key)`, which then gives (outputs, state); `key` is left out where
      the module takes none, and `train` given where it does. Before, `eqx.nn.inference_mode` sets
      what is done in training alone. Of its variables, "params" are the inexact arrays, "other" all
      other arrays; "batch_stats" are those of batch norm, "state" what else there is of state.
      `value_range`, `channels` and, of any module within it, `couples_examples` are the module's
      attributes.

    Raises:
      UserError: neither a module nor what makes one; a module whose state was taken away and not
        given; Equinox is not installed; while tracing, a state that differs between examples.

    Examples:
      >>> import equinox as eqx  # doctest: +SKIP
      >>> network = from_equinox(lambda key: eqx.nn.Linear(3, 2, key=key))  # doctest: +SKIP
      >>> variables = network.init(jax.random.key(0), jnp.zeros((1, 3)))  # doctest: +SKIP
    """
    try:
        import equinox as eqx
    except ImportError:
        raise UserError(
            "equinox is not installed, expected pip install 'jaxgan[equinox]'"
        ) from None

    def make(key: jax.Array) -> tuple[Any, Any]:
        if not isinstance(module, eqx.Module):
            return eqx.nn.make_with_state(module)(key=key)
        try:
            own_state = eqx.nn.State(module) if state is None else state
        except ValueError:
            raise UserError(
                "state: got none of a module that was made by make_with_state, expected its state"
            ) from None
        return eqx.nn.delete_init_state(module), own_state

    if not callable(module):
        raise UserError(
            f"module: got {type(module).__name__}, expected an eqx.Module or what makes one"
        )
    example, state_like = eqx.filter_eval_shape(make, jax.random.key(0))
    if not isinstance(example, eqx.Module):
        raise UserError(f"module: got one that makes {type(example).__name__}, expected eqx.Module")
    like, static = eqx.partition(example, _is_array)
    params_like, other_like = eqx.partition(like, _is_trained)
    declared = {"params": _by_path(params_like), "other": _by_path(other_like)}
    names = _state_names(eqx, example, state_like)
    parameters = inspect.signature(type(example).__call__).parameters

    def collect_state(of: Any) -> dict[str, Leaves]:
        collections: dict[str, Leaves] = {"batch_stats": {}, "state": {}}
        for (kind, path), leaf in zip(names, jax.tree.leaves(of), strict=True):
            collections[kind][path] = leaf
        return collections

    def init(key: jax.Array, *inputs: Any) -> Variables:
        own, own_state = make(key)
        params, other = eqx.partition(eqx.filter(own, _is_array), _is_trained)
        arrays = {"params": _by_path(params), "other": _by_path(other)}
        return _first_variables({**arrays, **collect_state(own_state)})

    def apply(variables: Variables, *inputs: Any, train: bool, key: jax.Array | None):
        params = _restore(params_like, declared["params"], variables, "params")
        other = _restore(other_like, declared["other"], variables, "other")
        own = eqx.nn.inference_mode(eqx.combine(params, other, static), value=not train)
        leaves = [_at(variables[kind], path) for kind, path in names]

        def call(inputs, before, key):
            options = {"key": key, "train": train}
            options = {name: of for name, of in options.items() if name in parameters}
            return own(*inputs, before, **options) if names else (own(*inputs, **options), before)

        keys = None if key is None else jax.random.split(key, len(jax.tree.leaves(inputs)[0]))
        mapped = jax.vmap(call, (0, None, 0), (0, None), axis_name=axis_name)
        try:
            outputs, after = mapped(inputs, jax.tree.unflatten(structure, leaves), keys)
        except ValueError as error:
            if "out_axes" not in str(error):
                raise
            raise UserError(
                f"network: got {attributes['name']}, whose state differs between the examples of a "
                f"batch, expected one for all of them, as by jax.lax.pmean over {axis_name!r}"
            ) from None
        model_state = _model_state(variables)
        return outputs, {**model_state, **_as_dicts(collect_state(after))} if train else model_state

    structure = jax.tree.structure(state_like)
    attributes = _attributes(example, _parts(example))
    return Network(init=init, apply=apply, **attributes)


def _attributes(module: Any, parts: list[Any]) -> dict[str, Any]:
    """What else a `Network` tells of a module and of those within it."""
    return {
        "name": type(module).__name__,
        "value_range": getattr(module, "value_range", None),
        "channels": getattr(module, "channels", None),
        "couples_examples": any(getattr(part, "couples_examples", False) for part in parts),
    }


def _parts(tree: PyTree) -> list[Any]:
    """Whatever there is in a pytree, itself included."""
    met: list[Any] = []

    def meet(part: Any) -> bool:
        met.append(part)
        return False

    jax.tree.leaves(tree, is_leaf=meet)
    return met


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | jax.ShapeDtypeStruct)


def _is_trained(x: Any) -> bool:
    return _is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact)


def _state_names(eqx: Any, module: Any, state: Any) -> list[tuple[str, Path]]:
    """The collection and the path of each leaf of an Equinox state, in their order."""
    indices = (eqx.nn.BatchNorm, eqx.nn.StateIndex)
    found: dict[Any, tuple[str, list[Path]]] = {}
    for path, part in jax.tree_util.tree_leaves_with_path(
        module, is_leaf=lambda x: isinstance(x, indices)
    ):
        here = _path(path)
        if isinstance(part, eqx.nn.BatchNorm):
            for index, fields in (
                (part.batch_counter, ["counter"]),
                (part.batch_state_index, ["mean", "var"]),
                (part.ema_first_time_index, ["first_time"]),
                (part.ema_state_index, ["mean", "var"]),
            ):
                if index is not None:
                    found[index.marker] = "batch_stats", [(*here, field) for field in fields]
        elif isinstance(part, eqx.nn.StateIndex):
            found[part.marker] = "state", [here]
    names = []
    values, markers = state.tree_flatten()
    for value, marker in zip(values, markers, strict=True):
        kind, paths = found[marker]
        inside = jax.tree_util.tree_leaves_with_path(value)
        if kind == "state":
            paths = [(*paths[0], *_path(path)) for path, _ in inside]
        names += [(kind, path) for path in paths]
    return names


def _new_rngs(like: PyTree, key: jax.Array | None) -> PyTree:
    """The state of NNX's generators of random numbers, each with a key of its own, at count 0."""
    key = jax.random.key(0) if key is None else key  # evaluation draws nothing
    leaves, structure = jax.tree.flatten(like)

    def new(index, leaf):
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.zeros(leaf.shape, leaf.dtype)
        own = jax.random.fold_in(key, index)
        return jax.random.split(own, leaf.shape) if leaf.shape else own

    return jax.tree.unflatten(structure, [new(*pair) for pair in enumerate(leaves)])


def _path(keys: Sequence[Any]) -> Path:
    """The keys of a pytree as strings; NNX's variables are named as what holds them."""

    def name(key):
        inside = getattr(key, "key", None)
        if isinstance(inside, tuple):  # of NNX's spectral norm
            return "/".join(map(str, inside))
        return jax.tree_util.keystr((key,), simple=True)

    return tuple(name(key) for key in keys)


def _by_path(tree: PyTree, *drop: Any) -> Leaves:
    """The leaves of a pytree by their paths, of which some keys are dropped."""
    return {
        _path([key for key in path if key not in drop]): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _as_dicts(collections: dict[str, Leaves]) -> Variables:
    """Nested dictionaries, without collections that hold nothing."""
    return {name: traverse_util.unflatten_dict(of) for name, of in collections.items() if of}


def _first_variables(collections: dict[str, Leaves]) -> Variables:
    # Copies: a module that was handed over keeps its arrays, which a step that donates would take.
    return jax.tree.map(jnp.copy, {"params": {}, **_as_dicts(collections)})


def _restore(like: PyTree, declared: Leaves, variables: Variables, name: str) -> PyTree:
    """A part of a module, with the arrays of a collection in the place of those that it had."""
    # In JAX's own arrays: NNX would write into those of NumPy.
    leaves = [jnp.asarray(_at(variables[name], path)) for path in declared]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _at(nested: PyTree, path: Path) -> jax.Array:
    for name in path:
        nested = nested[name]
    return nested


def _model_state(variables: Variables) -> Variables:
    return {name: of for name, of in variables.items() if name != "params"}
