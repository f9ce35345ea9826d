"""Imported first: jaxgan is that of this checkout where none is installed."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("jaxgan") is None:
    sys.path.append(str(Path(__file__).resolve().parents[1]))
