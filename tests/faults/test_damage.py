"""Whatever happens to a file of a checkpoint, it is found, and the checkpoint before is used."""

import json
import os
import random
import shutil

import grain
import jax
import jax.numpy as jnp
import looped
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny

from jaxgan import UserError, load_generator, networks
from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.best import BestCheckpoint
from jaxgan.checkpoints.digests import digest_arrays
from jaxgan.checkpoints.undamaged import restore_newest
from jaxgan.evaluation.cache import load_or_compute
from jaxgan.inference.captions import restore_stage
from jaxgan.inference.load import restore_player
from jaxgan.state import Player, TrainState
from jaxgan.training.workdir import open_workdir

CONFIG = {"seed": 0, "widths": [2, 3]}


def emptied(content, rng):
    return b""


def halved(content, rng):
    return content[: len(content) // 2]


def flipped(content, rng):
    bit = rng.randrange(8 * len(content))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


DAMAGES = [emptied, halved, flipped]


def data():
    numbers = grain.MapDataset.range(100).shuffle(seed=0).repeat().batch(4)
    return iter(numbers.to_iter_dataset(looped.FEW_AHEAD))


def description():
    generator = networks.describe(tiny.players()[0])
    known = {"latent_dim": tiny.LATENT_DIM, "latent": "normal", "vocabulary": None}
    return {"generator": generator, "stage_one": None, "config": CONFIG, **known}


def at(step):
    """A state like no other step's."""
    state = jax.tree.map(lambda x: x + step if x.dtype == np.float32 else x, tiny.state(ema=False))
    return state.replace(step=jnp.int32(step))


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def damage(path, how, rng=None):
    path.write_bytes(how(path.read_bytes(), rng or random.Random(0)))


def largest(folder):
    return max(files(folder), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with the checkpoints of steps 1 and 2, and the states."""
    return save_two(tmp_path_factory.mktemp("run"), {1: at(1), 2: at(2)})


def save_two(workdir, states):
    batches = data()
    with checkpoint.open_checkpoints(workdir, keep=3) as manager:
        for state in states.values():
            next(batches)
            checkpoint.save(manager, state, batches.get_state(), description())
    return workdir, states


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    return tmp_path / "run"


def resume(workdir, fresh=None):
    """As training does; the step, the state and the data's next batch."""
    batches, fresh = data(), at(5) if fresh is None else fresh
    with checkpoint.open_checkpoints(workdir, keep=3) as manager:
        step, state = restore_newest(manager, fresh, batches)
    return step, state, next(batches)


def following(step):
    """The batch that comes after the checkpoint of a step."""
    batches = data()
    return [next(batches) for _ in range(step + 1)][-1]


def small(step):
    """A state of a few arrays, which is soon read, for what is tried on every file."""
    rng = np.random.default_rng(step)

    def player():
        params = {"kernel": rng.normal(size=(8, 8)).astype(np.float32)}
        return Player(params, {}, {"mean": jnp.asarray(params["kernel"] ** 2)})

    return TrainState(jnp.int32(step), jax.random.key(step), player(), player())


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Like `run`, with states of a few arrays."""
    return save_two(tmp_path_factory.mktemp("small"), {1: small(1), 2: small(2)})


def damaged_in_turn(workdir, how):
    """Damages each file of step 2, the others being whole; gives its path and the resumed run."""
    rng, folder = random.Random(how.__name__), workdir / "checkpoints" / "2"
    for path in files(folder):
        whole = path.read_bytes()
        damage(path, how, rng)
        yield path, resume(workdir, small(5))
        if not folder.exists():
            os.rename(workdir / "damaged" / "2", folder)
        path.write_bytes(whole)


@pytest.mark.parametrize("how", DAMAGES)
def test_every_file_is_checked(small_run, tally, capsys, how):
    workdir, states = small_run
    found = {}
    for path, (step, state, batch) in damaged_in_turn(workdir, how):
        name = path.relative_to(workdir / "checkpoints" / "2").as_posix()
        warning = f"warning: the checkpoint of step 2 in {workdir} is damaged ({name} "
        found[name] = (
            step == 1
            and tiny.difference(state, states[1]) == 0
            and np.array_equal(batch, following(1))
            and warning in capsys.readouterr().err
            and (workdir / "damaged" / "2").is_dir()
            and not (workdir / "checkpoints" / "2").exists()
        )
    tally("damages found", sum(found.values()), len(found))
    assert len(found) > 15
    assert all(found.values()), found


# TensorStore's threads still answer Orbax, which has stopped listening at the first error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", DAMAGES)
def test_killed_before_its_files_have_digests_it_is_never_taken_for_right(small_run, tmp_path, how):
    """The digests of the arrays decide: what is restored is what was saved, or the one before."""
    _, states = small_run
    workdir = shutil.copytree(small_run[0], tmp_path / "run")
    (workdir / "checkpoints" / "2" / "SHA256SUMS").unlink()
    steps = []
    for path, (step, state, batch) in damaged_in_turn(workdir, how):
        assert tiny.difference(state, states[step]) == 0, path
        np.testing.assert_array_equal(batch, following(step))
        steps.append(step)
    assert set(steps) == {1, 2}  # not all that Orbax writes is needed


def test_a_missing_file_is_found(copy):
    largest(copy / "checkpoints" / "2").unlink()
    assert resume(copy)[0] == 1


def test_without_damage_the_newest_is_taken_and_nothing_said(run, copy, capsys):
    step, state, batch = resume(copy)
    assert step == 2
    assert tiny.difference(state, run[1][2]) == 0
    np.testing.assert_array_equal(batch, following(2))
    assert capsys.readouterr().err == ""
    assert not (copy / "damaged").exists()


def test_arrays_are_checked_where_the_files_are_as_they_were_written(tmp_path):
    """What goes wrong in memory before the files are written is found as well."""
    state, wrong = at(3), at(4).replace(step=jnp.int32(3))
    with checkpoint.open_checkpoints(tmp_path, keep=3) as manager:
        checkpoint.save(manager, at(1), data().get_state(), {})
        checkpoint.save(manager, wrong, data().get_state(), {}, digest_arrays(state))
    with checkpoint.open_checkpoints(tmp_path) as manager:
        for read in (
            lambda: checkpoint.restore(manager, 3, at(5), data()),
            lambda: checkpoint.restore_player(manager, 3, "generator", ema=False),
        ):
            with pytest.raises(checkpoint.Damaged, match=r"step 3 in .* \(generator/\S+ is not as"):
                read()
    assert resume(tmp_path)[0] == 1


def test_a_checkpoint_without_digests_loads_as_ever(tmp_path, capsys):
    """As it was written before there were any."""
    with checkpoint.open_checkpoints(tmp_path, keep=3) as manager:
        for step in (1, 2):
            batches = data()
            next(batches)
            args = ocp.args.Composite(
                state=ocp.args.PyTreeSave(at(step)),
                data=grain.checkpoint.CheckpointSave(batches),
                description=ocp.args.JsonSave(description()),
            )
            manager.save(step, args=args, force=True)
    step, state, batch = resume(tmp_path)
    assert step == 2
    assert tiny.difference(state, at(2)) == 0
    np.testing.assert_array_equal(batch, following(1))
    assert load_generator(tmp_path).step == 2
    assert capsys.readouterr().err == ""
    # Of what is plainly damaged the one before is used here, too.
    damage(tmp_path / "checkpoints" / "2" / "data" / "process_0-of-1.json", emptied)
    assert resume(tmp_path)[0] == 1


def read_stage(workdir, **options):
    return restore_stage(workdir, ema=False, **options).step


def read_player(workdir, step=None):
    return restore_player(workdir, step, "discriminator")[0]


def read_generator(workdir, **options):
    return load_generator(workdir, **options).step


READERS = [read_generator, read_player, read_stage]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("sealed", [True, False])
def test_readers_take_the_one_before_and_move_nothing(copy, capsys, read, sealed):
    newest = copy / "checkpoints" / "2"
    if sealed:
        damage(largest(newest / "state" / "ocdbt.process_0"), flipped)
    else:
        damage(newest / "description" / "metadata", flipped)
        (newest / "SHA256SUMS").unlink()
    before = files(copy)
    assert read(copy) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"warning: the checkpoint of step 2 in {copy} is damaged (")
    assert told.endswith("; using that of step 1\n")
    assert files(copy) == before


@pytest.mark.parametrize("read", READERS)
def test_readers_are_told_of_the_damage_of_the_one_they_ask_for(copy, read):
    damage(largest(copy / "checkpoints" / "2"), flipped)
    with pytest.raises(
        UserError, match=r"step: the checkpoint of step 2 .* is damaged .*; undamaged are \[1\]"
    ):
        read(copy, step=2)
    assert read(copy, step=1) == 1


def test_where_all_are_damaged_nothing_starts_anew(copy):
    for step in "12":
        damage(largest(copy / "checkpoints" / step), flipped)
    before = files(copy)
    for use in (resume, resume, read_generator):
        with pytest.raises(UserError) as error:
            use(copy)
        assert f"workdir: {copy} has no checkpoint that is not damaged" in str(error.value)
        assert "step 2" in str(error.value)
        assert "\n" not in str(error.value)
    assert files(copy) == before


@pytest.fixture(scope="module")
def step():
    return tiny.steps()


@pytest.fixture(scope="module")
def unbroken(step, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    return workdir, looped.train(workdir, step)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_run_goes_on_from_the_one_before_as_if_nothing_was(unbroken, step, tmp_path, capsys, how):
    workdir = tmp_path / "run"
    looped.train(workdir, step, num_steps=8)
    damage(largest(workdir / "checkpoints" / "8"), how)
    for name in ("summary.json", "config.json"):
        damage(workdir / name, how if how is not flipped else halved)
    capsys.readouterr()
    state = looped.train(workdir, step)
    told = capsys.readouterr().err
    assert told.count("is damaged") == 1
    assert "goes on from the checkpoint of step 4" in told
    assert tiny.difference(state, unbroken[1]) == 0
    assert (workdir / "damaged" / "8").is_dir()
    assert [row["step"] for row in looped.rows(workdir)] == [
        row["step"] for row in looped.rows(unbroken[0])
    ]
    assert json.loads((workdir / "summary.json").read_text())["status"] == "finished"
    assert json.loads((workdir / "config.json").read_text()) == {"seed": 0}


@pytest.mark.parametrize("how", [emptied, halved])
def test_a_damaged_config_is_known_from_the_newest_checkpoint(copy, how):
    (copy / "config.json").write_text(json.dumps(CONFIG, indent=2))
    damage(copy / "config.json", how)
    damage(copy / "checkpoints" / "2" / "description" / "metadata", how)
    assert open_workdir(copy, {"seed": 0, "widths": (2, 3)}) == copy
    with pytest.raises(UserError, match=r"another config \(seed was 0 and is 1\)"):
        open_workdir(copy, {**CONFIG, "seed": 1})


@pytest.mark.parametrize("how", [emptied, halved])
def test_a_damaged_config_of_a_run_without_checkpoints_is_none(tmp_path, how):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    damage(tmp_path / "config.json", how)
    assert open_workdir(tmp_path, {"seed": 1}) == tmp_path


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch, how):
    monkeypatch.setenv("HOME", str(tmp_path))
    features = {"x": np.arange(1000.0), "y": np.ones((3, 4))}
    calls = []

    def compute():
        calls.append(1)
        return features

    load_or_compute({"of": "test"}, compute)
    for attempt in range(20):
        damage(files(tmp_path)[0], how, random.Random(attempt))
        for _ in range(2):
            read = load_or_compute({"of": "test"}, compute)
            np.testing.assert_equal(read, features)
    # A bit that says nothing, such as a file's date, may be any.
    assert 10 < len(calls) <= 21


def test_a_damaged_best_checkpoint_is_set_aside_and_the_next_one_kept(tmp_path, capsys):
    with BestCheckpoint(tmp_path, "fid", "min") as best:
        best.consider({"fid": 1.0}, at(1), {}, description())
    damage(largest(tmp_path / "best" / "checkpoints" / "1"), flipped)
    with BestCheckpoint(tmp_path, "fid", "min") as best:
        assert "the checkpoint of step 1" in capsys.readouterr().err
        assert best.consider({"fid": 2.0}, at(2), {}, description()) == 2.0
    assert (tmp_path / "best" / "damaged" / "1").is_dir()
    assert load_generator(tmp_path / "best").step == 2


def test_the_best_checkpoint_goes_only_when_the_next_one_stands(tmp_path, monkeypatch):
    """Also where that is of the same step: a run that was rolled back comes by it again."""
    with BestCheckpoint(tmp_path, "fid", "min") as best:
        best.consider({"fid": 2.0}, at(1), {}, description())

    class Killed(BaseException):
        pass

    def kill(*arguments):
        raise Killed

    with BestCheckpoint(tmp_path, "fid", "min") as best:
        monkeypatch.setattr(checkpoint, "save", kill)
        with pytest.raises(Killed):
            best.consider({"fid": 1.0}, at(1), {}, description())
        monkeypatch.undo()
    with BestCheckpoint(tmp_path, "fid", "min") as best:
        assert load_generator(tmp_path / "best").step == 1
        assert best.consider({"fid": 2.0}, at(1), {}, description()) is None
        assert best.consider({"fid": 1.0}, at(1), {}, description()) == 1.0
    kept = [path.name for path in (tmp_path / "best").iterdir()]
    assert kept == ["checkpoints"]
    assert jax.tree.leaves(restore_player(tmp_path / "best", 1, "generator")[2])
