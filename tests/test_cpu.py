"""Freed memory is kept, in a process of its own, since this one's allocator is shared; which
libraries XLA calls."""

import functools
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from compiling import AS_USERS_DO

from jaxgan import cpu
from jaxgan.networks.convolution import conv
from jaxgan.state import init_variables
from jaxgan.training import sharding

PROGRAM = """
import resource
import jax
import jax.numpy as jnp
from jaxgan import cpu

told = {tell} and cpu.keep_memory()
step = jax.jit(lambda x: jnp.sin(x).reshape(2, -1) @ jnp.cos(x).reshape(-1, 2))
x = jnp.ones(1 << 22)
for _ in range(5):
    step(x).block_until_ready()
counts = []
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step(x).block_until_ready()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
# On a busy machine threads may need more memory at any moment, but then they have it.
print(int(told), min(counts))
"""


def faults(tell):
    program = PROGRAM.format(tell=tell)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    told, count = result.stdout.split()
    return bool(int(told)), int(count)


@pytest.mark.long
def test_steps_after_the_first_cost_no_page_faults():
    told, kept = faults(True)
    if not told:
        pytest.skip("no glibc here")
    _, default = faults(False)
    assert default > 1000
    assert kept < default / 10


@pytest.mark.parametrize(("backend", "told"), [("cpu", True), ("gpu", False), ("tpu", False)])
def test_only_a_process_on_cpu_tells_the_allocator(backend, told, monkeypatch):
    calls = []

    class Library:
        def __init__(self, name):
            pass

        def mallopt(self, parameter, value):
            calls.append((parameter, value))
            return 1

    monkeypatch.setattr(cpu.ctypes, "CDLL", Library)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert cpu.keep_memory() is told
    assert bool(calls) is told


JOINING = """
import sys
from jaxgan.training import experiment
from jaxgan.training.config import base_config

experiment.processes.join = lambda **_: print("join")
experiment.cpu.keep_memory = lambda: print("tell")
sys.argv = ["script.py", "--workdir=nowhere", "--distributed"]
experiment.run_experiment(lambda *_: print("train"), base_config)
"""


def test_an_experiment_asks_for_its_device_when_it_has_joined_the_others():
    result = subprocess.run(
        [sys.executable, "-c", JOINING],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1] / "experiments",
    )
    assert result.stdout.split() == ["join", "tell", "train"]


def test_compiler_options_are_known_and_change_which_library_convolves():
    x, kernel = jnp.ones((8, 28, 28, 32)), jnp.ones((5, 5, 32, 64))

    def libraries(**options):
        program = jax.jit(lambda x, kernel: conv(x, kernel, strides=2), **options)
        return "ynn_fusion" in program.lower(x, kernel).compile().as_text()

    if not libraries():
        pytest.skip("this XLA has one library")
    assert not libraries(compiler_options=cpu.compiler_options())


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("_OPTIONS", {"xla_cpu_of_another_age": "1"}, cpu.compiler_options),
        ("_LEVEL", "xla_level_of_another_age", cpu.quick_options),
    ],
)
def test_no_options_where_xla_does_not_know_them(name, value, options, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    assert options()
    monkeypatch.setattr(cpu, name, value)
    assert options() == {}


def test_no_options_on_other_platforms(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert cpu.compiler_options() == {}


def test_what_is_compiled_quickly_draws_the_same_numbers_to_rounding(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    quick = cpu.quick_options()
    generator, _ = tiny.players()
    inputs = jax.random.key(3), jnp.zeros((1, tiny.LATENT_DIM))
    found, expected = (
        jax.jit(generator.init, compiler_options=options)(*inputs)
        for options in ({**AS_USERS_DO, **quick}, AS_USERS_DO)
    )
    jax.tree.map(functools.partial(np.testing.assert_array_max_ulp, maxulp=4), found, expected)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert cpu.quick_options() == {}


def test_networks_are_initialised_within_other_programs_too(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    generator, _ = tiny.players()
    key, latents = jax.random.key(3), jnp.zeros((1, tiny.LATENT_DIM))
    alone = init_variables(generator, key, latents)
    for within in (
        jax.jit(lambda: init_variables(generator, key, latents))(),
        jax.vmap(lambda key: init_variables(generator, key, latents), out_axes=0)(key[None]),
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b.reshape(a.shape), atol=1e-6), alone, within
        )


def test_a_level_that_the_user_has_chosen_stays(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    assert cpu.quick_options() == {}


def test_what_lies_on_several_devices_is_waited_for(mesh):
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 200, lambda _, x: x @ x / 300, x).mean())
    everywhere = sharding.replicate(jnp.ones((300, 300)), mesh)
    slow(everywhere).block_until_ready()
    assert cpu.in_turn({"mean": slow(everywhere), "number": 3})["mean"].is_ready()
