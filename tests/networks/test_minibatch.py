"""Minibatch discrimination: against loops over the batch, and on many devices."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.errors import UserError
from jaxgan.losses.penalties import r1
from jaxgan.networks.minibatch import MinibatchDiscrimination

KEY = jax.random.key(0)
LAYER = MinibatchDiscrimination(3, 2, kernel_init=nn.initializers.normal(0.3))


def draw(*shape, seed=0, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def paper(features, kernel):
    """Section 3.2 in loops, float64."""
    features = np.asarray(features, np.float64)
    tensor = np.asarray(kernel, np.float64).reshape(-1, 3, 2)
    matrices = np.einsum("ia,abc->ibc", features, tensor)
    closeness = np.zeros((len(features), 3))
    for i in range(len(features)):
        for j in range(len(features)):
            for b in range(3):
                closeness[i, b] += np.exp(-np.abs(matrices[i, b] - matrices[j, b]).sum())
    return np.concatenate([features, closeness], axis=1)


def test_value_is_the_papers():
    features = draw(6, 4)
    output, variables = LAYER.init_with_output(KEY, features)
    assert variables["params"]["kernel"].shape == (4, 6)
    np.testing.assert_allclose(output, paper(features, variables["params"]["kernel"]), rtol=1e-5)


def test_examples_all_alike_are_as_many_as_close_as_can_be():
    alike = jnp.tile(draw(1, 4), (6, 1))
    output, variables = LAYER.init_with_output(KEY, alike)
    np.testing.assert_allclose(output[:, 4:], 6, rtol=1e-6)
    apart = LAYER.apply(variables, 1e3 * draw(6, 4))
    np.testing.assert_allclose(apart[:, 4:], 1, rtol=1e-6)
    # The order of the batch is nothing to it.
    features = draw(6, 4, seed=1)
    np.testing.assert_allclose(
        LAYER.apply(variables, features[::-1])[::-1], LAYER.apply(variables, features), rtol=1e-5
    )


def test_the_gradient_is_the_finite_difference():
    with jax.enable_x64(True):
        features, weights = draw(5, 4, dtype=np.float64), draw(5, 7, seed=1, dtype=np.float64)
        step = 1e-2 * draw(5, 4, seed=2, dtype=np.float64)
        kernel = draw(4, 6, seed=3, dtype=np.float64)
        layer = LAYER.clone(dtype=jnp.float64)

        def value(features):
            return jnp.sum(weights * layer.apply({"params": {"kernel": kernel}}, features))

        actual = np.sum(np.asarray(jax.grad(value)(features) * step))

    def exact(sign):
        return np.sum(np.asarray(weights) * paper(features + sign * 1e-4 * step, kernel))

    with jax.enable_x64(True):
        np.testing.assert_allclose(actual, (exact(1) - exact(-1)) / 2e-4, rtol=1e-7)


def test_a_narrow_layer_compares_in_float32():
    features = draw(6, 4)
    variables = LAYER.init(KEY, features)
    output = LAYER.clone(dtype=jnp.bfloat16).apply(variables, features)
    assert output.dtype == jnp.bfloat16
    expected = LAYER.apply(variables, features)
    np.testing.assert_allclose(np.asarray(output, np.float32), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("check_vma", [True, False])
def test_the_whole_batch_counts_on_every_device(mesh, check_vma):
    features, weights = draw(16, 4), draw(16, 7, seed=1)
    variables = LAYER.init(KEY, features)

    def loss(layer, features, weights):
        return jnp.sum(weights * layer.apply(variables, features))

    def local(features, weights):
        mapped = LAYER.clone(axis_name="data")
        output = mapped.apply(variables, features)
        return output, jax.grad(loss, argnums=1)(mapped, features, weights)

    output, slope = jax.jit(
        jax.shard_map(
            local, mesh=mesh, in_specs=P("data"), out_specs=P("data"), check_vma=check_vma
        )
    )(*(jax.device_put(x, jax.NamedSharding(mesh, P("data"))) for x in (features, weights)))
    np.testing.assert_allclose(output, LAYER.apply(variables, features), rtol=1e-5, atol=1e-6)
    expected = jax.grad(loss, argnums=1)(LAYER, features, weights)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


def test_a_mapped_layer_is_initialised_outside_of_the_mapping():
    mapped = LAYER.clone(axis_name="data").init(KEY, draw(6, 4))
    jax.tree.map(np.testing.assert_array_equal, mapped, LAYER.init(KEY, draw(6, 4)))


def test_no_penalty_takes_it():
    variables = LAYER.init(KEY, draw(6, 4))
    with pytest.raises(UserError, match=r"^critic: got MinibatchDiscrimination in it"):
        r1(lambda x: LAYER.apply(variables, x).sum(1), draw(6, 4))


def test_maps_are_refused():
    with pytest.raises(UserError, match=r"^features: got shape \(2, 3, 3, 1\), expected \(B, A\)"):
        LAYER.init(KEY, draw(2, 3, 3, 1))
