"""The names of metrics, and what the package offers."""

import pytest

from jaxgan import UserError, metrics
from jaxgan.metrics import metric_name


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


@pytest.mark.parametrize("num_samples", [0, -1000])
def test_a_metric_of_no_samples_has_no_name(num_samples):
    with pytest.raises(UserError, match=rf"^num_samples: got {num_samples}, expected [^\n]*$"):
        metric_name("fid", "lenet", num_samples)


def test_every_name_the_package_offers_is_there():
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)
