"""What an evaluation leaves behind: a table, WORKDIR/evaluation.json, TensorBoard's scalars."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxgan.files import write_json, writing
from jaxgan.runs.event_files import EventWriter
from jaxgan.runs.page import write_report

__all__ = ["format_table", "write_evaluation"]


def format_table(title: str, columns: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics side by side.

    Args:
      title: of the first column, whose entries are the metrics' names.
      columns: head -> {name: value}; what one lacks stays empty.

    Returns:
      Lines of text.

    Examples:
      >>> print(format_table("lenet", {"generated": {"fid": 2.5}, "floor": {"fid": 0.25}}))
      lenet                          generated               floor
      fid                               2.5000              0.2500
    """
    lines = [f"{title:20}" + "".join(f"{head:>20}" for head in columns)]
    for name in next(iter(columns.values())):
        cells = (f"{column[name]:.4f}" if name in column else "" for column in columns.values())
        lines.append(f"{name:20}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def write_evaluation(
    workdir: str | os.PathLike, step: int, record: dict[str, Any], scalars: dict[str, float]
) -> Path:
    """Writes evaluation.json anew and the run's page, and appends to its TensorBoard records.

    Args:
      workdir: the run's folder.
      step: of the checkpoint that was evaluated.
      record: all there is to say, ready for JSON.
      scalars: what TensorBoard shows, under "evaluation/".

    Returns:
      The JSON file.

    Raises:
      UserError: the folder cannot be written.

    Examples:
      >>> write_evaluation("runs/", 3000, {}, {"fid_lenet_10k": 2.5})  # doctest: +SKIP
    """
    with writing(workdir):
        path = write_json(Path(workdir) / "evaluation.json", {"step": step, **record})
        writer = EventWriter(Path(workdir) / "tensorboard")
        writer.scalars(step, {f"evaluation/{name}": value for name, value in scalars.items()})
        writer.close()
        if (Path(workdir) / "index.html").exists():
            write_report(workdir)
    return path
