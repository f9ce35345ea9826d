"""What sgan.py reports of a finished run: how many held-out images are put in their class."""

from pathlib import Path

from jaxgan.files import write_json
from jaxgan.runs.page import read_metrics


def report(config, workdir):
    """Prints and writes the accuracies of a finished run, if there are test images."""
    rows = read_metrics(Path(workdir) / "metrics.jsonl")
    for row in [row for row in rows if "eval/accuracy" in row][-1:]:
        mine, alone = row["eval/accuracy"], row["eval/accuracy_supervised"]
        values = {"split": config.evaluate_on, "labels": config.labels}
        values |= {"accuracy": mine, "accuracy_supervised": alone}
        file = write_json(Path(workdir) / "sgan.json", values)
        of = f"{config.evaluate_on} images right"
        print(f"{config.labels} labels: {mine:.2%} of {of}, {alone:.2%} without a GAN")
        print(file)
