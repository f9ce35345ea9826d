"""Rows of metrics as a run writes them."""

import json

ROWS = [
    {"step": 50, "train/d_real": 0.75, "train/d_fake": 0.25, "train/generator_loss": 1.5},
    {"step": 100, "train/d_real": 0.7, "train/health/norm": 2.0, "train/health/ratio": 0.1},
    {"step": 100, "eval/accuracy_real": 0.6, "eval/fid_lenet_10k": 41.5, "train/cycle_loss": 3},
]


def write_rows(workdir, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (workdir / "metrics.jsonl").write_text(text, encoding="utf-8")
