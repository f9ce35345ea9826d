"""Settings of the whole suite: eight simulated devices, and no silent broadcasting."""

import os

import compiling

# Before JAX is imported: the backend reads it once.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        compiling.FLAGS,
    ]
)
os.environ["JAX_PLATFORMS"] = "cpu"
# Quiet, for subprocesses and the TFDS tests alike.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import tempfile

# One cache of compiled programs for this session and the processes that it starts.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the workers of one session share it
    _cache = tempfile.TemporaryDirectory(prefix="jaxgan-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache.name
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Lines of Python in what is lowered are for those who read it, which no test does.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def _what_jax_keeps():
    """Lets go of what a module has traced, of which a worker would come to hold gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def mesh():
    """All eight devices along `data`."""
    from jaxgan.training import sharding

    return sharding.make_mesh()
