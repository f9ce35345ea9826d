"""One file a method: what it generates, and what either side minimises."""

from jaxgan.objectives.unconditional import (
    diversity,
    init_unconditional,
    make_evaluate,
    unconditional,
)

__all__ = ["diversity", "init_unconditional", "make_evaluate", "unconditional"]
