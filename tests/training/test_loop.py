"""The loop: what it leaves behind, and that nothing is lost when it is interrupted."""

import json
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from looped import (
    PowerCut,
    batches,
    interrupting,
    power_cut,
    rows,
    start,
    tensorboard_events,
    tensorboard_steps,
    train,
)
from PIL import Image, ImageSequence

from jaxgan import UserError, load_generator
from jaxgan.checkpoints import checkpoint
from jaxgan.runs import recorder
from jaxgan.training import sharding
from jaxgan.training.loop import Stopped


@pytest.fixture(scope="module")
def step():
    return tiny.steps()


@pytest.fixture(scope="module")
def unbroken(step, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("unbroken")
    return workdir, train(workdir, step)


def test_leaves_what_it_promises(unbroken):
    workdir, _ = unbroken
    names = {path.name for path in workdir.iterdir()}
    assert names == {
        *("config.json", "parameters.txt", "metrics.jsonl", "summary.json", "index.html"),
        *("checkpoints", "samples", "tensorboard", "losses.png", "progress.gif"),
    }
    assert {path.name for path in (workdir / "samples").iterdir()} == {
        "real.png",
        *(f"{name}_{step:06d}.png" for name in ("samples", "interpolation") for step in (0, 6, 12)),
    }
    with Image.open(workdir / "progress.gif") as animation:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(animation)]
    # Each shows what was drawn of the state at its step, 0, 6 and 12 of 15.
    assert [frame[5, 5] for frame in frames] == [0, 102, 204]
    assert json.loads((workdir / "summary.json").read_text())["status"] == "finished"
    assert sorted(int(p.name) for p in (workdir / "checkpoints").iterdir()) == [8, 12]


def test_metrics_are_means_over_the_interval(unbroken, step):
    train_rows = [row for row in rows(unbroken[0]) if "train/generator_loss" in row]
    assert [row["step"] for row in train_rows] == [2, 4, 6, 8, 10, 12]
    state, data, losses = start(), batches(), []
    for _ in range(4):
        state, metrics = step(state, jax.tree.map(lambda x: x[None], next(data)))
        losses.append(float(metrics["generator_loss"][0]))
    assert train_rows[1]["train/generator_loss"] == pytest.approx(np.mean(losses[2:]), rel=1e-6)
    evaluations = [row for row in rows(unbroken[0]) if "eval/accuracy_real" in row]
    assert [row["step"] for row in evaluations] == [6, 12]


def test_tensorboard_reads_the_same(unbroken):
    events = tensorboard_events(unbroken[0])
    assert events.SummaryMetadata("samples").plugin_data.plugin_name == "images"
    assert tensorboard_steps(events, "train/generator_loss") == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize("at", [3, 5, 9, 12])
def test_cut_off_anywhere_it_ends_where_the_unbroken_run_does(unbroken, step, tmp_path, at):
    with pytest.raises(PowerCut):
        train(tmp_path / "run", interrupting(step, at, power_cut))
    state = train(tmp_path / "run", step)
    assert tiny.difference(state, unbroken[1]) == 0
    again, expected = rows(tmp_path / "run"), rows(unbroken[0])
    assert [row["step"] for row in again] == [row["step"] for row in expected]
    for row, other in zip(again, expected, strict=True):
        row.pop("train/images_per_second", None)
        other.pop("train/images_per_second", None)
        assert row == pytest.approx(other, rel=1e-6)
    # Nor does TensorBoard know a step twice.
    events = tensorboard_events(tmp_path / "run")
    assert tensorboard_steps(events, "train/generator_loss") == [2, 4, 6, 8, 10, 12]


def test_what_was_logged_is_on_the_disk_before_a_checkpoint_says_so(step, tmp_path, monkeypatch):
    metrics, save, on_disk, saved = tmp_path / "run" / "metrics.jsonl", checkpoint.save, [""], []

    def sync(path):
        if path == metrics:
            on_disk.append(path.read_text())

    def saving(manager, state, *others):
        saved.append((int(state.step), json.loads(on_disk[-1].splitlines()[-1])["step"]))
        save(manager, state, *others)

    monkeypatch.setattr(recorder, "sync", sync)
    monkeypatch.setattr(checkpoint, "save", saving)
    train(tmp_path / "run", step)
    assert saved == [(4, 4), (8, 8), (12, 12)]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_stops(unbroken, step, tmp_path, name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"stopped by {name} after step 6, which is saved"):
        train(tmp_path / "run", interrupting(step, 6, lambda: os.kill(os.getpid(), number)))
    assert signal.getsignal(number) is before
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"].startswith(f"stopped: stopped by {name} after step 6")
    assert summary["step"] == 6
    assert tiny.difference(train(tmp_path / "run", step), unbroken[1]) == 0


def test_a_finished_run_is_left_alone(unbroken, step, capsys):
    workdir, state = unbroken
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file()}
    again = train(workdir, interrupting(step, 1, power_cut))
    assert tiny.difference(again, state) == 0
    assert "is finished: step 12 of 12" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file()} == before


