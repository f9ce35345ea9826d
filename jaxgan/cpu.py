"""What a process on CPU is told once, for its steps to be fast: how to compile, to keep memory."""

import ctypes
import functools
import os

import jax

__all__ = ["compiler_options", "keep_memory", "quick_options"]

# <malloc.h> of glibc: the parameters of mallopt.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_MOST = 2**31 - 1


def keep_memory() -> bool:
    """Makes glibc keep freed memory, for the next step to use again.

    A step on CPU takes and frees tens to hundreds of MB. By default glibc gives them back to the
    system each time, and each page of them costs a page fault when it is taken anew: 21,800 a step
    of the 28-pixel DCGAN, a tenth of its time. Call it once, before the first computation, since
    threads that have allocated keep to what they found. The process then holds on to the most that
    it ever needed.

    Returns:
      Whether there was something to tell; False on systems with another allocator.

    Example:
      >>> import jaxgan
      >>> told = jaxgan.cpu.keep_memory()
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    settings = {
        _MMAP_MAX: 0,  # large blocks too come from the heap, where they can be used again
        _TRIM_THRESHOLD: _MOST,
        _TOP_PAD: 64 << 20,
        _ARENA_MAX: 1,  # one heap for all threads: those of other threads are cut up and trimmed
    }
    told = [mallopt(parameter, value) for parameter, value in settings.items()]
    return all(told)


def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` with which a train step runs fastest on CPU.

    XLA hands convolutions to one of two libraries. The one that it prefers takes up to twice as
    long for those of a GAN (64 x 32x32x64 to 16x16x128 by 4x4: 26 against 20 ms; gradients by
    weights 75 against 30): so it is left only products and sums, in which it is good. A step of the
    28-pixel DCGAN takes a quarter less time. And it looks more closely which of the donated arrays
    need no copy, which saves an MLP's step a twentieth.

    Returns:
      For `jax.jit(step, compiler_options=...)`; empty where the default device is no CPU, or with a
      JAX whose XLA does not know them.

    Example:
      >>> import jax, jaxgan
      >>> double = jax.jit(lambda x: 2 * x, compiler_options=jaxgan.cpu.compiler_options())
    """
    return dict(_OPTIONS) if jax.default_backend() == "cpu" and _known() else {}


def quick_options() -> dict[str, str]:
    """Options of `jax.jit` for a program that runs once: it is compiled in a third of the time.

    The generator of random numbers is laid open at each parameter of a network, and LLVM works
    longest on that: on the initialisation of a DCGAN's generator 7.9 seconds, or 2.8 at its lowest
    level of optimisation that gives the same numbers, to the last bit.

    Returns:
      For `jax.jit(function, compiler_options=...)`; empty where the default device is no CPU, or
      where the environment's XLA_FLAGS choose a level.

    Example:
      >>> import jax, jaxgan
      >>> key = jax.random.key(0)
      >>> draw = jax.jit(jax.random.normal, compiler_options=jaxgan.cpu.quick_options())
      >>> draw(key) == jax.random.normal(key)
      Array(True, dtype=bool)
    """
    level = "xla_backend_optimization_level"
    chosen = level in os.environ.get("XLA_FLAGS", "")
    return {} if chosen or jax.default_backend() != "cpu" else {level: "1"}


_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    ),
    "xla_cpu_copy_insertion_use_region_analysis": "True",
}


@functools.cache
def _known() -> bool:
    """An experimental option can go, and XLA refuses options that it does not know."""
    try:
        jax.jit(lambda: 0, compiler_options=_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
