"""What FID's Inception network is given: images of its size, and weights from their file.

What it gives is compared in test_anchors.py.
"""

import hashlib
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.metrics import inception_weights
from jaxgan.metrics.inception import load_inception, prepare_images
from jaxgan.metrics.inception_weights import fetch_weights
from jaxgan.metrics.torch_file import convert_weights


@pytest.fixture(scope="module")
def tf():
    """Imported here, since it takes seconds in each process that collects tests."""
    import tensorflow

    return tensorflow


# The resize.


def bilinear(images, side=299):
    """Bilinear interpolation between pixel centres, as a formula of the coordinates; float64."""

    def along(x, axis):
        size = x.shape[axis]
        position = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
        low = np.minimum(position.astype(int), max(size - 2, 0))
        weight = np.expand_dims(position - low, tuple(range(1, x.ndim - axis)))
        high = np.minimum(low + 1, size - 1)
        return (1 - weight) * np.take(x, low, axis) + weight * np.take(x, high, axis)

    return along(along(np.asarray(images, np.float64), 1), 2)


@pytest.mark.parametrize("size", [(28, 28), (1, 5), (299, 299), (300, 150), (640, 37)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_resized_between_pixel_centres(tf, size, channels):
    rng = np.random.default_rng(3)
    images = rng.uniform(0, 1, (2, *size, channels)).astype(np.float32)
    prepared = prepare_images(images)
    assert prepared.shape == (2, 299, 299, 3)
    assert prepared.dtype == np.float32
    expected = np.broadcast_to(2 * bilinear(images) - 1, prepared.shape)
    np.testing.assert_allclose(prepared, expected, atol=1e-6)
    # TensorFlow has its coordinates in float32.
    other = 2 * tf.image.resize(images, (299, 299), "bilinear", antialias=False).numpy() - 1
    np.testing.assert_allclose(prepared, np.broadcast_to(other, prepared.shape), atol=5e-4)


@pytest.mark.parametrize("size", [64, 600])
def test_the_first_fid_code_shifts_images_as_the_docstring_says(tf, size):
    ramp = np.broadcast_to(np.arange(size, dtype=np.float32)[:, None, None], (1, size, size, 1))
    shifted = tf.compat.v1.image.resize_bilinear(ramp, (299, 299), align_corners=False).numpy()
    inside = slice(10, -10)
    shift = shifted[0, inside, 0, 0] - (prepare_images(ramp)[0, inside, 0, 0] + 1) / 2
    np.testing.assert_allclose(shift, (1 - size / 299) / 2, atol=1e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_floating_point_images_are_computed_in_float32(dtype):
    images = np.linspace(0, 1, 5 * 5).reshape(1, 5, 5, 1).astype(jax.numpy.dtype(dtype))
    prepared = prepare_images(images)
    assert prepared.dtype == np.float32
    expected = np.broadcast_to(2 * bilinear(images) - 1, prepared.shape)
    np.testing.assert_allclose(prepared, expected, atol=1e-5)


WRONG = {
    "bytes": np.zeros((2, 8, 8, 3), np.uint8),
    "one image": np.zeros((8, 8, 3), np.float32),
    "channels first": np.zeros((2, 3, 8, 8), np.float32),
    "with alpha": np.zeros((2, 8, 8, 4), np.float32),
    "none": np.zeros((0, 8, 8, 3), np.float32),
}


@pytest.mark.parametrize("images", WRONG.values(), ids=WRONG.keys())
def test_wrong_images_are_refused(images):
    with pytest.raises(UserError, match=r"^images: got [^\n]*, expected [^\n]*$"):
        prepare_images(images)


# The weights.

LIKE = {
    "params": {
        "a": {"conv": {"kernel": np.zeros((2, 3, 4, 5))}, "bn": {"scale": np.zeros(5)}},
        "fc": {"kernel": np.zeros((5, 6)), "bias": np.zeros(6)},
    },
    "batch_stats": {"a": {"bn": {"mean": np.zeros(5), "var": np.zeros(5)}}},
}
TENSORS = {
    "a.conv.weight": np.arange(120.0).reshape(5, 4, 2, 3),
    "a.bn.weight": np.arange(5.0),
    "a.bn.running_mean": np.arange(5.0) + 5,
    "a.bn.running_var": np.arange(5.0) + 10,
    "a.bn.num_batches_tracked": np.array(3),
    "fc.weight": np.arange(30.0).reshape(6, 5),
    "fc.bias": np.arange(6.0),
}


def test_tensors_find_their_places():
    variables = convert_weights(TENSORS, LIKE)
    assert jax.tree.structure(variables) == jax.tree.structure(LIKE)
    params, stats = variables["params"], variables["batch_stats"]
    for o, i, h, w in np.ndindex(5, 4, 2, 3):
        assert params["a"]["conv"]["kernel"][h, w, i, o] == TENSORS["a.conv.weight"][o, i, h, w]
    np.testing.assert_array_equal(params["a"]["bn"]["scale"], TENSORS["a.bn.weight"])
    np.testing.assert_array_equal(params["fc"]["kernel"], TENSORS["fc.weight"].T)
    np.testing.assert_array_equal(params["fc"]["bias"], TENSORS["fc.bias"])
    np.testing.assert_array_equal(stats["a"]["bn"]["mean"], TENSORS["a.bn.running_mean"])
    np.testing.assert_array_equal(stats["a"]["bn"]["var"], TENSORS["a.bn.running_var"])
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}


def test_the_tensors_of_another_network_are_refused():
    missing = {name: tensor for name, tensor in TENSORS.items() if name != "a.bn.running_var"}
    with pytest.raises(UserError, match=r"^weights: got no tensor a.bn.running_var, expected"):
        convert_weights(missing, LIKE)
    # The classes of ImageNet as model libraries have them.
    fewer = {**TENSORS, "fc.weight": np.zeros((4, 5)), "fc.bias": np.zeros(4)}
    with pytest.raises(UserError, match=r"^weights: got fc.bias of shape \(4,\), expected \(6,\)$"):
        convert_weights(fewer, LIKE)
    swapped = {**TENSORS, "fc.weight": np.zeros((5, 6))}
    with pytest.raises(UserError, match=r"^weights: got fc.weight of .*, expected \(6, 5\)$"):
        convert_weights(swapped, LIKE)
    more = {**TENSORS, "AuxLogits.fc.bias": np.zeros(4)}
    with pytest.raises(UserError, match=r"^weights: got a tensor 'AuxLogits.fc.bias', expected"):
        convert_weights(more, LIKE)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path / "home"


def publish(folder, monkeypatch, content, digest):
    """Makes the file of this content what is fetched, and this SHA-256 the one that is expected."""
    source = folder / f"weights-{digest[:8]}.pth"
    source.write_bytes(content)
    monkeypatch.setattr(inception_weights, "URL", source.as_uri())
    monkeypatch.setattr(inception_weights, "SHA256", digest)
    return source


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_digest_is_that_of_the_name():
    stem = inception_weights.URL.rpartition("/")[2].removesuffix(".pth")
    assert re.fullmatch("[0-9a-f]{64}", inception_weights.SHA256)
    assert inception_weights.SHA256.startswith(stem.rpartition("-")[2])


def test_the_file_is_fetched_once(tmp_path, home, monkeypatch):
    content = b"some weights"
    source = publish(tmp_path, monkeypatch, content, hashlib.sha256(content).hexdigest())
    path = fetch_weights()
    assert path == home / ".cache" / "jaxgan" / source.name
    assert path.read_bytes() == content
    assert files(home) == [path]
    source.unlink()
    assert fetch_weights() == path


def test_without_a_path_the_network_is_of_the_fetched_file(tmp_path, home, monkeypatch):
    content = b"no weights"
    publish(tmp_path, monkeypatch, content, hashlib.sha256(content).hexdigest())
    with pytest.raises(UserError, match=r"\.cache.*is no file of tensors"):
        load_inception()


def test_a_file_that_has_changed_since_is_refused(tmp_path, home, monkeypatch):
    content = b"some weights"
    publish(tmp_path, monkeypatch, content, hashlib.sha256(content).hexdigest())
    path = fetch_weights()
    path.write_bytes(b"some weighty")
    with pytest.raises(UserError, match=r"^weights: got [^\n]* with SHA-256 [^\n]*, expected "):
        load_inception()
    assert path.exists()
    path.unlink()
    assert fetch_weights().read_bytes() == content


@pytest.mark.parametrize("right", [0, 8, 63])
def test_another_file_than_the_promised_is_not_kept(right, tmp_path, home, monkeypatch):
    """However many of the digits agree."""
    digest = hashlib.sha256(b"some wei").hexdigest()
    other = digest[:right] + "".join("1" if digit == "0" else "0" for digit in digest[right:])
    publish(tmp_path, monkeypatch, b"some wei", other)
    with pytest.raises(UserError, match=r"^weights: got [^\n]* with SHA-256 [^\n]*, expected "):
        fetch_weights()
    assert files(home) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/weights-0.pth", "file:///none/w-0.pth"])
def test_without_a_network_one_line_says_what_to_do(address, home, monkeypatch):
    monkeypatch.setattr(inception_weights, "URL", address)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"^weights: cannot fetch [^\n]*$") as error:
        fetch_weights()
    assert address in str(error.value)
    assert "expected a network, or the path of a copy" in str(error.value)
    assert files(home) == []
