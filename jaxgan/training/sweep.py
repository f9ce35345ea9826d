"""Values of one field of a config, each of which is trained.

    --config.sweep=penalty_weight=0.1,1,10

In the compiled step the field is an array, as if the config had been read while tracing. So it is
one that numbers are multiplied by, such as a learning rate or a weight; a field that decides on
shapes, branches or data cannot be an array, and is refused by its name.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from jaxgan.errors import UserError
from jaxgan.training.config import expect_field

__all__ = ["Sweep", "check_effect", "read_sweep", "with_fields"]


class Sweep(NamedTuple):
    """A field and its values, two or more."""

    field: str
    values: tuple[float, ...]

    @property
    def labels(self) -> list[str]:
        """Of each value, as "penalty_weight=0.1"."""
        return [f"{self.field}={shown}" for shown in self.shown]

    @property
    def shown(self) -> list[str]:
        """Of each value its shortest text."""
        short = [f"{value:g}" for value in self.values]
        return [
            text if float(text) == value else repr(value)
            for text, value in zip(short, self.values, strict=True)
        ]


def read_sweep(config: config_dict.ConfigDict) -> Sweep | None:
    """What `config.sweep` says; None where it is empty or there is no such field.

    Raises:
      UserError: it is not FIELD=NUMBER,NUMBER,... of a field of the config that is a real number.

    Examples:
      >>> config = config_dict.ConfigDict({"sweep": "rate=1e-4,2e-4", "rate": 1e-3})
      >>> read_sweep(config)
      Sweep(field='rate', values=(0.0001, 0.0002))
    """
    if not config.get("sweep"):
        return None
    field, _, listed = config.sweep.partition("=")
    real = sorted(name for name, value in config.items() if isinstance(value, float))
    expect_field(config, "sweep", field in real, f"FIELD=..., with one of {', '.join(real)}")
    try:
        values = tuple(map(float, listed.split(",")))
    except ValueError:
        values = ()
    several = len(values) > 1 and len({*values}) == len(values) and all(map(math.isfinite, values))
    expect_field(config, "sweep", several, f"{field}= and two numbers or more, with commas")
    return Sweep(field, values)


def with_fields(config: config_dict.ConfigDict, **fields: Any) -> config_dict.ConfigDict:
    """The config of one training, with values that may be traced."""
    single = config.copy_and_resolve_references()
    with single.ignore_type():  # an array is no float
        single.update(fields)
    return single


def check_effect(config: config_dict.ConfigDict, step: Callable, *arguments: Any) -> None:
    """Refuses a sweep that the step cannot have, or that makes no difference to it.

    Args:
      config: of all trainings.
      step: (config, *arguments) -> any pytree of arrays; it is traced, and not compiled.
      arguments: arrays, or their shapes.
    """
    swept = read_sweep(config)
    if swept is None:
        return

    def of_value(value, *arguments):
        return step(with_fields(config, **{swept.field: value}), *arguments)

    try:
        program = jax.make_jaxpr(of_value)(jnp.float32(swept.values[0]), *arguments).jaxpr
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
    ):
        raise UserError(
            f"sweep: got {config.sweep!r}, expected another field: {swept.field} decides which "
            "program is compiled, and all values have to share one"
        ) from None
    value = program.invars[0]
    used = any(value is given for equation in program.eqns for given in equation.invars)
    expected = f"a field that this training uses, as it does not {swept.field}"
    expect_field(config, "sweep", used, expected)
