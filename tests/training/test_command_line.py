"""What a command tells on stderr: its own words, and nothing of the libraries below it."""

import os
import subprocess
import sys

COMMAND = """
import jax

from jaxgan.training.command_line import reporting_errors

with reporting_errors():
    jax.block_until_ready(jax.jit(lambda x: jax.numpy.sin(x) @ x)(jax.numpy.ones((64, 64))))
    jax._src.xla_bridge.logger.warning("no GPU")
"""


def test_programs_from_the_cache_come_without_a_word_and_what_jax_warns_of_is_told(tmp_path):
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    for _ in range(2):
        told = subprocess.run(
            [sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True
        ).stderr.splitlines()
        assert len(told) == 1
        assert told[0].endswith("no GPU")
    assert any(tmp_path.iterdir())
