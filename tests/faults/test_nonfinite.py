"""Numbers that are not finite: a step that leaves them out, and a run that goes on without them.

The data are batches of which some are NaN, by their numbers; what a run must end with is computed
by the plain step on the batches that it should have used.
"""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import gaussians
import grain
import jax
import jax.numpy as jnp
import looped
import mlp_gan
import numpy as np
import pytest
import tiny
from jax.sharding import PartitionSpec as P
from looped import PowerCut, interrupting, power_cut, rows, start, tensorboard_events
from scripts import QUICK
from small_run import pair_environments

from jaxgan import UserError, create_player, create_train_state, data
from jaxgan.nonfinite import all_finite, skip_nonfinite
from jaxgan.toys import gaussian_trials
from jaxgan.training import adversarial, experiment, generation, journal, sharding
from jaxgan.training.config import check_config
from jaxgan.training.loop import Stopped


def scanned(step):
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


@pytest.fixture(scope="module")
def plain():
    return scanned(tiny.step())


@pytest.fixture(scope="module")
def skipping():
    return scanned(skip_nonfinite(tiny.step()))


def image_batch(number, bad=()):
    images = tiny.batch(8, seed=int(number))["image"]
    return {"image": np.where(number in bad, np.float32("nan"), images)}


def batches(bad=()):
    numbers = grain.MapDataset.range(1000)
    numbers = numbers.map(functools.partial(image_batch, bad=bad))
    return iter(numbers.to_iter_dataset(looped.FEW_AHEAD))


def one(number):
    return jax.tree.map(lambda x: x[None], image_batch(number))


def expected(step, numbers, state=None):
    """The state after a batch of each of these numbers; None is a step that was left out."""
    state = start() if state is None else state
    for number in numbers:
        if number is None:
            state = state.replace(step=state.step + 1)
        else:
            state, _ = step(state, one(number))
    return state


def train(workdir, step, bad=(), **changes):
    changes = {"evaluate": None, "keep_checkpoints": 3, **changes}
    return looped.train(workdir, step, data=batches(bad), **changes)


def summary(workdir):
    return json.loads((workdir / "summary.json").read_text())


# The step.


@pytest.mark.parametrize("length", [1, pytest.param(4, marks=pytest.mark.long)])
def test_where_all_is_finite_it_is_the_step_itself_to_rounding(plain, skipping, length):
    stacked = jax.tree.map(lambda *x: np.stack(x), *[image_batch(i) for i in range(length)])
    state, metrics = plain(start(), stacked)
    same, others = skipping(start(), stacked)
    assert others.pop("skipped_steps").tolist() == [0] * length
    # Another program, in which XLA may fuse, and so round, otherwise.
    assert tiny.difference(same, state) < 1e-6
    assert tiny.difference(others, metrics) < 1e-6


def test_a_step_that_is_not_finite_leaves_all_but_the_counter(plain, skipping):
    before = expected(plain, [0])
    after, metrics = skipping(jax.tree.map(jnp.copy, before), {"image": one(1)["image"] * np.nan})
    assert metrics["skipped_steps"].tolist() == [1]
    assert int(after.step) == 2
    assert tiny.difference(after, before.replace(step=after.step)) == 0


PLACES = ("params", "model_state", "opt_state", "ema_params", "extra", "metrics", "bfloat16")


def toy(place, poison):
    """A state and its step, whose numbers in one place take in the batch's poison."""
    player = create_player({"params": jnp.ones(2), "stats": jnp.ones(2)}, tiny.TX, ema=True)
    player = player.replace(opt_state={"mu": jnp.ones(2), "count": jnp.zeros((), jnp.int32)})
    extra = {"pool": jnp.ones(2), "half": jnp.ones(2, jnp.bfloat16)}
    state = create_train_state(jax.random.key(0), player, player, extra)

    def step(state, batch):
        bad = jnp.where(batch, poison, 0.0)
        disc, extra, loss = state.discriminator, state.extra, jnp.zeros(())
        if place in ("params", "model_state", "ema_params"):
            changed = jax.tree.map(lambda x: x + bad, getattr(disc, place))
            disc = disc.replace(**{place: changed})
        elif place == "opt_state":
            disc = disc.replace(opt_state={**disc.opt_state, "mu": disc.opt_state["mu"] + bad})
        elif place == "extra":
            extra = {**extra, "pool": extra["pool"] + bad}
        elif place == "bfloat16":
            extra = {**extra, "half": extra["half"] + bad.astype(jnp.bfloat16)}
        else:
            loss = loss + bad
        moved = state.generator.replace(params=state.generator.params + 1)
        new = state.replace(step=state.step + 1, generator=moved, discriminator=disc, extra=extra)
        return new, {"loss": loss}

    return state, step


