"""A small state in one file, with its digest: for what is no run with checkpoints."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import jax
from flax import serialization

from jaxgan.files import write_atomically
from jaxgan.state import PyTree

__all__ = ["read_state", "write_state"]

_DIGEST_SIZE = hashlib.sha256().digest_size


def write_state(path: str | Path, state: PyTree, about: dict[str, Any]) -> None:
    """Writes a state, whole or not at all.

    Args:
      path: the file.
      state: any pytree of arrays, no typed keys among them.
      about: JSON, by which `read_state`'s caller knows what it is of.
    """
    state = jax.device_get(serialization.to_state_dict(state))
    content = serialization.msgpack_serialize({"about": json.dumps(about), "state": state})
    write_atomically(path, hashlib.sha256(content).digest() + content)


def read_state(path: str | Path) -> tuple[PyTree, dict[str, Any]] | None:
    """Reads what `write_state` wrote.

    Args:
      path: the file.

    Returns:
      The state as nested dictionaries of NumPy arrays, for `flax.serialization.from_state_dict`,
      and what it is about. None where there is no such file, or one that is damaged, which is told.

    Examples:
      >>> import numpy as np
      >>> write_state("state.msgpack", {"a": np.arange(2)}, {"seed": 0})
      >>> read_state("state.msgpack")
      ({'a': array([0, 1])}, {'seed': 0})
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    digest, content = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        print(f"{path} is damaged and left out", file=sys.stderr, flush=True)
        return None
    saved = serialization.msgpack_restore(content)
    return saved["state"], json.loads(saved["about"])
