"""The command `jaxgan`.

    jaxgan train dcgan --workdir runs/
    jaxgan sample --workdir runs/ --num 64 --out grid.png
    jaxgan evaluate --workdir runs/
    jaxgan translate --workdir runs/cyclegan --direction ab --input FOLDER --output FOLDER
    jaxgan export --workdir runs/ --to FOLDER

`train` runs one of the experiments; what it takes is told by `jaxgan train NAME --help`. The others
do what the scripts of their names do.
"""

import importlib
import runpy
import sys
from pathlib import Path

from jaxgan.errors import UserError
from jaxgan.training.command_line import reporting_errors

COMMANDS = {
    "sample": "sample",
    "evaluate": "evaluate",
    "translate": "translate",
    "export": "export",
    "explore": "latent",
    "caption": "stackgan_sample",
}
"""Command -> its module in `jaxgan.commands`."""
_ROOT = Path(__file__).parent


def experiments() -> dict[str, Path]:
    """Name -> script, of the experiments of an installation or of a checkout."""
    folders = (_ROOT / "experiments", _ROOT.parent / "experiments")
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    scripts = {path.stem: path for path in sorted(folder.glob("*.py"))}
    return {name: path for name, path in scripts.items() if name not in COMMANDS.values()}


def main() -> None:
    """Runs what the command line names."""
    command, *rest = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(f"{__doc__}\nExperiments: {', '.join(experiments())}.")
        return
    if command in COMMANDS:
        module = importlib.import_module(f"jaxgan.commands.{COMMANDS[command]}")
        sys.argv = [f"jaxgan {command}", *rest]
        with reporting_errors():
            module.main()
        return
    script = _script(command, rest)
    sys.argv = [str(script), *rest[1:]]
    sys.path.insert(0, str(script.parent))  # experiments build on one another
    runpy.run_path(str(script), run_name="__main__")


def _script(command: str, rest: list[str]) -> Path:
    """The script that `train NAME` stands for; anything else ends the program in one line."""
    known = experiments()
    if command != "train":
        got, expected = f"command: got {command!r}", ", ".join(("train", *COMMANDS))
    elif not rest or rest[0] not in known:
        name = repr(rest[0]) if rest else "none"
        got, expected = f"experiment: got {name}", ", ".join(known)
    else:
        return known[rest[0]]
    sys.argv[0] = "jaxgan"
    with reporting_errors():
        raise UserError(f"{got}, expected one of {expected}")


if __name__ == "__main__":
    main()
