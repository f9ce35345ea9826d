"""What XLA is told on a GPU for a program to give the same numbers each time."""

import jax

from jaxgan import cpu
from jaxgan.errors import UserError

__all__ = ["deterministic_options"]


def deterministic_options() -> dict[str, str]:
    """Options of `jax.jit` with which a program gives the same numbers in every process on a GPU.

    There XLA times several algorithms for a convolution or a product and takes the fastest, which
    need not be the same one the next time, and some algorithms sum in whatever order their threads
    come. With these options it takes neither: what it would have chosen by time may be faster.

    Returns:
      For `jax.jit(function, compiler_options=...)`; empty where the default device is no GPU, since
      CPUs and TPUs do so by themselves.

    Raises:
      UserError: an XLA that knows no such option.

    Examples:
      >>> import jax, jaxgan
      >>> options = {**jaxgan.cpu.compiler_options(), **jaxgan.gpu.deterministic_options()}
      >>> double = jax.jit(lambda x: 2 * x, compiler_options=options)

    Source: openxla/xla, `xla_gpu_deterministic_ops` in xla/debug_options_flags.cc.
    """
    if jax.default_backend() != "gpu":
        return {}
    # Not `xla_gpu_exclude_nondeterministic_ops`, which is a part of it: that still chooses by time.
    options = {"xla_gpu_deterministic_ops": "True"}
    if not cpu.known(options):
        raise UserError(
            "deterministic: got True with a jaxlib that knows no xla_gpu_deterministic_ops, "
            "expected one that does"
        )
    return options
