"""The command line of every script: its flags and config, its errors in one line."""

import argparse
import contextlib
import difflib
import errno
import faulthandler
import logging as std_logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_dict, config_flags

from jaxgan import cpu
from jaxgan.errors import UserError
from jaxgan.training import processes
from jaxgan.training.signals import EXIT_CODES, Stopped

# A full disk, a quota, a limit on the size of files, a read-only file system.
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Flags of app.run, which is not used: taken, they would do nothing.
_OF_APP_RUN = {"run_with_pdb", "pdb_post_mortem", "pdb", "run_with_profiling", "profile_file",
               "use_cprofile_for_profiling", "only_check_args"}  # fmt: skip


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Around what a script does: ends it by one line on stderr where that does not end well.

    The exit status is 2 after bad input; 75 after SIGTERM and 130 after SIGINT, where all that can
    be saved is saved and the same command goes on.
    """
    program = os.path.basename(sys.argv[0])

    def leave(number, frame):
        # Between the loops that save what they have reached there is nothing to save.
        message = "stopped by SIGTERM; what was saved is kept, and the same command goes on"
        print(f"\n{program}: {message}", file=sys.stderr)
        sys.exit(EXIT_CODES["SIGTERM"])

    signal.signal(signal.SIGTERM, leave)
    # jaxgan speaks for itself. The libraries below it raise what is wrong as well as log it, with
    # the tracebacks of their threads.
    logging.set_verbosity(logging.FATAL)
    if jax.config.jax_logging_level in (None, "NOTSET"):  # type: ignore[attr-defined]
        # XLA 0.10 calls features of the very processor that compiled a program an error, a page of
        # them for each program from the cache. What JAX itself warns of is still told.
        jax.config.update("jax_logging_level", "CRITICAL")
        for name in ("jax", "jaxlib"):
            std_logging.getLogger(name).setLevel(std_logging.WARNING)
            std_logging.getLogger(name).handlers.clear()
    std_logging.getLogger("asyncio").setLevel(std_logging.CRITICAL)
    sys.unraisablehook = _pass_over_late_answers
    # What Pillow warns of can be read all the same, or is refused by its name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    keep_compilations()
    try:
        yield
        sys.stdout.flush()
        processes.part()
    except Stopped as stopped:
        print(f"{program}: {stopped}", file=sys.stderr)
        processes.part()  # all of them stop at the same step
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted; the newest checkpoint is kept", file=sys.stderr)
        processes.leave(EXIT_CODES["SIGINT"])
    except UserError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        processes.leave(2)
    except BrokenPipeError:
        # What is still to be flushed at the exit has to go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"{program}: nobody reads its output any more", file=sys.stderr)
        processes.leave(1)
    except SystemExit as end:  # absl ends what went well in this way, too
        if end.code:
            processes.leave(end.code)
        processes.part()
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
            what = f"cannot write {error.filename or ''}".rstrip()
            print(f"{program}: error: {what}: {error.strerror}", file=sys.stderr)
            processes.leave(2)
        if not processes.joined():
            raise
        # The others wait for this one: it must not wait for them.
        processes.tell_failure(error)
        processes.leave(1)


def _pass_over_late_answers(unraisable) -> None:
    """Not a word of what TensorStore's threads answer Orbax after the first error: it is raised."""
    if "Event loop is closed" not in str(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


def as_started() -> str:
    """The command that started this script."""
    return " ".join(["python", *sys.argv])


def start(get_config: Callable, run: Callable) -> None:
    """Runs a script of another kind, `run(config, workdir)`, with the same command line."""
    with reporting_errors():
        config, workdir = read_config(get_config())
        cpu.keep_memory()
        run(config, workdir)


def read_config(
    config: config_dict.ConfigDict, names: tuple[str, ...] = ()
) -> tuple[config_dict.ConfigDict, str]:
    """What the command line makes of a config, and the run's folder.

    Args:
      config: the defaults.
      names: of the script's own flags, which its --help shows as well.

    Returns:
      (config, workdir).
    """
    _check_field_names(sys.argv, config)
    flags.DEFINE_string("workdir", None, "The run's folder: made, or gone on with.")
    config_flags.DEFINE_config_dict(
        "config",
        config,
        "The settings, each a flag, as in --config.batch_size=128; what they mean is said beside "
        "them, in this script and in config.py, generation.py and adversarial.py of "
        "jaxgan/training/.",
    )
    for name in ("workdir", "config", *names):
        # Only flags of the script itself are shown by --help.
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])
    for name in _OF_APP_RUN.intersection(flags.FLAGS):
        delattr(flags.FLAGS, name)
    app.define_help_flags()
    _parse_flags(sys.argv, config)
    if flags.FLAGS.workdir is None:
        raise UserError("workdir: got none, expected the run's folder, as --workdir runs/")
    return flags.FLAGS.config, flags.FLAGS.workdir


def given_fields() -> set[str]:
    """The fields of the config that the command line gives."""
    return set(config_flags.get_override_values(flags.FLAGS["config"]))


def read_variant(variants: tuple[str, ...]) -> str:
    """The `--variant` of the command line, the first unless given; makes a flag of it, too."""
    flags.DEFINE_enum("variant", variants[0], variants, "Which of the published variants.")
    # It chooses the defaults that --config.FIELD overrides, so it is read before them.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--variant", default=variants[0])
    try:
        chosen, _ = parser.parse_known_args(sys.argv[1:])
    except argparse.ArgumentError:
        raise UserError(f"variant: got no name, expected one of {', '.join(variants)}") from None
    if chosen.variant not in variants:
        raise UserError(f"variant: got {chosen.variant!r}, expected one of {', '.join(variants)}")
    return chosen.variant


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds to a script's arguments which trained run it looks at, and which of its parameters."""
    parser.add_argument("--workdir", required=True, help="the folder of a run")
    parser.add_argument("--step", type=int, help="which checkpoint (the newest)")
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use the averaged parameters, where the run kept them (yes)",
    )


def parse_arguments(
    parser: argparse.ArgumentParser, given: list[str] | None = None
) -> argparse.Namespace:
    """The arguments of a script that computes, by default those of the command line."""
    arguments = parser.parse_args(given)
    cpu.keep_memory()
    return arguments


def keep_compilations() -> None:
    """Keeps compiled programs on disk, so that a second start does not compile them again."""
    # JAX makes the attributes of its options as it is imported.
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        cache = Path.home() / ".cache" / "jaxgan" / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    # The dozens of small programs too, which together take as long as a large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _check_field_names(argv: list[str], config: config_dict.ConfigDict) -> None:
    for argument in argv[1:]:
        if not argument.lstrip("-").startswith("config."):
            continue
        name = argument.lstrip("-").removeprefix("config.").split("=")[0]
        if name not in config:
            near = difflib.get_close_matches(name, config, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(config)}"
            raise UserError(f"config.{name}: there is no such field; {hint}")


def _parse_flags(argv: list[str], config: config_dict.ConfigDict) -> None:
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:
        sys.exit(0)  # absl ends --help, and only that, as if it were an error
    except flags.UnrecognizedFlagError as error:
        hint = f"; did you mean --config.{error.flagname}?" if error.flagname in config else ""
        raise UserError(f"{error}{hint}") from None
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(" ".join(str(error).split())) from None
    if len(rest) > 1:
        raise UserError(f"got the argument {rest[1]!r}, expected flags, as in --workdir runs/")
