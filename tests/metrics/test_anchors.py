"""Metrics against the figures that packages of others gave for the same inputs.

`python benchmarks/anchors.py` made the figures, of pytorch-fid, prdc and torch-fidelity.
"""

import json
from pathlib import Path

import anchor_inputs
import jax
import numpy as np
import pytest
from anchor_inputs import SOME_FEATURES, SOME_LOGITS, SPLITS
from torch_writer import write_legacy

from jaxgan import metrics
from jaxgan.metrics.inception import InceptionV3, load_inception
from jaxgan.metrics.torch_file import convert_weights

FIGURES = json.loads((Path(__file__).parents[2] / "results" / "anchors.json").read_text())[
    "figures"
]
MANIFOLD, INCEPTION = FIGURES["manifold"], FIGURES["inception"]
PAIRS, TIED, LOGITS = (
    anchor_inputs.feature_pairs(),
    anchor_inputs.tied_pairs(),
    anchor_inputs.draw_logits(),
)


def test_every_input_has_its_figures():
    assert set(INCEPTION["cases"]) == set(anchor_inputs.IMAGE_SIZES)
    assert set(FIGURES["frechet"]) == set(MANIFOLD["continuous"]) == set(PAIRS)
    assert set(FIGURES["kernel"]) == {n for n, (x, y) in PAIRS.items() if len(x) == len(y)}
    assert set(MANIFOLD["tied"]) == set(TIED)
    assert set(FIGURES["inception_score"]) == set(LOGITS)
    assert all(set(figures) == set(SPLITS) for figures in FIGURES["inception_score"].values())


@pytest.mark.parametrize("name", PAIRS)
def test_the_frechet_distance_is_pytorch_fids(name):
    gaussians = []
    for features in PAIRS[name]:
        moments = metrics.start_moments(features.shape[1])
        for batch in np.array_split(features, 7):
            moments = metrics.add_features(moments, batch)
        gaussians.append(metrics.finish_moments(moments))
    theirs = FIGURES["frechet"][name]["pytorch_fid"]
    # Theirs takes the root of a product, which loses half of the digits where it is singular.
    singular = name in ("variances from 1 to 1e-8", "fewer samples than dimensions")
    assert metrics.frechet_distance(*gaussians) == pytest.approx(
        theirs, rel=1e-6 if singular else 1e-11
    )


@pytest.mark.parametrize("name", PAIRS)
def test_precision_recall_density_and_coverage_are_prdcs(name):
    ours = {
        **metrics.precision_recall(*PAIRS[name], k=MANIFOLD["k"])._asdict(),
        **metrics.density_coverage(*PAIRS[name], k=MANIFOLD["k"])._asdict(),
    }
    assert ours == pytest.approx(MANIFOLD["continuous"][name]["prdc"], rel=1e-12)


@pytest.mark.parametrize("name", TIED)
def test_on_the_edge_of_a_ball_is_inside_for_torch_fidelity_and_outside_for_prdc(name):
    figures = MANIFOLD["tied"][name]
    ours = metrics.precision_recall(*TIED[name], k=MANIFOLD["k"])._asdict()
    assert ours == pytest.approx(figures["torch_fidelity"], rel=1e-6)
    without = figures["prdc, which leaves the edge out"]
    assert without["precision"] < ours["precision"]
    assert without["recall"] < ours["recall"]


@pytest.mark.parametrize("name", FIGURES["kernel"])
def test_the_kernel_distance_is_torch_fidelitys(name):
    real, fake = PAIRS[name]
    ours = metrics.kernel_distance(real, fake, block_size=len(real)).value
    assert ours == pytest.approx(FIGURES["kernel"][name]["torch_fidelity"], rel=1e-11)


@pytest.mark.parametrize("splits", SPLITS)
@pytest.mark.parametrize("name", LOGITS)
def test_the_inception_score_is_torch_fidelitys(name, splits):
    theirs = FIGURES["inception_score"][name][splits]["torch_fidelity"]
    ours = metrics.inception_score(LOGITS[name], splits=SPLITS[splits])
    assert tuple(ours) == pytest.approx(theirs, rel=1e-11, abs=1e-14)


# The network.


@pytest.fixture(scope="module")
def tensors():
    return anchor_inputs.inception_weights(INCEPTION["kernels"])


@pytest.fixture(scope="module")
def inception(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    write_legacy(path, tensors)
    return load_inception(path)


def test_the_network_has_pytorch_fids_tensors_and_no_others(tensors):
    images = np.zeros((1, 75, 75, 3), np.float32)
    like = jax.eval_shape(InceptionV3().init, jax.random.key(0), images)
    variables = convert_weights(tensors, like)  # refuses what is missing, other or left over
    assert jax.tree.structure(variables) == jax.tree.structure(like)


@pytest.mark.parametrize(
    "size",
    [  # Every size is compiled anew; `prepare_images`, all that they differ in, has its own tests.
        size if size == "28x28 grey" else pytest.param(size, marks=pytest.mark.long)
        for size in INCEPTION["cases"]
    ],
)
def test_features_and_logits_are_pytorch_fids(inception, size):
    outputs, figures = inception(anchor_inputs.draw_images(size)), INCEPTION["cases"][size]
    assert {name: output.shape for name, output in outputs.items()} == {
        "features": (2, 2048),
        "logits": (2, 1008),
    }
    for name, kept in (("features", SOME_FEATURES), ("logits", SOME_LOGITS)):
        expected = np.array(figures[name])
        scale = np.std(expected)
        assert 0.1 < scale < 10, name
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(
            outputs[name][:, kept] / scale, expected / scale, rtol=0, atol=1e-4, err_msg=name
        )
