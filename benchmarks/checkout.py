"""Imported first: jaxgan is that of this checkout, wherever another one is installed, or none."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
