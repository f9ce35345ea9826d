"""Translates a folder of images with a run of cyclegan.py or discogan.py.

What it takes is said by --help, and in `jaxgan/commands/translate.py`.
"""

from jaxgan.commands import translate
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    reporting_errors(translate.main)
