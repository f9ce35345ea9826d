"""Explores the latent space of a trained run, and what its networks know.

    python experiments/latent.py --workdir runs/ --what walk --out walk.gif

What it takes is said by --help, and in `jaxgan/commands/latent.py`.
"""

from jaxgan.commands import latent
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    with reporting_errors():
        latent.main()
