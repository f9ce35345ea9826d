"""Linear probes of features, beside ridge regression that is written out."""

import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.evaluation.features import Features
from jaxgan.evaluation.probe import fit_class_probe, fit_probe


def clusters(rng, counts, spread=0.3):
    """So many images of each class, about corners of a cube, with features of other scales."""
    labels = np.repeat(np.arange(len(counts)), counts)
    features = np.eye(len(counts))[labels] + spread * rng.normal(size=(len(labels), len(counts)))
    return Features(1 + features * [1, 10, 100][: len(counts)], features, labels)


def test_it_is_the_ridge_regression_of_scaled_features():
    rng = np.random.default_rng(0)
    x, t, w = rng.normal(2, 3, (40, 5)), rng.normal(1, 2, (40, 2)), rng.uniform(1, 2, 40)
    z = (x - x.mean(0)) / x.std(0)
    # The intercept as a column of its own, which the penalty leaves alone.
    design = np.column_stack([z, np.ones(40)])
    penalty = np.diag([0.7] * 5 + [0]) * w.sum()
    solution = np.linalg.solve(
        design.T @ (w[:, None] * design) + penalty, design.T @ (w[:, None] * t)
    )
    np.testing.assert_allclose(fit_probe(x, t, w, penalty=0.7)(x), design @ solution, rtol=1e-6)


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    rng = np.random.default_rng(0)
    accuracy = fit_class_probe(clusters(rng, (2000, 20, 20), 0.6), of=[0, 1, 2])
    shares = accuracy(clusters(rng, (500, 500, 500), 0.6))
    assert min(shares[f"accuracy_{k}"] for k in range(3)) > 0.7
    assert shares["accuracy"] == pytest.approx(np.mean([shares[f"accuracy_{k}"] for k in range(3)]))


def test_classes_of_which_no_real_image_is_held_out_do_not_count():
    rng = np.random.default_rng(0)
    accuracy = fit_class_probe(clusters(rng, (50, 50, 50)), of=[0, 2])
    made = clusters(rng, (10, 10, 30))
    made.labels[-20:] = 0  # not what was asked for
    shares = accuracy(made)
    assert set(shares) == {"accuracy", "accuracy_0", "accuracy_2"}
    assert shares["accuracy_0"] == pytest.approx(1 / 3, abs=0.05)
    assert shares["accuracy"] == (shares["accuracy_0"] + shares["accuracy_2"]) / 2


def test_bad_input_is_told_in_one_line():
    with pytest.raises(UserError, match=r"^targets: got 3 for 2 rows of features, expected one"):
        fit_probe(np.ones((2, 1)), np.ones((3, 1)))
    with pytest.raises(UserError, match=r"^labels: got none, expected the classes of the images$"):
        fit_class_probe(Features(np.ones((2, 1)), np.ones((2, 1))), of=[0])