def test_a_run_killed_before_its_last_pictures_draws_them(unbroken, step, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(unbroken[0], workdir)
    (workdir / "losses.png").unlink()
    summary = json.loads((workdir / "summary.json").read_text())
    (workdir / "summary.json").write_text(json.dumps({**summary, "status": "running"}))
    state = train(workdir, interrupting(step, 1, power_cut))
    assert tiny.difference(state, unbroken[1]) == 0
    assert (workdir / "losses.png").exists()
    assert json.loads((workdir / "summary.json").read_text())["status"] == "finished"
    assert rows(workdir) == rows(unbroken[0])


def test_parameters_that_are_not_finite_are_not_saved(step, tmp_path):
    """The metrics of a step come from the parameters before it, and are still finite."""

    def broken(state, batch):
        state, metrics = step(state, batch)
        factor = jnp.where(state.step == 8, jnp.nan, 1.0)
        params = jax.tree.map(lambda x: x * factor, state.generator.params)
        return state.replace(generator=state.generator.replace(params=params)), metrics

    with pytest.raises(UserError, match=r"step 8: the new state is nan; .* checkpoint of step 4"):
        train(tmp_path / "run", broken)
    with checkpoint.open_checkpoints(tmp_path / "run") as manager:
        assert manager.latest_step() == 4


def test_a_picture_of_the_users_own_is_left_alone(step, tmp_path):
    workdir = tmp_path / "run"
    train(workdir, step, num_steps=4)
    Image.new("L", (2, 2)).save(workdir / "samples" / "my_best.png")
    train(workdir, step, num_steps=6)
    assert (workdir / "samples" / "my_best.png").exists()
    with pytest.raises(UserError, match=r"num_steps: got 5, but .* has done 6"):
        train(workdir, step, num_steps=5)


def test_a_loss_that_is_not_finite_stops_the_run(step, tmp_path):
    def broken(state, batch):
        state, metrics = step(state, batch)
        factor = jnp.where(state.step == 7, jnp.nan, 1.0)
        return state, {**metrics, "generator_loss": metrics["generator_loss"] * factor}

    with pytest.raises(UserError) as error:
        train(tmp_path / "run", broken)
    message = str(error.value)
    assert message.startswith("step 7: generator_loss is nan; last finite metrics, at step 6: ")
    assert "discriminator_loss " in message
    assert message.endswith("to go back to: the checkpoint of step 4")
    assert "\n" not in message
    with checkpoint.open_checkpoints(tmp_path / "run") as manager:
        assert manager.latest_step() == 4
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"] == f"stopped: {message}"


def test_several_steps_a_call_are_the_same_steps(unbroken, tmp_path):
    """Cut off in the middle, too: the data goes on where the last checkpoint stood."""
    twos = tiny.steps()
    with pytest.raises(PowerCut):
        # Three would not divide the intervals, and so it is two.
        train(tmp_path / "run", interrupting(twos, 4, power_cut), steps_per_call=3)
    state = train(tmp_path / "run", twos, steps_per_call=3)
    assert twos._cache_size() == 1
    assert tiny.difference(state, unbroken[1]) < 1e-5
    again, expected = rows(tmp_path / "run"), rows(unbroken[0])
    assert [row["step"] for row in again] == [row["step"] for row in expected]
    for row, other in zip(again, expected, strict=True):
        row.pop("train/images_per_second", None)
        other.pop("train/images_per_second", None)
        assert row == pytest.approx(other, rel=1e-4)


def test_without_a_test_split_there_is_no_evaluation(step, tmp_path):
    train(tmp_path / "run", step, num_steps=6, evaluate=None)
    assert not any("eval/accuracy_real" in row for row in rows(tmp_path / "run"))


def test_one_compilation_in_all_runs(unbroken, step):
    assert step._cache_size() == 1


def test_progress_tells_step_speed_losses_and_time_left(step, tmp_path, capsys):
    train(tmp_path / "run", step, num_steps=4)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    for part in ("step 4/4", "images/s", "D loss", "G loss", "D(x)", "D(G(z))", "0:00 left"):
        assert part in last


def test_a_run_saved_without_a_description_says_what_it_lacks(unbroken):
    with pytest.raises(UserError, match=r"^workdir: .* holds checkpoints without a description"):
        load_generator(unbroken[0])


def test_a_run_is_finished_when_its_page_is_written(step, tmp_path, monkeypatch):
    """Else one that is killed in between keeps an older page for good."""
    write_json, pages = recorder.write_json, []

    def watched(path, content):
        if content.get("status") == "finished":
            pages.append((tmp_path / "index.html").read_bytes())
        write_json(path, content)

    monkeypatch.setattr(recorder, "write_json", watched)
    train(tmp_path, step)
    assert pages == [(tmp_path / "index.html").read_bytes()]


def test_no_more_checkpoints_are_kept_than_asked_for_where_it_was_killed(unbroken, step, tmp_path):
    """After its last one was saved, and before the oldest was deleted."""
    workdir = tmp_path / "killed"
    shutil.copytree(unbroken[0], workdir)
    shutil.copytree(workdir / "checkpoints/8", workdir / "checkpoints/4")
    summary = json.loads((workdir / "summary.json").read_text())
    (workdir / "summary.json").write_text(json.dumps({**summary, "status": "running"}))
    train(workdir, step)
    assert sorted(int(p.name) for p in (workdir / "checkpoints").iterdir()) == [8, 12]
    assert json.loads((workdir / "summary.json").read_text())["status"] == "finished"


def test_on_several_devices_of_a_cpu_two_calls_are_on_their_way(mesh, tmp_path):
    """More of them may take all threads, and wait for each other for ever."""
    state = sharding.replicate(tiny.state(), mesh)

    @jax.jit
    def slow(state):
        powers = jax.lax.fori_loop(0, 50, lambda _, x: x @ x / 300, jnp.ones((300, 300)))
        return state.replace(step=state.step + 1), {"gen/loss": powers.mean()}

    on_their_way, all_metrics = [], []

    def step(state, batch):
        on_their_way.append(sum(not each["gen/loss"].is_ready() for each in all_metrics))
        state, metrics = slow(state)
        all_metrics.append(metrics)
        return state, jax.tree.map(lambda value: value[None], metrics)

    train(tmp_path, step, state=state, log_every=12, evaluate=None, checkpoint_every=12)
    assert len(on_their_way) == 12
    assert max(on_their_way) <= 1
