r"""Draws images of a caption with a trained StackGAN.

    python experiments/stackgan_sample.py --workdir runs/stackgan --caption "a small red seven at \
        the top left on a dark blue ground"

What it takes is said by --help, and in `jaxgan/commands/stackgan_sample.py`.
"""

from jaxgan.commands import stackgan_sample
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    with reporting_errors():
        stackgan_sample.main()
