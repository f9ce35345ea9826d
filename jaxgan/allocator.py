"""Memory of the process, on CPU."""

import ctypes

__all__ = ["keep_memory"]

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
      >>> told = jaxgan.allocator.keep_memory()
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
