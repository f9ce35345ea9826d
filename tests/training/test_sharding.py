"""Where the examples of a batch and the copies of a state go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.training import sharding


def test_every_device_takes_its_stretch_of_the_examples(mesh):
    images = np.arange(32.0).reshape(16, 2)
    batch = sharding.shard_batch({"image": images}, mesh)
    for number, shard in enumerate(batch["image"].addressable_shards):
        np.testing.assert_array_equal(shard.data, images[2 * number : 2 * number + 2])


def test_of_several_steps_batches_the_examples_are_shared_and_not_the_steps(mesh):
    images = np.arange(96.0).reshape(3, 16, 2)
    batches = sharding.shard_batch({"image": images}, mesh, stacked=True)
    for number, shard in enumerate(batches["image"].addressable_shards):
        np.testing.assert_array_equal(shard.data, images[:, 2 * number : 2 * number + 2])


def test_a_state_is_whole_on_every_device_keys_too(mesh):
    state = {"params": jnp.arange(3.0), "key": jax.random.key(7)}
    copies = sharding.replicate(state, mesh)
    for leaf in (copies["params"], jax.random.key_data(copies["key"])):
        assert leaf.sharding.is_fully_replicated
        assert len(leaf.sharding.device_set) == 8
    np.testing.assert_array_equal(copies["params"], state["params"])
    assert jax.random.uniform(copies["key"]) == jax.random.uniform(state["key"])


@pytest.mark.parametrize("batch_size", [0, -8, 4, 12])
def test_a_batch_that_the_devices_do_not_divide_is_refused(mesh, batch_size):
    sharding.check_batch_size(16, mesh)
    with pytest.raises(UserError, match=rf"^batch_size: got {batch_size}, expected a positive mul"):
        sharding.check_batch_size(batch_size, mesh)
