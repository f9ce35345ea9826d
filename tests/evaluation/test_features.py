"""Streams of images become features, features figures, and those of real images stay on disk."""

import numpy as np
import pytest
from pixel_images import LOOK, Source, features_of

from jaxgan import UserError, data
from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.features import (
    METRICS,
    collect_features,
    evaluate_features,
    generated_batches,
    real_batches,
)
from jaxgan.inputs import Latents


class Network:
    """The first pixel, in 255ths, as feature and logit; counts the images that it saw."""

    name, version = "pixel", "1"

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        pixels = np.asarray(images)[:, 0, 0] * 255
        return {"features": pixels, "logits": np.concatenate([pixels, -pixels], axis=1)}


def values(batches, count):
    return np.round(collect_features(Network(), batches, count).features[:, 0]).astype(int)


def test_real_batches_draw_without_replacement():
    assert sorted(values(real_batches(Source(10), 10, batch_size=4, **LOOK), 10)) == list(range(10))
    some = values(real_batches(Source(200), 20, batch_size=8, **LOOK), 20)
    assert len(set(some)) == 20
    assert some.max() > 100  # from all over, not the first
    np.testing.assert_array_equal(
        some, values(real_batches(Source(200), 20, batch_size=20, **LOOK), 20)
    )
    assert set(some) != set(values(real_batches(Source(200), 20, seed=1, **LOOK), 20))


def generate(latents):
    return np.asarray(latents).reshape(-1, 2, 2, 1)


generate.inputs = {"latents": Latents(4, "uniform")}


def test_generated_images_depend_on_the_seed_and_not_on_the_batches():
    small, large, other = (
        np.concatenate(list(generated_batches(generate, 10, batch_size=size, seed=seed)))[:10]
        for size, seed in ((4, 0), (16, 0), (4, 1))
    )
    np.testing.assert_array_equal(small, large)
    assert len(np.unique(small)) == small.size
    assert not np.any(small == other)


def test_collecting_keeps_order_and_leaves_out_what_fills_up():
    batches = [np.arange(b, b + 3).reshape(3, 1, 1, 1) / 255 for b in (0, 3)]
    np.testing.assert_allclose(collect_features(Network(), batches, 5).features[:, 0], range(5))


def test_figures_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    real, fake = features_of(rng, 0.0, 1.0), features_of(rng, 3.0, 2.0)
    real = real._replace(logits=np.eye(4)[np.arange(400) % 4] * 50)
    figures = evaluate_features(real, fake)
    assert figures["fid"] == pytest.approx(3**2 + (2 - 1) ** 2)
    # In one dimension (x y + 1)^3 compares the first three moments alone.
    x, y = real.features[:, 0], fake.features[:, 0]
    powers = [(weight, np.mean(x**p) - np.mean(y**p)) for p, weight in ((1, 3), (2, 3), (3, 1))]
    of_moments = sum(weight * gap**2 for weight, gap in powers)
    assert figures["kid"] == pytest.approx(of_moments, abs=6 * figures["kid_standard_error"])
    assert figures["kid"] > 3 * figures["kid_standard_error"]
    assert figures["is"] == pytest.approx(2.0)
    assert figures["modes"] == 2
    assert figures["reverse_kl"] == pytest.approx(np.log(2))
    across = np.abs(y[:, None] - x[None])
    inside_fake = across <= np.sort(np.abs(y[:, None] - y[None]), axis=1)[:, 3:4]
    radii = np.sort(np.abs(x[:, None] - x[None]), axis=0)  # of real, itself first
    assert figures["precision"] == pytest.approx(np.mean(np.any(across <= radii[3:4], axis=1)))
    assert figures["recall"] == pytest.approx(np.mean(np.any(inside_fake, axis=0)))
    assert figures["density"] == pytest.approx(np.sum(across <= radii[5:6]) / (5 * 400))
    assert figures["coverage"] == pytest.approx(np.mean(np.any(across <= radii[5:6], axis=0)))


def test_only_what_was_asked_for_is_computed():
    real = features_of(np.random.default_rng(0), 0.0, 1.0)
    assert evaluate_features(real, real, ("fid",)) == {"fid": pytest.approx(0, abs=1e-9)}
    assert set(evaluate_features(real, real, ("prdc",))) == {
        "precision",
        "recall",
        "density",
        "coverage",
    }


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: list(real_batches(Source(3), 4, **LOOK)), "num_samples: got 4, expected 1 to 3"),
        (lambda: list(generated_batches(generate, 0)), "num_samples: got 0, expected 1 or more"),
        (
            lambda: list(generated_batches(generate, 2, batch_size=0)),
            "batch_size: got 0, expected 1 or more",
        ),
        (
            lambda: collect_features(Network(), [np.zeros((2, 1, 1, 1))], 3),
            "num_samples: got 3 with 2 images in the batches",
        ),
        (
            lambda: evaluate_features(None, None, ("fidd",)),
            f"metrics: got 'fidd', expected some of {', '.join(METRICS)}",
        ),
        (lambda: evaluate_features(None, None, ()), "metrics: got none, expected some of fid"),
    ],
)
def test_bad_input_is_told_in_one_line(call, message):
    with pytest.raises(UserError) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path / ".cache" / "jaxgan" / "statistics"


def cached(network, source=None, num_samples=6, dataset="some", split="train", **options):
    source = Source(20) if source is None else source
    return real_features(
        network, source, num_samples, dataset=dataset, split=split, **LOOK, **options
    )


def test_the_second_time_features_come_from_disk(cache):
    first, second = Network(), Network()
    a, b = cached(first), cached(second)
    assert first.seen > 0
    assert second.seen == 0
    np.testing.assert_array_equal(a.features, b.features)
    np.testing.assert_array_equal(a.logits, b.logits)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"num_samples": 7},
        {"seed": 1},
        {"split": "test"},
        {"dataset": "another"},
        {"source": Source(21)},
        {"source": Source(20, offset=1)},
    ],
)
def test_what_is_otherwise_is_computed(cache, other):
    cached(Network())
    network = Network()
    got = cached(network, **other)
    assert network.seen > 0
    assert len(got.features) == other.get("num_samples", 6)


@pytest.mark.parametrize("attribute", ["name", "version"])
def test_another_network_is_asked_itself(cache, attribute):
    cached(Network())
    network = Network()
    setattr(network, attribute, "other")
    cached(network)
    assert network.seen > 0


def test_a_broken_file_is_made_anew(cache):
    cached(Network())
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    network = Network()
    cached(network)
    assert network.seen > 0
    cached(unused := Network())
    assert unused.seen == 0


def test_the_digits_of_a_split_are_drawn(cache):
    digits = data.mnist("test")
    look = {"dataset": "mnist", "split": "test", "image_size": 28, "channels": 1}
    assert real_features(Network(), digits, 3, **look).features.shape == (3, 1)
