"""Reading the rows of a run's metrics, which a page and a script do alike."""

import pytest
from metric_rows import ROWS, write_rows

from jaxgan.errors import UserError
from jaxgan.runs.page import read_metrics


def test_read_metrics(tmp_path):
    write_rows(tmp_path, ROWS)
    assert read_metrics(tmp_path / "metrics.jsonl") == ROWS


def test_a_whole_last_line_needs_no_line_break(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}', encoding="utf-8")
    assert read_metrics(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("line", ["[1]", '{"a": 1}', '{"step": NaN}', '{"step": "1"}', "{"])
def test_a_line_without_a_step_is_left_out(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + '\n{"step": 2}\n', encoding="utf-8")
    assert read_metrics(path) == [{"step": 2}]


def test_read_metrics_without_a_file(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_metrics_of_older_runs_have_their_names_of_today(tmp_path):
    write_rows(tmp_path, [{"step": 2, "train/generator_slope": 0.5}])
    row = {"step": 2, "train/generator_gradient_norm": 0.5}
    assert read_metrics(tmp_path / "metrics.jsonl") == [row]
