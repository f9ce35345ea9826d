"""Which file may import which, and that the examples in the docstrings run."""

import ast
import doctest
import importlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

import jaxgan

ROOT = Path(jaxgan.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def module_name(path):
    parts = ("jaxgan", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}

# What each part may import of jaxgan besides itself.
ERRORS = {"errors"}
STEP_AND_STATE = {"batch_statistics", "network", "nonfinite", "state", "step"}
CORE = ERRORS | STEP_AND_STATE | {"cpu", "devices", "files", "gpu"}
PARTS = CORE | {"augment", "data", "inputs", "latent", "losses", "metrics", "networks"}
RUNS = {"methods", "evaluation", "runs", "checkpoints", "inference", "training"}
EVERYTHING = PARTS | RUNS | {"toys"}
ALLOWED = {
    "errors": set(),
    "cpu": set(),
    "depthwise": set(),
    "devices": set(),
    "gpu": ERRORS | {"cpu"},
    "files": ERRORS,
    "network": ERRORS,
    "frameworks": ERRORS | {"network"},
    "losses": ERRORS | {"devices", "network"},
    "augment": ERRORS | {"devices"},
    "networks": ERRORS | {"depthwise", "network"},
    "metrics": ERRORS | {"depthwise"},
    "data": ERRORS,
    "latent": ERRORS | {"devices"},
    "inputs": ERRORS | {"latent"},
    "state": ERRORS | {"cpu", "network"},
    "nonfinite": {"state"},
    "step": ERRORS | {"network", "state"},
    "batch_statistics": ERRORS | {"network", "state", "step"},
    "methods": (PARTS | {"evaluation"}) - {"data", "networks"},
    "evaluation": PARTS,
    "runs": CORE,
    "checkpoints": CORE,
    "inference": PARTS | {"methods", "evaluation", "checkpoints"},
    "training": EVERYTHING - {"toys", "commands"},
    "toys": EVERYTHING - {"commands"},
    "commands": EVERYTHING,
    "cli": {"commands", "training"} | ERRORS,
}
NOT_IN_THE_LIBRARY = ("experiments",)
OF_THE_COMMAND_LINE = ("ml_collections", "absl.flags", "absl.app")
WITH_A_COMMAND_LINE = {"training", "toys", "commands"}


def imported(source, module, is_package=False):
    """The full names that a module imports, wherever in the file it does."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def part_of(name):
    """jaxgan.networks.mlp -> networks; of the package itself, the empty string."""
    return name.removeprefix("jaxgan").removeprefix(".").partition(".")[0]


def violations(module, names):
    """The imports among `names` that a module of this name must not have."""
    part = part_of(module)
    found = set()
    for name in names:
        forbidden = NOT_IN_THE_LIBRARY
        if part not in WITH_A_COMMAND_LINE:
            forbidden += OF_THE_COMMAND_LINE
        if any(name == no or name.startswith(f"{no}.") for no in forbidden):
            found.add(name)
        if name == "jaxgan" or name.startswith("jaxgan."):
            # `from jaxgan import UserError` asks for the whole package, which imports everything.
            other = part_of(name)
            if other == part:
                continue
            if part in ALLOWED and other not in ALLOWED[part]:
                found.add(name)
    return found


def test_each_part_has_its_rule():
    assert {name.split(".")[1] for name in MODULES if "." in name} == set(ALLOWED)


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("jaxgan.losses", "import jax\nfrom jaxgan.errors import UserError", set()),
        ("jaxgan.losses", "from jaxgan.state import Player", {"jaxgan.state.Player"}),
        ("jaxgan.losses", "from jaxgan import networks", {"jaxgan.networks"}),
        ("jaxgan.losses", "from jaxgan import UserError", {"jaxgan.UserError"}),
        ("jaxgan.losses", "import jaxgan", {"jaxgan"}),
        ("jaxgan.losses", "from . import networks", {"jaxgan.networks"}),
        ("jaxgan.losses", "from .errors import UserError", set()),
        ("jaxgan.networks.mlp", "from .layers import Conv", set()),
        ("jaxgan.networks.mlp", "from ..losses import Loss", {"jaxgan.losses.Loss"}),
        ("jaxgan.networks.mlp", "def f():\n  import jaxgan.data", {"jaxgan.data"}),
        ("jaxgan.step", "from jaxgan.state import TrainState", set()),
        ("jaxgan.step", "from jaxgan.latent import x", {"jaxgan.latent.x"}),
        ("jaxgan.methods.new", "from jaxgan.losses import Loss", set()),
        ("jaxgan.methods.new", "from jaxgan.networks import mlp", {"jaxgan.networks.mlp"}),
        ("jaxgan.methods.new", "from jaxgan import load_generator", {"jaxgan.load_generator"}),
        ("jaxgan.runs.new", "from jaxgan.training.loop import fit", {"jaxgan.training.loop.fit"}),
        ("jaxgan.training.loop", "from experiments import dcgan", {"experiments.dcgan"}),
        ("jaxgan.methods.new", "import ml_collections", {"ml_collections"}),
        ("jaxgan.methods.new", "from absl import flags", {"absl.flags"}),
        ("jaxgan.training.loop", "from absl import flags\nfrom jaxgan.data import mnist", set()),
    ],
)
def test_the_rule_finds_what_breaks_it(module, source, found):
    assert violations(module, imported(source, module)) == found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    path = MODULES[module]
    names = imported(path.read_text(), module, path.name == "__init__.py")
    found = violations(module, names)
    assert not found, f"{path} may not import {', '.join(sorted(found))}"


STEP = """
players, tx = jaxgan.networks.mlp(image_shape=(8, 8, 1)), optax.adam(1e-3)
options = {"latent_dim": 64, "loss": jaxgan.losses.non_saturating}
method, batch = jaxgan.methods.adversarial(*players, **options), {"image": jnp.zeros((4, 8, 8, 1))}
state = method.init(jax.random.key(0), batch, tx, tx)
jax.eval_shape(jaxgan.make_train_step(method, tx, tx), state, batch)
"""


def packages_after(code):
    """The packages of others that a process has imported when it has run the code."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", "import flax.linen, jax, jax.numpy as jnp, numpy, optax\n" + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT.parent,
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split()) - set(sys.stdlib_module_names)


def test_a_train_step_needs_jax_flax_optax_and_numpy_alone():
    step = packages_after("import jaxgan" + STEP)
    assert step - packages_after("") == {"jaxgan"}


def test_no_file_needs_tensorflow():
    """An extra, which only preparing a data set takes; half of CLU would import it."""
    packages = packages_after("import " + ", ".join(MODULES))
    assert {"clu", "orbax", "tensorflow"} & packages == {"clu", "orbax"}


WITH_EXAMPLES = [name for name, path in MODULES.items() if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whatever an example writes
    report = io.StringIO()
    runner = doctest.DocTestRunner()
    module = importlib.import_module(name)
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert tests, f"{name} has examples outside its docstrings"
    for test in tests:
        runner.run(test, out=report.write)
    assert not runner.failures, f"{name}: an example does not run as written\n{report.getvalue()}"


def test_every_folder_of_code_is_a_package():
    """One without `__init__.py` is not in the wheel."""
    folders = {path.parent for path in FILES}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
