"""The shipped classifier knows its digits, and other files are read or refused."""

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import UserError, data
from jaxgan.metrics.lenet import VERSION, LeNet, load_lenet, pack_lenet


@pytest.fixture(scope="module")
def digits():
    return data.load_arrays(data.mnist("test"), image_size=28, channels=1)


def share_right(network, digits, count):
    right = 0
    for first in range(0, count, 500):
        images = digits["image"][first : first + 500].astype(np.float32) / 255
        predicted = np.argmax(network(images)["logits"], axis=1)
        right += np.sum(predicted == digits["label"][first : first + 500])
    return right / count


def test_shipped_weights_know_digits(digits):
    assert share_right(load_lenet(), digits, 1000) > 0.985


@pytest.mark.long
def test_shipped_weights_know_all_digits(digits):
    assert share_right(load_lenet(), digits, 10_000) >= 0.993


def test_features_are_those_of_the_image_alone(digits):
    network = load_lenet()
    images = digits["image"][:8].astype(np.float32) / 255
    together, alone = network(images), network(images[3:4])
    assert together["features"].shape == (8, 84)
    assert together["logits"].shape == (8, 10)
    assert together["features"].dtype == together["logits"].dtype == jnp.float32
    assert np.all(np.std(together["features"], axis=1) > 0)
    np.testing.assert_allclose(together["features"][3:4], alone["features"], rtol=1e-4, atol=1e-4)


def test_the_network_says_what_it_is():
    network = load_lenet()
    assert (network.name, network.version) == ("lenet", str(VERSION))
    assert (network.image_shape, network.num_classes) == ((28, 28, 1), 10)


@pytest.fixture(scope="module")
def variables():
    return LeNet(3).init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))


def test_a_packed_network_is_the_same_network(variables, tmp_path):
    path = tmp_path / "flowers.msgpack"
    path.write_bytes(pack_lenet(variables, (8, 8, 3)))
    network = load_lenet(path)
    images = jax.random.uniform(jax.random.key(1), (4, 8, 8, 3))
    features, logits = LeNet(3).apply(variables, images)
    out = network(images)
    np.testing.assert_allclose(out["features"], features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["logits"], logits, rtol=1e-5, atol=1e-6)
    assert (network.name, network.image_shape, network.num_classes) == ("flowers", (8, 8, 3), 3)


def test_other_weights_are_another_version(variables, tmp_path):
    path = tmp_path / "flowers.msgpack"
    path.write_bytes(pack_lenet(variables, (8, 8, 3)))
    version = load_lenet(path).version
    path.write_bytes(pack_lenet(jax.tree.map(lambda leaf: leaf + 1, variables), (8, 8, 3)))
    assert load_lenet(path).version != version


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 32, 32, 3), np.float32), r"images: got shape \(2, 32, 32, 3\), expected \(B"),
        (np.zeros((28, 28, 1), np.float32), r"images: got shape \(28, 28, 1\), expected \(B, 28"),
        (np.zeros((0, 28, 28, 1), np.float32), r"images: got shape \(0, 28, 28, 1\)"),
        (np.zeros((2, 28, 28, 1), np.uint8), "images: got dtype uint8, expected floating point"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        load_lenet()(images)


def test_other_files_are_refused(variables, tmp_path):
    with pytest.raises(UserError, match=r"weights: cannot read .*: No such file"):
        load_lenet(tmp_path / "none.msgpack")
    packed = pack_lenet(variables, (8, 8, 3))
    for name, content in {
        "empty": b"",
        "text": b"weights",
        "part": packed[:-100],
        "other": flax.serialization.msgpack_serialize({"variables": {}}),
        "for_another_size": pack_lenet(variables, (16, 16, 3)),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"weights: .* holds no weights of LeNet"):
            load_lenet(path)
