"""Freed memory is kept, in a process of its own, since this one's allocator is shared."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import jax
import jax.numpy as jnp
from jaxgan import allocator

told = {tell} and allocator.keep_memory()
step = jax.jit(lambda x: jnp.sin(x).reshape(2, -1) @ jnp.cos(x).reshape(-1, 2))
x = jnp.ones(1 << 22)
for _ in range(5):
    step(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step(x).block_until_ready()
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(tell):
    program = PROGRAM.format(tell=tell)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    told, count = result.stdout.split()
    return bool(int(told)), int(count)


def test_steps_after_the_first_cost_no_page_faults():
    told, kept = faults(True)
    if not told:
        pytest.skip("no glibc here")
    _, default = faults(False)
    assert default > 1000
    assert kept < default / 10
