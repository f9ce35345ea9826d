"""Brings a trained generator out into the world: weights, programs, and a card.

    python experiments/export.py --workdir runs/ --to FOLDER

What it takes is said by --help, and in `jaxgan/commands/export.py`.
"""

from jaxgan.commands import export
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    with reporting_errors():
        export.main()
