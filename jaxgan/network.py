"""What a network is: two pure functions, whatever the framework that it is written in.

    variables = network.init(key, *inputs)
    outputs, model_state = network.apply(variables, *inputs, train=train, key=key)

`variables` are {"params": ..., other collections ...}, dictionaries with string keys down to the
arrays. Optimisers change "params"; `model_state` are the other collections after a pass, with the
same structure, shapes and dtypes. A Linen module is a network as it is. `from_functions` makes one
of functions, `jaxgan.frameworks` of modules of NNX and of Equinox. Every method takes any of them,
for either player.

All calls of networks go through this module, and what else there is to know of a network, such as
whether it couples the examples of a batch, is told here.
"""

import contextlib
import contextvars
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import UserError

__all__ = [
    "Network",
    "NetworkLike",
    "apply_network",
    "as_network",
    "check",
    "from_functions",
    "name_of",
    "refuse_coupled",
    "value_range_of",
]

PyTree = Any
Variables = dict[str, PyTree]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Two pure functions, and what else is asked of a network.

    It is hashed by identity: make it once, since what is compiled of it is kept for it.

    Attributes:
      name: for messages.
      init: (key, *inputs) -> variables.
      apply: (variables, *inputs, train, key) -> (outputs, model_state). `key` is None where nothing
        is to be drawn; without `train`, the model state is as it was.
      value_range: of a generator, (low, high) of its images.
      channels: of a generator between unpaired domains, those of its images.
      couples_examples: in training, an output depends on other examples of the batch. That batch
        norm does so is seen without being told.
    """

    name: str
    init: Callable[..., Any]
    apply: Callable[..., tuple[PyTree, PyTree]]
    value_range: tuple[float, float] | None = None
    channels: int | None = None
    couples_examples: bool = False


NetworkLike = nn.Module | Network


def from_functions(
    init: Callable[..., Variables],
    apply: Callable[..., tuple[PyTree, PyTree]],
    *,
    name: str | None = None,
    value_range: tuple[float, float] | None = None,
    channels: int | None = None,
    couples_examples: bool = False,
) -> Network:
    """Makes a network of two pure functions.

    Args:
      init: (key, *inputs) -> {"params": ..., other collections ...}. Of a batch it is given one
        example.
      apply: (variables, *inputs, train, key) -> (outputs, model_state), the collections other than
        "params", {} where there are none.
      name: for messages; by default that of `apply`.
      value_range: of a generator, (low, high) of its images.
      channels: of a generator between unpaired domains, those of its images.
      couples_examples: in training, an output depends on other examples of the batch.

    Returns:
      The `Network`.

    Examples:
      >>> def init(key, x):
      ...     return {"params": {"scale": jnp.ones(x.shape[1:])}}
      >>> def apply(variables, x, *, train, key):
      ...     return variables["params"]["scale"] * x, {}
      >>> network = from_functions(init, apply, name="scale")
      >>> network.init(jax.random.key(0), jnp.zeros((1, 2)))
      {'params': {'scale': Array([1., 1.], dtype=float32)}}
    """
    own = getattr(apply, "__name__", type(apply).__name__)
    return Network(name or own, init, apply, value_range, channels, couples_examples)


def as_network(network: NetworkLike) -> Network:
    """A network as its two functions.

    Args:
      network: a Linen module whose `__call__` takes `train`, or a `Network`, which is given back.

    Returns:
      The `Network`.

    Raises:
      UserError: it is neither.
    """
    if isinstance(network, Network):
        return network
    if not isinstance(network, nn.Module):
        raise UserError(
            f"network: got {name_of(network)}, expected a Linen module, or what jaxgan.from_nnx, "
            "from_equinox or from_functions gives"
        )

    def apply(variables: Variables, *inputs: Any, train: bool, key: jax.Array | None):
        model_state = {name: of for name, of in variables.items() if name != "params"}
        rngs = None if key is None else {"dropout": key}
        if not train:
            return network.apply(variables, *inputs, train=False, rngs=rngs), model_state
        outputs, changed = network.apply(
            variables, *inputs, train=True, rngs=rngs, mutable=[*model_state]
        )
        # Flax returns only what it touched.
        return outputs, {**model_state, **changed}

    return Network(name_of(network), network.init, apply)


def name_of(network: Any) -> str:
    """What a network is called in messages: its name, or that of its class."""
    return network.name if isinstance(network, Network) else type(network).__name__


def value_range_of(generator: NetworkLike) -> tuple[float, float]:
    """(low, high) of a generator's images.

    Raises:
      UserError: it does not say so.
    """
    value_range = getattr(generator, "value_range", None)
    if value_range is None:
        raise UserError(
            f"generator: got {name_of(generator)} without value_range, expected (low, high), "
            "the range of its images"
        )
    return value_range


def apply_network(
    network: NetworkLike,
    variables: Variables,
    *inputs: Any,
    train: bool,
    key: jax.Array | None = None,
) -> tuple[PyTree, PyTree]:
    """Applies a network.

    Args:
      network: any.
      variables: its collections.
      *inputs: its inputs.
      train: as in training, or as after it.
      key: for what is drawn in training, such as dropout.

    Returns:
      (outputs, the collections other than "params").

    Raises:
      UserError: the network couples its examples, where `refuse_coupled` is asked for.
    """
    if train and _refusing.get() and isinstance(network, Network):
        _refuse(network, variables, inputs, key)
    return as_network(network).apply(variables, *inputs, train=train, key=key)


_refusing = contextvars.ContextVar("refusing", default=False)


@contextlib.contextmanager
def refuse_coupled() -> Iterator[None]:
    """Within it, as penalties need it, no network may couple the examples of a batch in training.

    Batch norm does, and so does a Linen module with `couples_examples = True`, wherever in the
    network it is. Of other networks `couples_examples` is asked, and whether their model state
    depends on the inputs, as the statistics of batch norm do.

    Raises:
      UserError: by the call of such a network; one that was jitted and traced before goes unseen.
    """
    token = _refusing.set(True)
    try:
        with nn.intercept_methods(_refuse_coupled_layer):
            yield
    finally:
        _refusing.reset(token)


def _refuse_coupled_layer(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
    module = context.module
    coupled = getattr(module, "couples_examples", False)
    if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
        given = kwargs.get("use_running_average", args[1] if len(args) > 1 else None)
        coupled = not (module.use_running_average if given is None else given)
    if coupled:
        raise _coupled(type(module).__name__)
    return call(*args, **kwargs)


def _refuse(network: Network, variables: Variables, inputs: tuple, key: jax.Array | None) -> None:
    if network.couples_examples:
        raise _coupled(f"{network.name}, of which couples_examples says so,")

    def model_state(*inputs):
        return network.apply(variables, *inputs, train=True, key=key)[1]

    # What depends on mapped inputs is mapped itself, and cannot leave `vmap` as if it were not.
    mapped = jax.vmap(model_state, out_axes=None)
    try:
        jax.eval_shape(lambda *inputs: mapped(*jax.tree.map(lambda x: x[None], inputs)), *inputs)
    except ValueError as error:
        if "out_axes" not in str(error):
            raise
        raise _coupled(f"{network.name} with statistics of its inputs, as of batch norm,") from None


def _coupled(what: str) -> UserError:
    return UserError(
        f"critic: got {what} in it, which makes a logit depend on the whole batch, expected a "
        "critic that judges each image alone"
    )


def check(player: str, network: NetworkLike, key: jax.Array, *inputs: jax.Array) -> PyTree:
    """Refuses what cannot be trained, before anything is compiled: nothing is computed here.

    Args:
      player: what the network is to the caller, for messages.
      network: any.
      key: a PRNG key, whatever it is.
      *inputs: one example of each, (1, ...), or their shapes and dtypes.

    Returns:
      The shapes and dtypes of what the network makes of them, (1, ...).

    Raises:
      UserError: it cannot be called with these inputs, `train` and `key`; it has no "params"; its
        outputs have another batch size than its inputs; its model state does not keep its
        structure, shapes and dtypes; it is impure, so that two calls with the same arguments
        differ.
    """
    raw, called = as_network(network), f"{player}: got {name_of(network)}"
    one = [jax.ShapeDtypeStruct(of.shape, of.dtype) for of in inputs]
    if isinstance(network, nn.Module):
        _expect_linen_call(player, network, one)
        options = {"train": False}
    else:
        options = {}

    def init(key, *inputs):
        return raw.init(key, *inputs, **options)

    variables = _same_twice(f"{called}, init", init, key, *one)
    if not isinstance(variables, Mapping) or "params" not in variables:
        found = sorted(variables) if isinstance(variables, Mapping) else type(variables).__name__
        raise UserError(f"{called}, whose init gives {found}, expected a dictionary with 'params'")
    declared = {name: of for name, of in variables.items() if name != "params"}

    def forward(train):
        def call(variables, key, *inputs):
            return raw.apply(variables, *inputs, train=train, key=key)

        return call

    # Two examples, so that a mean over the batch is not taken for one of each.
    two = [jax.ShapeDtypeStruct((2, *of.shape[1:]), of.dtype) for of in one]
    try:
        made = _same_twice(f"{called}, apply", forward(True), variables, key, *two)
    except NameError:  # it asks for an axis, which is not mapped yet
        made = _same_twice(f"{called}, apply", forward(False), variables, key, *two)
    if not isinstance(made, tuple) or len(made) != 2:
        raise UserError(
            f"{called}, whose apply gives {type(made).__name__}, expected (outputs, model_state)"
        )
    outputs, model_state = made
    for of in jax.tree.leaves(outputs):
        if of.shape[:1] != (2,):
            raise UserError(f"{called}, which makes {of.shape} of a batch of 2, expected (2, ...)")
    _expect_declared(called, declared, model_state)
    return jax.tree.map(lambda of: jax.ShapeDtypeStruct((1, *of.shape[1:]), of.dtype), outputs)


def _expect_linen_call(player: str, module: nn.Module, inputs: list) -> None:
    try:
        inspect.signature(module.__call__).bind(*inputs, train=False)
    except TypeError as error:
        shapes = ", ".join(str(of.shape) for of in inputs)
        raise UserError(
            f"{player}: got {name_of(module)}, expected a module that is called with arrays "
            f"{shapes} and train=False ({error})"
        ) from None


def _expect_declared(called: str, declared: PyTree, model_state: PyTree) -> None:
    """The model state after a pass has to be as `init` has declared it, leaf by leaf."""
    before, after = (
        {jax.tree_util.keystr(path): f"{of.dtype}{[*of.shape]}" for path, of in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (declared, model_state))
    )
    for path in sorted(before.keys() | after.keys()):
        got, expected = after.get(path, "none"), before.get(path, "none")
        if got != expected:
            raise UserError(
                f"{called}, whose apply returns {got} as model state {path}, expected {expected}, "
                "as its init declares"
            )
    got, expected = (str(jax.tree.structure(of)) for of in (model_state, declared))
    if got != expected:
        raise UserError(
            f"{called}, whose apply returns model state {got}, expected {expected}, as its init "
            "declares"
        )


def _same_twice(called: str, function: Callable, *arguments: Any) -> PyTree:
    """The shapes of what a function gives, if two traces of it give the same program."""
    first, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    try:
        # In a function of its own, since JAX keeps what it has traced.
        second = jax.make_jaxpr(lambda *arguments: function(*arguments))(*arguments)
        same = _printed(first) == _printed(second) and _are_equal(first.consts, second.consts)
    except jax.errors.UnexpectedTracerError:  # of the first call, kept by the function
        same = False
    if not same:
        raise UserError(
            f"{called}, which is impure: two calls with the same arguments differ, expected a "
            "function of its arguments alone"
        )
    return shapes


def _printed(jaxpr: Any) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", str(jaxpr))


def _are_equal(first: list, second: list) -> bool:
    def content(x):
        if isinstance(x, jax.core.Tracer):
            return id(x)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return np.asarray(x).tobytes()

    return len(first) == len(second) and all(
        a is b or content(a) == content(b) for a, b in zip(first, second, strict=True)
    )