@pytest.mark.parametrize("poison", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", PLACES)
def test_it_is_found_wherever_it_is(place, poison):
    state, step = toy(place, poison)
    after, metrics = jax.lax.scan(skip_nonfinite(step), state, jnp.array([False, True, False]))
    assert metrics["skipped_steps"].tolist() == [0, 1, 0]
    assert after.generator.params.tolist() == [3, 3]
    assert int(after.step) == 3
    assert bool(all_finite(after))


def test_under_vmap_each_is_left_out_by_itself():
    state, step = toy("params", np.nan)
    one_step = jax.vmap(skip_nonfinite(step), in_axes=(None, 0))
    after, metrics = one_step(state, jnp.array([False, True]))
    assert metrics["skipped_steps"].tolist() == [0, 1]
    assert after.generator.params[:, 0].tolist() == [2, 1]


@pytest.mark.parametrize("way", ["shard_map", "pmap"])
def test_on_a_mapped_axis_all_devices_leave_it_out_together(mesh, way):
    state, step = toy("extra", np.nan)
    step = skip_nonfinite(step, axis_name="data")
    bad = jnp.arange(8) == 5

    def one_device(state, bad):
        after, metrics = step(state.replace(key=jax.random.key(0)), bad[0])
        return after.generator.params[None], metrics["skipped_steps"][None]

    state = state.replace(key=None)
    if way == "pmap":
        params, skipped = jax.pmap(one_device, "data", in_axes=(None, 0))(state, bad[:, None])
    else:
        specs = {"in_specs": (P(), P("data")), "out_specs": P("data"), "check_vma": False}
        params, skipped = jax.jit(jax.shard_map(one_device, mesh=mesh, **specs))(state, bad)
    assert skipped.ravel().tolist() == [1] * 8
    assert params.ravel().tolist() == [1] * 16


def test_of_a_sharded_batch_one_bad_example_is_enough(mesh, skipping):
    state = sharding.replicate(tiny.state(), mesh)
    before = jax.device_get(state.replace(key=None))
    images = one(0)["image"].copy()
    images[0, 5] = np.nan  # on one device of the eight
    batch = sharding.shard_batch({"image": images}, mesh, stacked=True)
    after, metrics = skipping(state, batch)
    assert metrics["skipped_steps"].tolist() == [1]
    assert tiny.difference(after.generator, before.generator) == 0
    assert tiny.difference(after.discriminator, before.discriminator) == 0


# The loop.


def test_a_run_skips_and_counts(plain, skipping, tmp_path, capsys):
    state = train(tmp_path / "run", skipping, bad=(2, 4, 5))
    used = [None if number in (2, 4, 5) else number for number in range(12)]
    assert tiny.difference(state, expected(plain, used)) == 0
    logged = {row["step"]: row for row in rows(tmp_path / "run")}
    assert [logged[step]["train/skipped_steps"] for step in (2, 4, 6, 8)] == [0, 1, 2, 0]
    # The mean is that of the steps that counted; of none there is none.
    _, metrics = plain(expected(plain, [0, 1, None]), one(3))
    assert logged[4]["train/generator_loss"] == float(metrics["generator_loss"][0])
    assert "train/generator_loss" not in logged[6]
    assert summary(tmp_path / "run")["skipped_steps"] == 3
    told = capsys.readouterr().err
    assert "warning: 1 of the 2 steps to step 4 are left out, from step 3 on" in told
    assert "warning: all of the 2 steps to step 6 are left out, from step 5 on" in told
    assert "is not finite; 3 in all" in told
    assert "3 in all" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "skipped_steps" in (tmp_path / "run" / "index.html").read_text()


def test_cut_off_it_skips_and_counts_the_same(skipping, tmp_path):
    unbroken = train(tmp_path / "unbroken", skipping, bad=(2, 4, 5))
    with pytest.raises(PowerCut):
        train(tmp_path / "run", interrupting(skipping, 8, power_cut), bad=(2, 4, 5))
    state = train(tmp_path / "run", skipping, bad=(2, 4, 5))
    assert tiny.difference(state, unbroken) == 0
    assert summary(tmp_path / "run")["skipped_steps"] == 3


@pytest.mark.parametrize("cut", [None, 10])
def test_too_many_in_a_row_stop_it_at_the_same_step(skipping, tmp_path, monkeypatch, cut):
    monkeypatch.setattr(journal, "MOST_SKIPPED", 5)
    bad = (1, *range(5, 20))  # steps 6 to 20
    if cut:
        with pytest.raises(PowerCut):
            train(tmp_path / "run", interrupting(skipping, cut, power_cut), bad, num_steps=20)
    with pytest.raises(
        UserError, match=r"step 11: 6 steps in a row are left out, .* is nan"
    ) as stopped:
        train(tmp_path / "run", skipping, bad, num_steps=20)
    assert "to go back to: the checkpoint of step 8" in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_a_run_goes_back_and_takes_other_examples(plain, tmp_path, capsys):
    # Step 7 is not finite, which is found when step 8 is logged; examples go on behind that.
    state = train(tmp_path / "run", plain, bad=(6,), rollback=True)
    want = expected(plain, [0, 1, 2, 3, *range(8, 16)])
    assert tiny.difference(state, want) == 0
    assert int(state.step) == 12
    steps = [row["step"] for row in rows(tmp_path / "run")]
    assert steps == [2, 4, 6, 8, 10, 12]
    assert all(np.isfinite(list(row.values())).all() for row in rows(tmp_path / "run"))
    events = tensorboard_events(tmp_path / "run")
    assert looped.tensorboard_steps(events, "train/generator_loss") == steps
    assert summary(tmp_path / "run")["rollbacks"] == 1
    told = capsys.readouterr().err
    assert "warning: step 7: " in told
    assert "is nan; goes back to the checkpoint of step 4 and on with other examples" in told


def test_the_last_steps_may_send_it_back(plain, tmp_path):
    state = train(tmp_path / "run", plain, bad=(11,), rollback=True)
    assert tiny.difference(state, expected(plain, [*range(8), *range(12, 16)])) == 0


# Two rollbacks: batch 6 is bad, then batch 10, which is step 7 when it is taken again.
TWICE = (6, 10)
USED = [0, 1, 2, 3, *range(12, 20)]


def some(few, more):
    """Parameters of which the second are for the long tests."""
    return [*few, *(pytest.param(at, marks=pytest.mark.long) for at in more)]


@pytest.mark.parametrize("at", some([9, 13], [8, 10, 15, 18, 20]))
def test_cut_off_anywhere_it_goes_back_the_same(plain, tmp_path, at):
    with pytest.raises(PowerCut):
        train(tmp_path / "run", interrupting(plain, at, power_cut), TWICE, rollback=True)
    state = train(tmp_path / "run", plain, TWICE, rollback=True)
    assert tiny.difference(state, expected(plain, USED)) == 0
    assert [row["step"] for row in rows(tmp_path / "run")] == [2, 4, 6, 8, 10, 12]
    assert summary(tmp_path / "run")["rollbacks"] == 2


@pytest.mark.parametrize("at", some([6, 10], [5, 7, 8, 12, 14, 16]))
def test_stopped_anywhere_it_goes_back_the_same(plain, tmp_path, at):
    """A checkpoint that a signal left is none that the unbroken run could go back to."""

    def ask():
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        train(tmp_path / "run", interrupting(plain, at, ask), TWICE, rollback=True)
    state = train(tmp_path / "run", plain, TWICE, rollback=True)
    assert tiny.difference(state, expected(plain, USED)) == 0
    assert summary(tmp_path / "run")["rollbacks"] == 2


@pytest.mark.parametrize("stop_at", [None, 10])
def test_what_does_not_help_three_times_is_not_tried_again(plain, tmp_path, stop_at):
    bad = tuple(range(6, 100))
    if stop_at:  # in the second try, after which it goes on counting
        action = functools.partial(os.kill, os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            train(tmp_path / "run", interrupting(plain, stop_at, action), bad, rollback=True)
    calls = 0

    def counted(state, batch):
        nonlocal calls
        calls += 1
        return plain(state, batch)

    with pytest.raises(UserError, match=r"step 5: .* is nan; .* as the run did 3 times in a row"):
        train(tmp_path / "run", counted, bad, rollback=True)
    assert summary(tmp_path / "run")["status"].startswith("stopped: step 5: ")
    if not stop_at:
        # To step 8 and the call behind it, then three times as far as is logged.
        assert calls == 9 + 3 * 3


def test_with_nothing_to_go_back_to_it_stops(plain, tmp_path):
    with pytest.raises(UserError, match=r"step 3: .* to go back to: the start, there is no check"):
        train(tmp_path / "run", plain, bad=(2,), rollback=True)


def test_what_is_not_finite_is_not_evaluated(plain, tmp_path):
    seen = []

    def evaluate(state):
        seen.append(int(state.step))
        assert bool(all_finite(state.generator.params))
        return {"accuracy_real": 0.5}

    train(tmp_path / "run", plain, (4,), evaluate=evaluate, eval_every=2, rollback=True)
    assert seen == [2, 4, 6, 8, 10, 12]


def test_without_it_the_run_stops(plain, tmp_path):
    with pytest.raises(UserError, match=r"step 7: .* is nan; .* back to: the checkpoint of step 4"):
        train(tmp_path / "run", plain, bad=(6,))
    assert not summary(tmp_path / "run").keys() & {"rollbacks", "skipped_steps"}


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ("stop", "step 1: "),
        ("skip", "step 6: 6 steps in a row are left out, "),
        ("rollback", "step 1: .* there is no checkpoint$"),
    ],
)
def test_an_experiment_does_as_its_config_says(policy, line, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_: Noise())
    assert journal.MOST_SKIPPED == 100
    monkeypatch.setattr(journal, "MOST_SKIPPED", 5)
    config = mlp_gan.get_config("plain")
    # The first update makes parameters of 1e30, whose logits no float32 holds.
    config.update({"generator_learning_rate": 1e30, "discriminator_learning_rate": 1e30})
    config.update({"on_nonfinite": policy, "image_size": 8, "batch_size": 8, "num_steps": 20})
    config.update({"log_every": 2, "checkpoint_every": 20, "steps_per_call": 1})
    check_config(config)
    game = functools.partial(adversarial.make_game, mlp_gan.make_players)
    fit, asked = experiment.fit, []

    def fitting(*arguments, rollback, **options):
        asked.append(rollback)
        return fit(*arguments, rollback=rollback, **options)

    monkeypatch.setattr(experiment, "fit", fitting)
    with pytest.raises(UserError, match=f"^{line}"):
        generation.train(game, config, str(tmp_path / "run"), False)
    # With nothing to go back to the line is that of `stop`.
    assert asked == [policy == "rollback"]


