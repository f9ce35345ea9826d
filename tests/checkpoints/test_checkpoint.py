"""Checkpoints: whole, on any number of devices, and refused where they do not fit."""

import shutil

import grain
import jax
import numpy as np
import pytest
import tiny
from looped import FEW_AHEAD

from jaxgan import UserError, load_generator, networks
from jaxgan.checkpoints import checkpoint
from jaxgan.inference.load import measure_statistics
from jaxgan.inputs import Latents
from jaxgan.training import sharding


def data():
    numbers = grain.MapDataset.range(100).shuffle(seed=0).repeat().batch(4)
    return iter(numbers.to_iter_dataset(FEW_AHEAD))


def description(generator):
    return {
        "generator": networks.describe(generator),
        "latent_dim": tiny.LATENT_DIM,
        "latent": "normal",
    }


@pytest.fixture(scope="module")
def trained():
    """A state after two steps, on one device."""
    state, step = tiny.state(), jax.jit(tiny.step())
    for _ in range(2):
        state, _ = step(state, tiny.batch())
    return state


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A folder with one checkpoint, written from eight devices, and the data's next batch."""
    workdir = tmp_path_factory.mktemp("run")
    iterator = data()
    for _ in range(3):
        next(iterator)
    with checkpoint.open_checkpoints(workdir, keep=1) as manager:
        state = sharding.replicate(trained, sharding.make_mesh())
        checkpoint.save(manager, state, iterator.get_state(), description(tiny.players()[0]))
    return workdir, next(iterator)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_restores_on_any_number_of_devices(run, trained, devices):
    workdir, following = run
    mesh = sharding.make_mesh(jax.devices()[:devices])
    fresh, iterator = sharding.replicate(tiny.state(seed=1), mesh), data()
    with checkpoint.open_checkpoints(workdir) as manager:
        assert manager.latest_step() == 2
        restored = checkpoint.restore(manager, 2, fresh, iterator)
    assert tiny.difference(restored, trained) == 0
    assert len(restored.generator.params["Dense_0"]["kernel"].sharding.device_set) == devices
    np.testing.assert_array_equal(next(iterator), following)


def test_the_position_of_another_number_of_processes_is_taken_up(run, tmp_path):
    workdir, following = run
    shutil.copytree(workdir, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints" / "2" / "data"
    written = folder / "process_0-of-1.json"
    for process in range(2):
        shutil.copy(written, folder / f"process_{process}-of-2.json")
    written.unlink()
    iterator = data()
    with checkpoint.open_checkpoints(tmp_path / "run") as manager:
        checkpoint.restore(manager, 2, tiny.state(seed=1), iterator)
    np.testing.assert_array_equal(next(iterator), following)


def test_a_checkpoint_of_one_device_restores_on_eight(trained, tmp_path, mesh):
    with checkpoint.open_checkpoints(tmp_path, keep=1) as manager:
        checkpoint.save(manager, trained, data().get_state(), {})
        manager.wait_until_finished()
        fresh = sharding.replicate(tiny.state(seed=1), mesh)
        restored = checkpoint.restore(manager, 2, fresh, data())
    assert tiny.difference(restored, trained) == 0
    assert len(restored.key.sharding.device_set) == 8


def test_saving_is_safe_under_donation(tmp_path):
    """What is saved is the state of that moment, though the next step overwrites its memory."""
    step = jax.jit(tiny.step(), donate_argnums=0)
    state, _ = step(tiny.state(), tiny.batch())
    expected = jax.tree.map(
        lambda x: np.array(x) if x.dtype != state.key.dtype else None, state.generator.params
    )
    with checkpoint.open_checkpoints(tmp_path, keep=1) as manager:
        checkpoint.save(manager, state, data().get_state(), {})
        for _ in range(3):
            state, _ = step(state, tiny.batch())
        manager.wait_until_finished()
        restored = checkpoint.restore(manager, 1, tiny.state(seed=1), data())
    assert tiny.difference(restored.generator.params, expected) == 0


def test_its_files_are_on_the_disk_before_it_has_its_name(trained, tmp_path, monkeypatch):
    """As of any file, what a loss of power would leave is told by the order of the calls."""
    synced, sealed = {"temporary": set(), "2": set()}, set()

    def record(path):
        folder, *name = (*path.relative_to(tmp_path / "checkpoints").parts, "")
        synced["2" if folder == "2" else "temporary"].add("/".join(name[:-1]))

    def seal(folder):
        sealed.update(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        assert sealed <= synced["temporary"] | synced["2"]

    monkeypatch.setattr(checkpoint, "sync", record)
    monkeypatch.setattr(checkpoint.digests, "write_file_digests", seal)
    with checkpoint.open_checkpoints(tmp_path, keep=1) as manager:
        checkpoint.save(manager, trained, data().get_state(), {})
    assert len(sealed) > 10
    # Orbax writes that it has written all just before the name, and reads it nowhere.
    assert sealed - synced["temporary"] <= {"commit_success.txt"}


def test_another_architecture_is_refused(run):
    wide = networks.DCGANGenerator(4, (8, 6), 1, 3, True)
    state = tiny.state()
    variables = wide.init(jax.random.key(0), np.zeros((1, tiny.LATENT_DIM), np.float32))
    other = state.replace(generator=state.generator.replace(params=variables["params"]))
    iterator = data()
    before = iterator.get_state()
    with checkpoint.open_checkpoints(run[0]) as manager:
        with pytest.raises(UserError, match="is of another architecture: generator/params/"):
            checkpoint.restore(manager, 2, other, iterator)
        with pytest.raises(UserError, match="another architecture: generator/ema_params/"):
            checkpoint.restore(manager, 2, tiny.state(ema=False), iterator)
    assert iterator.get_state() == before


@pytest.mark.parametrize("ema", [True, False])
def test_load_generator(run, trained, ema):
    generate = load_generator(run[0], ema=ema)
    assert (generate.inputs, generate.step) == ({"latents": (5, "normal")}, 2)
    latents = jax.random.normal(jax.random.key(3), (4, 5))
    generator, _ = tiny.players()
    player = trained.generator
    variables = player.variables
    if ema:
        variables = measure_statistics(generator, player.ema_variables, (("latents", Latents(5)),))
    expected = (generator.apply(variables, latents, train=False) + 1) / 2
    np.testing.assert_allclose(generate(latents), expected, atol=1e-6)
    with pytest.raises(UserError, match=r"latents: got float32 of shape \(4, 6\), expected floats"):
        generate(np.zeros((4, 6)))


def test_statistics_are_those_of_truncated_latents(run):
    """Batch norm brings what small latents make to the mean and deviation that others have."""
    latents = jax.random.truncated_normal(jax.random.key(3), -0.1, 0.1, (64, 5))
    near, far = (load_generator(run[0], truncation=bound)(latents) for bound in (0.1, None))
    assert np.std(near) > 2 * np.std(far)


def test_load_generator_with_a_network_of_ones_own(run):
    generate = load_generator(run[0], generator=tiny.players()[0])
    assert generate(np.zeros((1, 5), np.float32)).shape == (1, *tiny.IMAGE_SHAPE)


def test_load_generator_refuses_what_is_not_there(run, tmp_path):
    with pytest.raises(UserError, match="has no checkpoints, expected the folder of a run"):
        load_generator(tmp_path)
    with pytest.raises(UserError, match=r"step: got 7, expected one of \[2\]"):
        load_generator(run[0], step=7)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="has no finished checkpoint yet"):
        load_generator(tmp_path)
