"""Runs whose state is cut over devices, or whose batches pass in parts, by the config alone."""

import jax
import numpy as np
import pytest
from mlp_runs import config_of, make_splits, train
from scripts import final_state

from jaxgan import UserError, load_generator
from jaxgan.runs.page import read_metrics

CUT = {"shard_state": True, "model_devices": 2, "micro_batches": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def runs(images, tmp_path_factory):
    """A run on four devices by two, and one in which every device has all of the state."""
    folder = tmp_path_factory.mktemp("runs")
    # In as many parts, which have draws of their own.
    whole = config_of(images, ema_decay=0.9, batch_size=16, micro_batches=2)
    return [
        train(config_of(images, ema_decay=0.9, **CUT), folder / "cut"),
        train(whole, folder / "whole"),
    ]


def test_a_cut_run_is_the_run_of_whole_states(runs):
    for ours, theirs in zip(*(final_state(run, 12) for run in runs), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    rows, others = (read_metrics(run / "metrics.jsonl") for run in runs)
    for row, other in zip(rows, others, strict=True):
        for timed in (row, other):
            timed.pop("train/images_per_second", None)
        assert row == pytest.approx(other, abs=1e-3)


def test_its_generator_loads_as_any_other(runs):
    latents = jax.random.normal(jax.random.key(0), (4, 4))
    cut, whole = (load_generator(run)(latents) for run in runs)
    np.testing.assert_allclose(cut, whole, atol=1e-3)


def test_it_goes_on_with_whole_states(runs, images):
    further = config_of(images, ema_decay=0.9, batch_size=16, micro_batches=2, num_steps=12)
    before = final_state(runs[0], 12)
    train(further, runs[0])
    for ours, theirs in zip(final_state(runs[0], 12), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model_devices": 3}, "model_devices: got 3, expected a divisor of 8"),
        ({"micro_batches": 2}, "micro_batches: got 2, expected a divisor of 1"),
        ({"seeds": 2, "shard_state": True}, "shard_state: got True, expected False where seeds=2"),
        ({"seeds": 2, "micro_batches": 3}, "micro_batches: got 3, expected a divisor of 8"),
    ],
)
def test_what_does_not_fit_is_refused(changes, expected, images, tmp_path):
    with pytest.raises(UserError, match=f"^{expected}"):
        train(config_of(images, **changes), tmp_path)
    assert not list(tmp_path.iterdir())
