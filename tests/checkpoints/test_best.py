"""The checkpoint where a figure was best stays, also over a resume, and loads as a run does."""

import numpy as np
import pytest
import tiny

from jaxgan import UserError
from jaxgan.checkpoints import checkpoint
from jaxgan.checkpoints.best import BestCheckpoint


def at(step):
    return tiny.state().replace(step=np.int32(step))


def consider(folder, mode, values, name="fid"):
    """What is told of each value, the i-th at step i + 1; then the step that is kept."""
    with BestCheckpoint(folder, name, mode) as best:
        told = [
            best.consider({name: value, "other": 0.0}, at(step), {}, {"config": {}})
            for step, value in enumerate(values, 1)
        ]
    with checkpoint.open_checkpoints(folder / "best") as manager:
        assert manager.all_steps() == [manager.latest_step()]
        return told, manager.latest_step()


@pytest.mark.parametrize(("mode", "best"), [("min", 3), ("max", 4)])
def test_the_smallest_or_the_largest_is_kept(tmp_path, mode, best):
    told, step = consider(tmp_path, mode, [2.0, float("nan"), 1.0, 3.0, 2.0])
    assert step == best
    assert [value is not None for value in told] == (
        [True, False, True, False, False] if mode == "min" else [True, False, False, True, False]
    )


def test_a_run_that_goes_on_keeps_what_was_better_before(tmp_path):
    consider(tmp_path, "min", [5.0, 1.0])
    assert consider(tmp_path, "min", [4.0, 1.0, 2.0]) == ([None, None, None], 2)
    assert consider(tmp_path, "min", [4.0, 0.5]) == ([None, 0.5], 2)
    # Of another figure, what was kept says nothing.
    assert consider(tmp_path, "min", [7.0], name="kid") == ([7.0], 1)


def test_a_figure_that_is_not_measured_is_told(tmp_path):
    with (
        BestCheckpoint(tmp_path, "fid", "min") as best,
        pytest.raises(UserError, match="keep_best: got 'fid', expected one of kid"),
    ):
        best.consider({"kid": 1.0}, at(1), {}, {})
