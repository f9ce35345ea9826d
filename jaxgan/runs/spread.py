"""How a number of several seeds stands in the records: their mean, their spread, and each.

{"train/d_real": mean, "train/d_real_std": standard deviation, "train/d_real_seeds": [of each]}
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["SEEDS", "STD", "by_seed", "over_seeds"]

STD, SEEDS = "_std", "_seeds"


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
        named[name + SEEDS] = numbers.tolist()
    return named


def by_seed(row: Mapping[str, Any], index: int) -> dict[str, float]:
    """What a row of all seeds says of one of them, under the names of its own run.

    Examples:
      >>> by_seed({"step": 5, "eval/fid": 2.0, "eval/fid_seeds": [1.0, 3.0]}, 1)
      {'eval/fid': 3.0}
    """
    return {
        name.removesuffix(SEEDS): each[index]
        for name, each in row.items()
        if name.endswith(SEEDS) and isinstance(each, list)
    }
