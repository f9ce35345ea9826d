"""The run's folder: what is refused leaves everything as it was."""

import json

import pytest

from jaxgan import UserError
from jaxgan.runs.recorder import Recorder, save_config
from jaxgan.training.workdir import check_workdir, lock_workdir, open_workdir


def test_makes_the_folder_and_keeps_the_config(tmp_path):
    folder = open_workdir(tmp_path / "a" / "b", {"seed": 1, "widths": (2, 3)})
    save_config(folder, {"seed": 1, "widths": (2, 3)})
    assert json.loads((folder / "config.json").read_text()) == {"seed": 1, "widths": [2, 3]}
    assert open_workdir(folder, {"seed": 1, "widths": (2, 3)}) == folder


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path):
    save_config(tmp_path, {"seed": 1, "latent": "normal", "old": 0})
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(UserError) as error:
        open_workdir(tmp_path, {"seed": 2, "latent": "normal", "new": 0})
    message = str(error.value)
    assert "seed was 1 and is 2" in message
    assert "old was 0 and is None" in message
    assert "new was None and is 0" in message
    assert "latent" not in message
    assert "\n" not in message
    assert (tmp_path / "config.json").read_text() == before
    assert open_workdir(tmp_path, {"seed": 2}, change_config=True) == tmp_path


def test_a_run_of_before_a_field_goes_on_where_that_says_what_was_done(tmp_path):
    save_config(open_workdir(tmp_path, {"seed": 0}), {"seed": 0})
    check_workdir(tmp_path, {"seed": 0, "micro_batches": 1})
    with pytest.raises(UserError, match=r"\(micro_batches was 1 and is 2\)"):
        check_workdir(tmp_path, {"seed": 0, "micro_batches": 2})


def test_a_run_goes_on_where_its_state_is_cut_otherwise(tmp_path):
    config = {"seed": 0, "shard_state": False, "model_devices": 1}
    save_config(open_workdir(tmp_path, config), config)
    check_workdir(tmp_path, {**config, "shard_state": True, "model_devices": 2})


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with lock_workdir(tmp_path):
        with (
            pytest.raises(UserError, match=r"workdir: got .*, where another run is writing"),
            lock_workdir(tmp_path),
        ):
            pass
        assert list(tmp_path.iterdir()) == []
    with lock_workdir(tmp_path):
        pass


def test_an_empty_path_is_refused():
    # As an unset shell variable gives it: the run would fill the current folder.
    with pytest.raises(UserError, match="workdir: got an empty path"):
        open_workdir("", {})


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"workdir: got .*, expected a folder to write to"):
        open_workdir(tmp_path / place, {})
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    # The suite may run as root, to whom everything is writable.
    monkeypatch.setattr("jaxgan.training.workdir.os.access", lambda path, mode: False)
    with pytest.raises(UserError, match="expected a folder that can be written to"):
        open_workdir(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    # But not what a checkpoint that is being written or deleted holds: that is Orbax's.
    half_written = [tmp_path / ".metrics.jsonl.tmp", tmp_path / "samples" / ".samples_5.png.tmp"]
    of_a_checkpoint = tmp_path / "checkpoints" / "5.orbax-checkpoint-tmp" / ".array.tmp"
    for path in (*half_written, of_a_checkpoint):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Recorder(tmp_path, {}).begin(0, "")
    assert [path.exists() for path in half_written] == [False, False]
    assert of_a_checkpoint.exists()
