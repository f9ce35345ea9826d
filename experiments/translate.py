"""Makes images of a folder's with a run of cyclegan.py, discogan.py, pix2pix.py and the like.

    python experiments/translate.py --workdir runs/ --direction ab --input FOLDER --output FOLDER

What it takes is said by --help, and in `jaxgan/commands/translate.py`.
"""

from jaxgan.commands import translate
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    with reporting_errors():
        translate.main()
