"""Draws images from a trained run.

    python experiments/sample.py --workdir runs/ --num 64 --out grid.png

What it takes is said by --help, and in `jaxgan/commands/sample.py`.
"""

from jaxgan.commands import sample
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    with reporting_errors():
        sample.main()
