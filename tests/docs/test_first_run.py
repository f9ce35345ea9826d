"""The notebook: it was run from its start, and what it calls is still there."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "first_run.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def trees():
    return [ast.parse("".join(cell["source"])) for cell in CODE]


def imported(package, name):
    """What `from package import name` gives."""
    module = importlib.import_module(package)
    if hasattr(module, name):
        return getattr(module, name)
    return importlib.import_module(f"{package}.{name}")


def test_it_was_run_in_its_order_and_came_to_its_end():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2


def test_it_is_small_and_tells_nothing_of_the_machine():
    text = NOTEBOOK.read_text()
    assert len(text) < 300_000
    assert not re.findall(r"/(?:home|root|tmp|work|Users|usr|opt)/", text)


def test_what_it_imports_and_calls_is_there():
    """Names that are imported, and all attributes of those that are modules."""
    names, looked_at = {}, 0
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    module = importlib.import_module(alias.name)
                    names[alias.asname or alias.name] = module
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = imported(node.module, alias.name)
    for tree in trees():
        for node in ast.walk(tree):
            chain = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else []
            if not chain or chain[0] not in names or not all(map(str.isidentifier, chain)):
                continue
            found = names[chain[0]]
            for name in chain[1:]:
                if not hasattr(found, name):
                    pytest.fail(f"{NOTEBOOK.name}: there is no {'.'.join(chain)}")
                found = getattr(found, name)
            looked_at += 1
    assert looked_at > 10
