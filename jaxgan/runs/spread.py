"""How a number of several seeds stands in the records: their mean, their spread, and each.

{"train/d_real": mean, "train/d_real_std": standard deviation, "train/d_real_seeds": [of each]}

Of a sweep mean and spread are those of each value, with its seeds one after another in the list:

{"train/d_real/penalty_weight=1": mean, "train/d_real/penalty_weight=1_std": ..., ...}
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "STD",
    "by_seed",
    "by_value",
    "newest_by_value",
    "number_of_seeds",
    "over_seeds",
    "without_seeds",
]

STD, _SEEDS = "_std", "_seeds"


def over_seeds(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Names each number's mean, its standard deviation (n - 1) and its values.

    Args:
      values: {name: one number a seed}, of two seeds or more.

    Returns:
      {name: mean, name_std: standard deviation, name_seeds: the numbers}, as JSON has them.

    Examples:
      >>> over_seeds({"fid": [1.0, 3.0]})
      {'fid': 2.0, 'fid_std': 1.4142135623730951, 'fid_seeds': [1.0, 3.0]}
    """
    named: dict[str, Any] = {}
    for name, each in values.items():
        numbers = np.asarray(each, np.float64)
        named[name] = float(numbers.mean())
        named[name + STD] = float(numbers.std(ddof=1))
        named[name + _SEEDS] = numbers.tolist()
    return named


def by_value(row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """A row of all seeds with mean and deviation for each value in place of those of all.

    Args:
      row: with the numbers of `over_seeds` among others, which stay.
      labels: of the values, as "penalty_weight=1"; none leave the row as it is.

    Returns:
      The row; of a single seed there is no deviation.

    Examples:
      >>> row = {"eval/fid": 2.0, "eval/fid_std": 1.4, "eval/fid_seeds": [1.0, 3.0], "step": 5}
      >>> by_value(row, ["rate=0.1", "rate=1"])
      {'eval/fid/rate=0.1': 1.0, 'eval/fid/rate=1': 3.0, 'eval/fid_seeds': [1.0, 3.0], 'step': 5}
    """
    if not labels:
        return dict(row)
    split: dict[str, Any] = {}
    for name, number in row.items():
        each = row.get(name + _SEEDS)
        if each:
            for label, of in zip(labels, np.split(np.asarray(each), len(labels)), strict=True):
                split[f"{name}/{label}"] = float(of.mean())
                if len(of) > 1:
                    split[f"{name}/{label}{STD}"] = float(of.std(ddof=1))
        elif not row.get(name.removesuffix(STD) + _SEEDS):
            split[name] = number
    return split


def newest_by_value(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Of each metric the newest numbers of `by_value`.

    Returns:
      {label: {metric: [mean, or mean and deviation]}}.

    Examples:
      >>> newest_by_value([{"eval/fid/rate=1": 3.0, "eval/fid_seeds": [3.0, 5.0]}])
      {'rate=1': {'eval/fid': [3.0]}}
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for key, number in row.items():
            name, _, label = key.rpartition("/")
            if name + _SEEDS in row and not key.endswith(STD):
                deviation = [row[key + STD]] if key + STD in row else []
                found.setdefault(label, {})[name] = [number, *deviation]
    return found


def by_seed(row: Mapping[str, Any], index: int) -> dict[str, float]:
    """What a row of all seeds says of one of them, under the names of its own run.

    Examples:
      >>> by_seed({"step": 5, "eval/fid": 2.0, "eval/fid_seeds": [1.0, 3.0]}, 1)
      {'eval/fid': 3.0}
    """
    return {
        name.removesuffix(_SEEDS): each[index]
        for name, each in row.items()
        if _of_seeds(name, each)
    }


def without_seeds(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of all seeds together.

    Examples:
      >>> without_seeds({"step": 5, "eval/fid": 2.0, "eval/fid_seeds": [1.0, 3.0]})
      {'step': 5, 'eval/fid': 2.0}
    """
    return {name: value for name, value in row.items() if not _of_seeds(name, value)}


def number_of_seeds(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many seeds rows are of; 0 where they are of a single run.

    Examples:
      >>> number_of_seeds([{"step": 5, "eval/fid": 2.0, "eval/fid_seeds": [1.0, 3.0]}])
      2
    """
    counts = (len(x) for row in rows for name, x in row.items() if _of_seeds(name, x))
    return next(counts, 0)


def _of_seeds(name: str, value: Any) -> bool:
    return name.endswith(_SEEDS) and isinstance(value, list)