class Noise:
    """Ten images of noise."""

    num_classes = None

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {"image": np.random.default_rng(index).integers(0, 256, (8, 8, 1), np.uint8)}


def test_the_toys_do_as_their_config_says():
    config = gaussians.get_config("ring")
    config.update({"trials": 2, "width": 4, "layers": 1, "on_nonfinite": "skip"})
    gaussian_trials.check_config(config)
    trials = gaussian_trials.make_trials(config)
    params = jax.tree.map(jnp.copy, trials.state.discriminator.params)
    # One of the trials is not finite: the step is left out in both.
    poisoned = jax.tree.map(lambda x: x.at[0].set(jnp.nan), params)
    player = trials.state.discriminator.replace(params=poisoned)
    state = trials.state.replace(discriminator=player)
    before = jax.tree.map(jnp.copy, state.generator.params)
    state, metrics = trials.train_steps(state, jnp.arange(2))
    assert metrics["skipped_steps"].tolist() == [1, 1]
    assert tiny.difference(state.generator.params, before) == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "counted"), [("skip", "skipped_steps"), ("rollback", "rollbacks")]
)
def test_two_processes_agree_though_one_alone_has_it(mode, counted, tmp_path):
    script = Path(__file__).with_name("two_nonfinite.py")
    paths = [*sys.path, os.environ.get("PYTHONPATH", "")]
    processes = [
        subprocess.Popen(
            [sys.executable, script, tmp_path / "run", mode],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **QUICK, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in pair_environments()
    ]
    try:
        told = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], told
    ends = [json.loads(out.splitlines()[-1]) for out, _ in told]
    assert ends[0] == ends[1]
    assert (ends[0]["step"], ends[0]["finite"]) == (12, True)
    assert summary(tmp_path / "run")[counted] == {"skip": 2, "rollback": 1}[mode]
