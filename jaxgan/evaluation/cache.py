"""Features of real images, kept on disk: they are the same for every run on the data."""

import contextlib
import hashlib
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from grain.sources import RandomAccessDataSource

from jaxgan import data
from jaxgan.evaluation.features import Features, collect_features, real_batches
from jaxgan.files import write_atomically
from jaxgan.metrics.network import Network

__all__ = ["load_or_compute", "real_features"]


def real_features(
    network: Network,
    source: RandomAccessDataSource,
    num_samples: int,
    *,
    dataset: str,
    split: str,
    image_size: int,
    channels: int,
    batch_size: int = 500,
    seed: int = 0,
) -> Features:
    """Features of images drawn from a data set, from ~/.cache/jaxgan/statistics where they are.

    They are kept under data set, split, size, number, seed, the network with its version, and
    the pixels of 64 images from all over: so a folder whose images were exchanged, or images that
    are prepared otherwise, are not taken for what they were.

    Args:
      network: such as `load_lenet` gives.
      source: the data.
      num_samples: how many of its images.
      dataset, split: what it is called.
      image_size, channels, batch_size, seed: as for `real_batches`.

    Returns:
      The `Features`.

    Raises:
      UserError: as `real_batches` and `collect_features`.

    Examples:
      >>> from jaxgan.metrics.lenet import load_lenet
      >>> digits = data.mnist("test")
      >>> look = {"dataset": "mnist", "split": "test", "image_size": 28, "channels": 1}
      >>> real_features(load_lenet(), digits, 100, **look).logits.shape  # doctest: +SKIP
      (100, 10)
    """
    look = {"image_size": image_size, "channels": channels}
    pixels = zlib.crc32(data.spread_images(source, 64, **look).tobytes())
    if dataset.startswith("folder:"):
        dataset = f"folder:{Path(dataset.removeprefix('folder:')).resolve()}"
    key = {
        "dataset": dataset,
        "split": split,
        "size": len(source),
        "pixels": pixels,
        **look,
        "num_samples": num_samples,
        "seed": seed,
        "network": network.name,
        "version": network.version,
    }

    def compute():
        batches = real_batches(source, num_samples, batch_size=batch_size, seed=seed, **look)
        found = collect_features(network, batches, num_samples)
        return {"features": found.features, "logits": found.logits}

    return Features(**load_or_compute(key, compute))


def load_or_compute(
    key: dict[str, Any], compute: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Arrays from ~/.cache/jaxgan/statistics, where they are computed once.

    A file that cannot be read is computed anew; a folder that cannot be written keeps none.

    Args:
      key: all that the arrays depend on, ready for JSON.
      compute: makes them.

    Returns:
      What `compute` gave, now or then.

    Examples:
      >>> load_or_compute({"of": "ones"}, lambda: {"x": np.ones(3)})["x"]  # doctest: +SKIP
      array([1., 1., 1.])
    """
    text = json.dumps(key, sort_keys=True)
    name = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    path = Path.home() / ".cache" / "jaxgan" / "statistics" / name
    # Whatever else a broken file leads NumPy's reader to.
    with contextlib.suppress(Exception):
        file = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if str(file["key"]) == text:
            return {name: file[name] for name in file.files if name != "key"}
    arrays = compute()
    content = io.BytesIO()
    np.savez(content, key=np.array(text), **arrays)  # type: ignore[arg-type]
    with contextlib.suppress(OSError):
        write_atomically(path, content.getvalue())
    return arrays
