"""Runs many commands of experiments in one process, none of which gets as far as a network.

    python many_commands.py < commands.json > answers.json

Each command is [script, argument, ...], each answer [exit status or "accepted", stderr]. A command
is accepted when the first network is initialised, which is what is compiled first.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback
from pathlib import Path

import flax.linen as nn
from absl import flags

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
sys.path.insert(0, str(EXPERIMENTS))


class Accepted(BaseException):
    pass


def accept(*arguments, **options):
    raise Accepted


def forget_flags():
    own = [name for name in flags.FLAGS if name.split(".")[0] in ("config", "workdir", "variant",
           "stage", "change_config", "distributed",
           "coordinator_address", "num_processes", "process_id")]  # fmt: skip
    for name in own:
        delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


def run(name, *arguments):
    script, told = EXPERIMENTS / f"{name}.py", io.StringIO()
    sys.argv = [str(script), *arguments]
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_path(str(script), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code
        except Accepted:
            status = "accepted"
        except BaseException:
            status = traceback.format_exc()
    forget_flags()
    return status, told.getvalue()


if __name__ == "__main__":
    nn.Module.init = nn.Module.init_with_output = accept
    json.dump([run(*command) for command in json.load(sys.stdin)], sys.stdout)
