"""The weights of the FID Inception network: fetching the file, and its tensors as Flax variables.

The file is that of the PyTorch package pytorch-fid, a port of Google's graph of 2015-12-05.
"""

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgan.errors import UserError

__all__ = ["convert_weights", "fetch_weights"]

PyTree = Any

URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

_TORCH_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def fetch_weights() -> Path:
    """The weight file in ~/.cache/jaxgan, fetched (95 MB) if it is not there.

    Its SHA-256 is compared when it comes and each time that it is found there.

    Returns:
      The path of the file, which is there whole or not at all.

    Raises:
      UserError: it cannot be fetched, or what came or was found is another file.

    Examples:
      >>> fetch_weights().name  # doctest: +SKIP
      'pt_inception-2015-12-05-6726825d.pth'
    """
    name = URL.rpartition("/")[2]
    path = Path.home() / ".cache" / "jaxgan" / name
    if path.exists():
        if (digest := _sha256(path)) != SHA256:
            raise UserError(
                f"weights: got {path} with SHA-256 {digest}, expected {SHA256}; remove the file, "
                "and it is fetched again"
            )
        return path
    advice = f"expected a network, or the path of a copy that was fetched elsewhere from {URL}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            partial = Path(folder) / name
            with urllib.request.urlopen(URL, timeout=30) as response, partial.open("wb") as file:
                shutil.copyfileobj(response, file)
            if (digest := _sha256(partial)) != SHA256:
                raise UserError(f"weights: got {name} with SHA-256 {digest}, {advice}")
            os.replace(partial, path)
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"weights: cannot fetch {name} ({reason}), {advice}") from error
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert_weights(tensors: Mapping[str, np.ndarray], like: PyTree) -> PyTree:
    """Turns the tensors of a PyTorch module into the variables of a Flax module of the same names.

        kernels (out, in, h, w) -> (h, w, in, out);  matrices (out, in) -> (in, out)

    Args:
      tensors: name -> array, with PyTorch's names of parameters and batch norm statistics.
      like: {"params", "batch_stats"}, whose leaves have the `shape` that is wanted.

    Returns:
      The same tree of float32 NumPy arrays.

    Raises:
      UserError: a tensor is missing, is of another shape, or has no place in `like`.

    Examples:
      >>> like = {"params": {"fc": {"kernel": np.zeros((3, 2))}}}
      >>> convert_weights({"fc.weight": np.ones((2, 3))}, like)["params"]["fc"]["kernel"].shape
      (3, 2)
    """
    # A counter of training batches; nothing else may be left over.
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}

    def convert(path, leaf):
        _collection, *modules, kind = (key.key for key in path)
        name = ".".join([*modules, _TORCH_NAMES[kind]])
        shape = leaf.shape
        if kind == "kernel":
            shape = (shape[-1], shape[-2], *shape[:-2])
        if name not in tensors:
            raise UserError(f"weights: got no tensor {name}, expected one of shape {shape}")
        if tensors[name].shape != shape:
            raise UserError(f"weights: got {name} of shape {tensors[name].shape}, expected {shape}")
        left.discard(name)
        tensor = tensors[name].astype(np.float32)
        return np.moveaxis(tensor, (0, 1), (-1, -2)) if kind == "kernel" else tensor

    variables = jax.tree_util.tree_map_with_path(convert, like)
    if left:
        raise UserError(
            f"weights: got a tensor {min(left)!r}, expected none besides those of the network"
        )
    return variables
