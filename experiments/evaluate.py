"""Measures a trained run: how far its images are from real ones.

    python experiments/evaluate.py --workdir runs/ --metrics fid,kid,prdc --num 10000

What it takes is said by --help, and in `jaxgan/commands/evaluate.py`.
"""

from jaxgan.commands import evaluate
from jaxgan.training.command_line import reporting_errors

if __name__ == "__main__":
    with reporting_errors():
        evaluate.main()
