"""Draws images of a caption with a trained StackGAN.

What it takes is said by --help, and in `jaxgan/commands/stackgan_sample.py`.
"""

from jaxgan.commands import stackgan_sample
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    reporting_errors(stackgan_sample.main)
