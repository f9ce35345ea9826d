"""What a result came from: the code, the packages and the machine."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["provenance"]

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def provenance(*packages: str) -> dict[str, Any]:
    """Returns what made the results of this process.

    Args:
      *packages: whose versions are told besides those of JAX, Flax, Optax and NumPy.

    Returns:
      {"commit": of the checkout that jaxgan is imported from, ending in "+" where files of it
      differ, None where it is no checkout; "versions": {"python": ..., package: version};
      "processor": its model; "cores": how many this process may use}.

    Raises:
      importlib.metadata.PackageNotFoundError: a package is not installed.

    Examples:
      >>> sorted(provenance())
      ['commit', 'cores', 'processor', 'versions']
    """
    versions = {name: importlib.metadata.version(name) for name in (*_PACKAGES, *packages)}
    return {
        "commit": _commit(Path(__file__).resolve().parents[2]),
        "versions": {"python": platform.python_version(), **versions},
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }


def _commit(root: Path) -> str | None:
    # An installed package may lie in a repository of something else.
    if not (root / ".git").exists():
        return None

    def git(*arguments):
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
