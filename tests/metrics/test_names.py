"""The names of metrics, and what the package offers."""

import pytest

from jaxgan import UserError, metrics
from jaxgan.metrics import metric_name, name_in


@pytest.mark.parametrize(
    ("num_samples", "written"),
    [
        (1, "1"),
        (999, "999"),
        (1_000, "1k"),
        (2_500, "2500"),
        (10_000, "10k"),
        (10_001, "10001"),
        (50_000, "50k"),
        (1_000_000, "1000k"),
    ],
)
def test_a_name_says_the_network_and_the_sample_count(num_samples, written):
    assert metric_name("fid", "lenet", num_samples) == f"fid_lenet_{written}"


@pytest.mark.parametrize(
    ("metric", "network", "name"),
    [
        ("fid", "lite0", "fd"),
        ("class_fid_worst", "lite1", "class_fd_worst"),
        ("fid", "inception", "fid"),
        ("fid", "lenet", "fid"),
        ("kid_standard_error", "lite0", "kid_standard_error"),
    ],
)
def test_a_distance_that_no_paper_has_is_not_called_fid(metric, network, name):
    assert name_in(metric, network) == name
    assert metric_name(metric, network, 2_000) == f"{name}_{network}_2k"


@pytest.mark.parametrize("num_samples", [0, -1000])
def test_a_metric_of_no_samples_has_no_name(num_samples):
    with pytest.raises(UserError, match=rf"^num_samples: got {num_samples}, expected [^\n]*$"):
        metric_name("fid", "lenet", num_samples)


def test_every_name_the_package_offers_is_there():
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)
