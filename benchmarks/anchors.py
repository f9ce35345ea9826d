"""Our metrics beside those of packages that others wrote; the figures go to results/anchors.json.

The tests compare our metrics with the packages' figures in that file, without the packages.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import prdc
import torch
from anchor_inputs import (
    IMAGE_SIZES,
    SOME_FEATURES,
    SOME_LOGITS,
    SPLITS,
    draw_images,
    draw_logits,
    feature_pairs,
    inception_weights,
    tied_pairs,
)
from pytorch_fid import inception
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from jaxgan import metrics
from jaxgan.metrics.inception import load_inception
from jaxgan.runs.provenance import provenance

ROOT = Path(__file__).parent.parent
PACKAGES = ("scipy", "torch", "torchvision", "pytorch-fid", "prdc", "torch-fidelity")
K = 5

TOLERANCE = {
    "inception": 1e-4,  # of the standard deviation of the features or logits, in float32
    "frechet": 1e-6,  # relative; of a square root of matrices that are nearly singular
    "manifold": 1e-7,  # torch-fidelity takes its means in float32
    "kernel": 1e-9,  # relative
    "inception_score": 1e-9,  # relative
}


def compare_inception() -> dict:
    """Features and logits of pytorch-fid's network with random weights, saved and read by ours."""
    # Its weights are nowhere to be fetched here, and are replaced anyway.
    with (
        mock.patch.object(inception, "load_state_dict_from_url", return_value={}),
        mock.patch.object(torch.nn.Module, "load_state_dict"),
    ):
        whole = inception.fid_inception_v3()
    with mock.patch.object(inception, "fid_inception_v3", return_value=whole):
        network = inception.InceptionV3().eval()
    shapes = {
        re.sub(r"(\.conv)?\.weight$", "", name): tuple(tensor.shape)
        for name, tensor in whole.state_dict().items()
        if tensor.ndim > 1
    }
    weights = inception_weights(shapes)
    whole.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    whole.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.save(whole.state_dict(), path)
        ours = load_inception(path)
    cases = {}
    for size in IMAGE_SIZES:
        images = draw_images(size)
        with torch.no_grad():
            given = torch.tensor(np.repeat(images, 3 // images.shape[-1], -1).transpose(0, 3, 1, 2))
            theirs = {"features": network(given)[0][:, :, 0, 0]}
            theirs["logits"] = whole.fc(theirs["features"])
        made, case = ours(images), {"difference": 0.0}
        for name, kept in (("features", SOME_FEATURES), ("logits", SOME_LOGITS)):
            expected = theirs[name].numpy().astype(np.float64)
            difference = np.max(np.abs(made[name] - expected)) / np.std(expected)
            case["difference"] = max(case["difference"], float(difference))
            case[name] = _digits(expected[:, kept], 7)
        cases[size] = case
    return {"kernels": shapes, "cases": cases}


def compare_frechet() -> dict:
    """The distance of Gaussians fitted by NumPy, by pytorch-fid; ours fits them batch by batch."""
    figures = {}
    for name, (real, fake) in feature_pairs().items():
        fitted = (stat for x in (real, fake) for stat in (np.mean(x, 0), np.cov(x, rowvar=False)))
        theirs = calculate_frechet_distance(*fitted)
        figures[name] = _scalar("pytorch_fid", theirs, frechet(real, fake))
    return figures


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """Ours, of features that come in batches."""
    gaussians = []
    for features in (real, fake):
        moments = metrics.start_moments(features.shape[1])
        for batch in np.array_split(features, 7):
            moments = metrics.add_features(moments, batch)
        gaussians.append(metrics.finish_moments(moments))
    return metrics.frechet_distance(*gaussians)


def compare_manifold() -> dict:
    """Precision, recall, density and coverage; where distances tie, the packages differ."""
    continuous = {}
    for name, (real, fake) in feature_pairs().items():
        theirs = _prdc(real, fake)
        ours = {
            **metrics.precision_recall(real, fake, k=K)._asdict(),
            **metrics.density_coverage(real, fake, k=K)._asdict(),
        }
        difference = max(abs(theirs[key] - ours[key]) for key in theirs)
        continuous[name] = {"prdc": theirs, "difference": difference}
    tied = {}
    for name, (real, fake) in tied_pairs().items():
        given = (torch.tensor(fake), torch.tensor(real))
        theirs = prc_features_to_metric(
            *given, prc_neighborhood=K, prc_batch_size=10_000, save_cpu_ram=False, verbose=False
        )
        ours = metrics.precision_recall(real, fake, k=K)._asdict()
        tied[name] = {
            "torch_fidelity": {key: _digits(theirs[key], 7) for key in ours},
            "difference": max(abs(theirs[key] - ours[key]) for key in ours),
            "prdc, which leaves the edge out": _prdc(real, fake),
        }
    return {"k": K, "continuous": continuous, "tied": tied}


def _prdc(real, fake):
    with contextlib.redirect_stdout(io.StringIO()):
        figures = prdc.compute_prdc(real, fake, K)
    return {name: float(value) for name, value in figures.items()}


def compare_kernel() -> dict:
    """KID over all samples at once, where subsets drawn at random are the same as ours."""
    figures = {}
    for name, (real, fake) in feature_pairs().items():
        if len(real) == len(fake):
            size = len(real)
            theirs = kid_features_to_metric(
                *(torch.tensor(x) for x in (real, fake)),
                kid_subsets=1,
                kid_subset_size=size,
                verbose=False,
            )["kernel_inception_distance_mean"]
            ours = metrics.kernel_distance(real, fake, block_size=size).value
            figures[name] = _scalar("torch_fidelity", theirs, ours)
    return figures


def compare_inception_score() -> dict:
    """Mean and standard deviation over splits, in the order of the samples."""
    figures = {}
    for name, logits in draw_logits().items():
        figures[name] = {}
        for key, splits in SPLITS.items():
            theirs = isc_features_to_metric(torch.tensor(logits), splits, shuffle=False)
            expected = [theirs["inception_score_mean"], theirs["inception_score_std"]]
            ours = metrics.inception_score(logits, splits=splits)
            difference = max(abs(a - b) for a, b in zip(ours, expected, strict=True))
            figures[name][key] = {
                "torch_fidelity": _digits(expected, 13),
                "difference": difference / expected[0],
            }
    return figures


def _scalar(package: str, theirs: float, ours: float) -> dict:
    return {package: _digits(theirs, 13), "difference": float(abs(ours / theirs - 1))}


def _digits(values, count: int):
    """Numbers, or lists of them, as JSON is to have them."""
    if isinstance(values, float):
        return float(f"{values:.{count}g}")
    return [_digits(value, count) for value in np.asarray(values).tolist()]


def _largest(figures) -> float:
    if not isinstance(figures, dict):
        return 0.0
    own = figures.get("difference", 0.0)
    return max([own, *(_largest(part) for part in figures.values())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "anchors.json")
    path = parser.parse_args().json
    # SciPy deprecates what pytorch-fid asks it for.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    figures = {
        "inception": compare_inception(),
        "frechet": compare_frechet(),
        "manifold": compare_manifold(),
        "kernel": compare_kernel(),
        "inception_score": compare_inception_score(),
    }
    largest = {name: _largest(part) for name, part in figures.items()}
    result = {
        "command": "python benchmarks/anchors.py",
        **provenance(*PACKAGES),
        "figures": {"largest_difference": largest, **figures},
    }
    text = json.dumps(result, indent=1)
    # A list of numbers on one line.
    text = re.sub(r"\[[^][{}]*\]", lambda found: json.dumps(json.loads(found[0])), text)
    path.write_text(text + "\n")
    for name, difference in largest.items():
        verdict = "" if difference <= TOLERANCE[name] else f", above {TOLERANCE[name]:g}"
        print(f"{name}: largest difference {difference:.1e}{verdict}")
    if any(difference > TOLERANCE[name] for name, difference in largest.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
