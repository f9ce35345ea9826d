"""A state cut over devices: a device has its share, and the numbers are those of one device."""

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from looped import FEW_AHEAD

from jaxgan import UserError, losses, make_train_step, networks
from jaxgan.checkpoints import checkpoint
from jaxgan.methods import adversarial
from jaxgan.training import sharding

STEPS = 3


def make_game():
    """Layers large enough to be cut over `model`, and some too small to be cut at all."""
    generator = networks.DCGANGenerator(4, (128, 64), 1, 5, True)
    discriminator = networks.DCGANDiscriminator((64, 128), 5)
    return adversarial(generator, discriminator, latent_dim=40, loss=losses.non_saturating)


# Adam divides the smallest gradients by themselves, which magnifies rounding.
TX = optax.chain(optax.clip_by_global_norm(0.05), optax.sgd(0.5, momentum=0.9))


@pytest.fixture(scope="module")
def start():
    return make_game().init(jax.random.key(0), tiny.batch(), TX, TX, ema=True)


def train(state, objective, places=None, mesh=None):
    step = jax.jit(
        make_train_step(objective, TX, TX, ema_decay=0.9),
        out_shardings=(places, None) if places else None,
    )
    for seed in range(STEPS):
        batch = tiny.batch(seed=seed)
        state, metrics = step(state, sharding.shard_batch(batch, mesh) if mesh else batch)
    return state, metrics


@pytest.fixture(scope="module")
def on_one_device(start):
    return train(start, make_game())


@pytest.mark.parametrize(("over_data", "model"), [(True, 1), (False, 2), (True, 4), (True, 8)])
def test_a_cut_state_trains_as_one_that_is_whole(start, on_one_device, over_data, model):
    mesh = sharding.make_mesh(model=model)
    places = sharding.shard_state(start, mesh, over_data=over_data)
    objective = sharding.share_parameters(make_game(), mesh, over_data=over_data)
    state, metrics = train(sharding.place(start, places), objective, places, mesh)
    for name, value in on_one_device[1].items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-3, atol=1e-6, err_msg=name)
    whole = sharding.gather_parameters(state, mesh)
    for leaf in jax.tree.leaves((whole.generator.params, whole.discriminator.ema_params)):
        assert leaf.sharding.is_fully_replicated
    assert tiny.difference(jax.device_get(whole), jax.device_get(on_one_device[0])) < 1e-4


PLACES = {
    "one": lambda state: place(state, jax.devices()[:1]),
    "eight": lambda state: place(state, jax.devices()),
    "cut": lambda state: place(state, jax.devices(), over_data=True),
    "cut by both": lambda state: place(state, jax.devices(), model=2, over_data=True),
}


def place(state, devices, *, model=1, over_data=False):
    mesh = sharding.make_mesh(devices, model=model)
    return sharding.place(state, sharding.shard_state(state, mesh, over_data=over_data))


@pytest.fixture(scope="module")
def saved(start, tmp_path_factory):
    """Folders of a checkpoint, by where its state was."""
    folders = {}
    for name, put in PLACES.items():
        folders[name] = tmp_path_factory.mktemp(name)
        with checkpoint.open_checkpoints(folders[name], keep=1) as manager:
            checkpoint.save(manager, put(start), start_data().get_state(), {})
    return folders


@pytest.mark.parametrize("here", PLACES)
@pytest.mark.parametrize("there", PLACES)
def test_a_checkpoint_restores_wherever_the_state_is_now(start, saved, here, there):
    other = PLACES[there](jax.tree.map(jnp.zeros_like, start.replace(key=start.step)))
    other = other.replace(key=PLACES[there](start).key)
    with checkpoint.open_checkpoints(saved[here]) as manager:
        restored = checkpoint.restore(manager, 0, other, start_data())
    for ours, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(other), strict=True):
        assert ours.sharding == theirs.sharding
    assert tiny.difference(jax.device_get(restored), jax.device_get(start)) == 0


def start_data():
    return iter(grain.MapDataset.range(100).to_iter_dataset(FEW_AHEAD))


def _bytes_of_one(state):
    """What the first device holds of the players."""
    players = (state.generator, state.discriminator)
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(players))


def test_a_device_holds_its_share(start):
    mesh = sharding.make_mesh()
    copies = sharding.replicate(start, mesh)
    cut = sharding.place(start, sharding.shard_state(start, mesh, over_data=True))
    assert _bytes_of_one(cut) <= 1.1 * _bytes_of_one(copies) / 8
    assert tiny.difference(jax.device_get(cut), jax.device_get(start)) == 0


def test_averages_and_optimisers_are_cut_as_their_parameters(start):
    places = sharding.shard_state(start, sharding.make_mesh(model=2), over_data=True)
    player = places.generator
    trace = jax.tree.leaves(player.opt_state, is_leaf=lambda x: isinstance(x, optax.TraceState))
    (trace,) = [leaf.trace for leaf in trace if isinstance(leaf, optax.TraceState)]
    assert player.params == player.ema_params == trace
    kernel = player.params["Dense_0"]["kernel"].spec
    assert set(kernel) == {"data", "model"}


def test_small_arrays_and_all_else_are_whole(start):
    places = sharding.shard_state(start, sharding.make_mesh(), over_data=True)
    leaves = zip(jax.tree.leaves(start), jax.tree.leaves(places), strict=True)
    assert all(place.is_fully_replicated == (x.size < sharding.SMALLEST) for x, place in leaves)


def test_an_axis_that_both_divide_is_cut_by_both():
    mesh = sharding.make_mesh(model=2)
    state = tiny.state()
    params = {"kernel": jnp.zeros((3, 5, 5, 1024))}
    state = state.replace(generator=state.generator.replace(params=params))
    place = sharding.shard_state(state, mesh, over_data=True).generator.params["kernel"]
    assert place.shard_shape((3, 5, 5, 1024)) == (3, 5, 5, 128)


@pytest.mark.parametrize("model", [0, 3, 16])
def test_devices_that_model_does_not_divide_are_refused(model):
    with pytest.raises(UserError, match=rf"^model_devices: got {model}, expected a divisor of 8"):
        sharding.make_mesh(model=model)


@pytest.mark.parametrize("micro_batches", [0, 3, 4])
def test_parts_that_a_batch_does_not_have_are_refused(mesh, micro_batches):
    sharding.check_batch_size(16, mesh, 2)
    expected = rf"^micro_batches: got {micro_batches}, expected a divisor of 2, the"
    with pytest.raises(UserError, match=expected):
        sharding.check_batch_size(16, mesh, micro_batches)
