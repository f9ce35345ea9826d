"""Values and derivatives of maps of an array and a kernel, to compare two such maps."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def draw(*shape, dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def up_to_second(function, **options):
    """(x, kernel) -> value, first and second derivatives by both, in one compilation."""

    def loss(x, kernel):
        return jnp.sum(jnp.sin(function(x, kernel, **options)))

    def slopes(x, kernel):
        return sum(jnp.sum(jnp.cos(g)) for g in jax.grad(loss, (0, 1))(x, kernel))

    return jax.jit(
        lambda x, kernel: (
            function(x, kernel, **options),
            jax.grad(loss, (0, 1))(x, kernel),
            jax.grad(slopes, (0, 1))(x, kernel),
        ),
        # Compiles six times as fast, which is where the time of these tests goes.
        compiler_options={"xla_backend_optimization_level": 0},
    )


def grouped_by_lax(x, kernel, *, strides, padding):
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[3] // kernel.shape[2],
    )
