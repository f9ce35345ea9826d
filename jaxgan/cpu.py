"""What a process on CPU is told once, for its steps to be fast: how to compile, to keep memory."""

import ctypes
import functools
import os
from typing import Any

import jax

__all__ = ["compiler_options", "in_turn", "keep_memory", "known", "quick_options"]

# <malloc.h> of glibc: the parameters of mallopt.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_MOST = 2**31 - 1


def keep_memory() -> bool:
    """Makes glibc keep freed memory, for the next step to use again.

    A step on CPU takes and frees tens to hundreds of MB. By default glibc gives them back to the
    system each time, and each page of them costs a page fault when it is taken anew: 21,800 a step
    of the 28-pixel DCGAN, a tenth of its time. Call it once, before the first computation, since
    threads that have allocated keep to what they found, and after `jax.distributed.initialize`,
    since it asks JAX for the default device. The process then holds on to the most that it ever
    needed.

    Returns:
      Whether there was something to tell; False where the default device is no CPU, whose steps
      take their memory elsewhere, and on systems with another allocator.

    Examples:
      >>> import jaxgan
      >>> told = jaxgan.cpu.keep_memory()
    """
    if jax.default_backend() != "cpu":
        return False
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


def in_turn(result: Any) -> Any:
    """Waits, on CPU, for a result that lies on several devices.

    There the programs of all devices share as many threads as there are devices, and some of them
    wait for others: in a sum for the rest of the devices; with JAX 0.10, where 32 are on their way,
    for one of them to end. With several programs on their way all threads may come to wait, for
    ever.

    Args:
      result: pytree of arrays.

    Returns:
      `result`.

    Examples:
      >>> in_turn({"sum": jax.numpy.ones(3).sum()})["sum"]
      Array(3., dtype=float32)
    """
    arrays = [array for array in jax.tree.leaves(result) if isinstance(array, jax.Array)]
    several = any(len(array.sharding.device_set) > 1 for array in arrays)
    return jax.block_until_ready(result) if several and jax.default_backend() == "cpu" else result


def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` with which a train step runs fastest on CPU.

    XLA hands convolutions to one of two libraries. The one that it prefers takes up to twice as
    long for those of a GAN (64 x 32x32x64 to 16x16x128 by 4x4: 26 against 20 ms; gradients by
    weights 75 against 30): so it is left only products and sums, in which it is good. A step of the
    28-pixel DCGAN takes a quarter less time.

    Not among them is `xla_cpu_copy_insertion_use_region_analysis`, which saves an MLP's step a
    twentieth: with it XLA of JAX 0.12 computes wrong states, without a word, where a loop stands in
    another, as seeds in turn in a scan of five steps.

    Returns:
      For `jax.jit(step, compiler_options=...)`; empty where the default device is no CPU, or with a
      JAX whose XLA does not know them.

    Examples:
      >>> import jax, jaxgan
      >>> double = jax.jit(lambda x: 2 * x, compiler_options=jaxgan.cpu.compiler_options())
    """
    return known(_OPTIONS) if jax.default_backend() == "cpu" else {}


def quick_options() -> dict[str, str]:
    """Options of `jax.jit` for a program that runs once: it is compiled in a third of the time.

    The generator of random numbers is unrolled at each parameter of a network, and LLVM works
    longest on that: on the initialisation of a DCGAN's generator 7.9 seconds, or 2.8 at a low level
    of optimisation. The numbers are those of the default level to float32 rounding: with some XLA
    to the last bit, with others a few differ in their last place. The same machine and the same JAX
    always give the same ones.

    Returns:
      For `jax.jit(function, compiler_options=...)`; empty where the default device is no CPU, where
      the environment's XLA_FLAGS choose a level, or with a JAX whose XLA does not know the option.

    Examples:
      >>> import jax, jaxgan
      >>> key = jax.random.key(0)
      >>> draw = jax.jit(jax.random.normal, compiler_options=jaxgan.cpu.quick_options())
      >>> jax.numpy.allclose(draw(key), jax.random.normal(key))
      Array(True, dtype=bool)
    """
    if jax.default_backend() != "cpu" or _LEVEL in os.environ.get("XLA_FLAGS", ""):
        return {}
    return known({_LEVEL: "1"})


_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    ),
}


_LEVEL = "xla_backend_optimization_level"


def known(options: dict[str, str]) -> dict[str, str]:
    """The options of `jax.jit`, or none of them: XLA refuses those that it does not know."""
    return dict(options) if _compiles(tuple(options.items())) else {}


@functools.cache
def _compiles(options: tuple[tuple[str, str], ...]) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
