"""A network as JSON and back, so that a checkpoint says what its parameters belong to."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.network import NetworkLike, name_of

__all__ = ["describe", "from_description"]


def describe(network: NetworkLike) -> dict[str, Any]:
    """What it takes to build a module of `jaxgan.networks` again.

    Args:
      network: a module of `jaxgan.networks`, any whose fields are numbers, strings, tuples and
        dtypes, or a `jaxgan.network.Network`.

    Returns:
      {"module": class name, field: value, ...}, ready for JSON. The mapped axis is left out,
      since it belongs to a training and not to the network; and so are functions, which JSON cannot
      hold: a module that is handed one is not built again.

    Examples:
      >>> from jaxgan import networks
      >>> describe(networks.MLPDiscriminator(hidden=(256, 256)))["hidden"]
      [256, 256]
    """
    fields = {
        field.name: getattr(network, field.name)
        for field in dataclasses.fields(network)
        if field.name not in ("parent", "name", "axis_name")
    }
    described = {name: _to_json(value) for name, value in fields.items() if not _is_function(value)}
    return {"module": name_of(network), **described}


def from_description(description: dict[str, Any]) -> nn.Module:
    """Builds the module that `describe` described.

    Args:
      description: from `describe`.

    Returns:
      The module, unbound.

    Raises:
      UserError: the class is not one of `jaxgan.networks`, or has other fields.

    Examples:
      >>> from jaxgan import networks
      >>> generator, _ = networks.dcgan(28)
      >>> from_description(describe(generator)) == generator
      True
    """
    from jaxgan import networks

    fields = dict(description)
    if fields.pop("param_dtype", "float32") != "float32":  # of runs of before 0.1.0
        raise UserError(
            f"param_dtype: got {description['param_dtype']!r}, expected 'float32', as all "
            "parameters are"
        )
    name = fields.pop("module", None)
    module = getattr(networks, name, None) if name in networks.__all__ else None
    if not (isinstance(module, type) and issubclass(module, nn.Module)):
        raise UserError(
            f"module: got {name!r}, expected a module of jaxgan.networks; a network of one's own "
            "is passed as an argument"
        )
    try:
        return module(**{key: _from_json(key, value) for key, value in fields.items()})
    except TypeError as error:
        raise UserError(
            f"{name}: the saved fields are not those of this version, or of a network that holds a "
            f"function and has to be passed as an argument: {error}"
        ) from None


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return jnp.dtype(value).name


def _from_json(name: str, value: Any) -> Any:
    if name.endswith("dtype"):
        return jnp.dtype(value).type
    return tuple(value) if isinstance(value, list) else value
