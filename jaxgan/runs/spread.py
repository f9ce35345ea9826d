"""How a number of several seeds stands in the records: their mean, their spread, and each.

{"train/d_real": mean, "train/d_real_std": standard deviation, "train/d_real_seeds": [of each]}
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["STD", "by_seed", "number_of_seeds", "over_seeds", "without_seeds"]

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
