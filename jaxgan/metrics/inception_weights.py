"""The weight file of the FID Inception network, which is fetched once.

It is that of the PyTorch package pytorch-fid, a port of Google's graph of 2015-12-05.
"""

import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from jaxgan.errors import UserError

__all__ = ["fetch_weights"]

URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


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
