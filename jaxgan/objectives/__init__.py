"""One file a method: what it generates, and what either side minimises."""

from jaxgan.objectives.unconditional import init_unconditional, make_evaluate, unconditional

__all__ = ["init_unconditional", "make_evaluate", "unconditional"]
