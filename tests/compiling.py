"""How the tests compile: soon, since most of their time goes into compiling."""

from importlib.metadata import version

# XLA of JAX 0.10 still has an older generator of code, which is four times as fast as the one that
# users have. Later ones do not, and end the process at a flag that they do not know.
_HAS_OLDER = version("jaxlib").startswith("0.10.")

# For the environment, read once by each process; without LLVM's optimisations. Eight devices on two
# cores wait for each other: on a busy machine longer than 40 seconds, after which XLA aborts.
FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_collective_call_terminate_timeout_seconds=600"
# For `jax.jit(compiler_options=...)`: as it would be without these flags.
AS_USERS_DO = {"xla_backend_optimization_level": "3"}
if _HAS_OLDER:
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
    AS_USERS_DO["xla_cpu_use_fusion_emitters"] = "True"
