"""FID's Inception network against its description in tables, which TensorFlow computes."""

import hashlib
import os
import re
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import numpy as np
import pytest
import tensorflow as tf
from torch_writer import write_legacy

from jaxgan.errors import UserError
from jaxgan.metrics import inception_weights
from jaxgan.metrics.inception import InceptionV3, load_inception, prepare_images
from jaxgan.metrics.inception_weights import convert_weights, fetch_weights
from jaxgan.metrics.torch_file import read_torch_file

# The architecture, a branch a line, a step "name:channels:HxW": padded and of stride 1, or
# "!" without padding, "/2" without padding and of stride 2.
A = """
    branch1x1:64:1x1
    branch5x5_1:48:1x1 branch5x5_2:64:5x5
    branch3x3dbl_1:64:1x1 branch3x3dbl_2:96:3x3 branch3x3dbl_3:96:3x3
    average branch_pool:{0}:1x1
"""
B = """
    branch3x3:384:3x3/2
    branch3x3dbl_1:64:1x1 branch3x3dbl_2:96:3x3 branch3x3dbl_3:96:3x3/2
    maximum/2
"""
C = """
    branch1x1:192:1x1
    branch7x7_1:{0}:1x1 branch7x7_2:{0}:1x7 branch7x7_3:192:7x1
    branch7x7dbl_1:{0}:1x1 branch7x7dbl_2:{0}:7x1 branch7x7dbl_3:{0}:1x7 branch7x7dbl_4:{0}:7x1 \
        branch7x7dbl_5:192:1x7
    average branch_pool:192:1x1
"""
D = """
    branch3x3_1:192:1x1 branch3x3_2:320:3x3/2
    branch7x7x3_1:192:1x1 branch7x7x3_2:192:1x7 branch7x7x3_3:192:7x1 branch7x7x3_4:192:3x3/2
    maximum/2
"""
E = """
    branch1x1:320:1x1
    branch3x3_1:384:1x1 branch3x3_2a:384:1x3
    branch3x3_1:384:1x1 branch3x3_2b:384:3x1
    branch3x3dbl_1:448:1x1 branch3x3dbl_2:384:3x3 branch3x3dbl_3a:384:1x3
    branch3x3dbl_1:448:1x1 branch3x3dbl_2:384:3x3 branch3x3dbl_3b:384:3x1
    {0} branch_pool:192:1x1
"""
# Each layer with the channels that it gives.
NETWORK = {
    "Conv2d_1a_3x3": (":32:3x3/2", 32),
    "Conv2d_2a_3x3": (":32:3x3!", 32),
    "Conv2d_2b_3x3": (":64:3x3", 64),
    "pool1": ("maximum/2", 64),
    "Conv2d_3b_1x1": (":80:1x1", 80),
    "Conv2d_4a_3x3": (":192:3x3!", 192),
    "pool2": ("maximum/2", 192),
    "Mixed_5b": (A.format(32), 256),
    "Mixed_5c": (A.format(64), 288),
    "Mixed_5d": (A.format(64), 288),
    "Mixed_6a": (B, 768),
    "Mixed_6b": (C.format(128), 768),
    "Mixed_6c": (C.format(160), 768),
    "Mixed_6d": (C.format(160), 768),
    "Mixed_6e": (C.format(192), 768),
    "Mixed_7a": (D, 1280),
    "Mixed_7b": (E.format("average"), 2048),
    "Mixed_7c": (E.format("maximum"), 2048),
}


def branches(layer):
    """A layer's table -> its branches, lists of (full name, channels, (h, w), stride, padding)."""
    for line in NETWORK[layer][0].strip().splitlines():
        steps = []
        for step in line.split():
            kind, end = re.fullmatch(r"(.*?)(!|/2|)", step).groups()
            stride, padding = 2 if end == "/2" else 1, "VALID" if end else "SAME"
            name, _, rest = kind.partition(":")
            if not rest:
                steps.append((name, None, (3, 3), stride, padding))
                continue
            channels, _, kernel = rest.partition(":")
            full = f"{layer}.{name}" if name else layer
            size = tuple(int(side) for side in kernel.split("x"))
            steps.append((full, int(channels), size, stride, padding))
        yield steps


def random_tensors(seed):
    """Random weights under PyTorch's names and in its layout, of which all layers have effect."""
    rng = np.random.default_rng(seed)
    tensors = {}

    def uniform(low, high, size):
        return rng.uniform(low, high, size).astype(np.float32)

    inputs = 3
    for layer, (_, outputs) in NETWORK.items():
        for steps in branches(layer):
            channels = inputs
            for name, features, (h, w), _, _ in steps:
                if features is None or f"{name}.conv.weight" in tensors:
                    channels = features or channels
                    continue
                shape = (features, channels, h, w)
                noise = rng.standard_normal(shape, np.float32)
                tensors[f"{name}.conv.weight"] = noise * np.float32((channels * h * w / 2) ** -0.5)
                tensors[f"{name}.bn.weight"] = uniform(0.5, 1.4, features)
                tensors[f"{name}.bn.bias"] = uniform(-0.3, 0.3, features)
                tensors[f"{name}.bn.running_mean"] = uniform(-0.3, 0.3, features)
                tensors[f"{name}.bn.running_var"] = uniform(0.5, 1.5, features)
                tensors[f"{name}.bn.num_batches_tracked"] = np.array(0)
                channels = features
        inputs = outputs
    tensors["fc.weight"] = rng.standard_normal((1008, 2048), np.float32) / np.float32(30)
    tensors["fc.bias"] = uniform(-1, 1, 1008)
    return tensors


def reference(tensors, images):
    """Every layer's output, float64; images (B, H, W, 3) in [-1, 1]."""
    with tf.device("CPU"):
        outputs, x = {}, tf.constant(images, tf.float64)
        for layer, (_, channels) in NETWORK.items():
            ends = []
            for steps in branches(layer):
                y = x
                for step in steps:
                    y = one_step(tensors, y, *step)
                ends.append(y)
            x = tf.concat(ends, -1)
            assert x.shape[-1] == channels, layer
            outputs[layer] = x.numpy()
        features = outputs["features"] = np.mean(outputs["Mixed_7c"], axis=(1, 2))
        weight = tensors["fc.weight"].astype(np.float64)
        outputs["fc"] = features @ weight.T + tensors["fc.bias"]
    return outputs


def one_step(tensors, x, name, channels, size, stride, padding):
    if channels is None:
        pool = {"average": tf.nn.avg_pool2d, "maximum": tf.nn.max_pool2d}[name]
        return pool(x, size, stride, padding)
    kernel = tensors[f"{name}.conv.weight"].astype(np.float64).transpose(2, 3, 1, 0)
    assert kernel.shape[:2] == size, name
    x = tf.nn.conv2d(x, kernel, stride, padding)
    scale, offset, mean, variance = (
        tensors[f"{name}.bn.{which}"].astype(np.float64)
        for which in ("weight", "bias", "running_mean", "running_var")
    )
    return tf.nn.relu((x - mean) / np.sqrt(variance + 0.001) * scale + offset)


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(0)


@pytest.fixture(scope="module")
def weight_file(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    write_legacy(path, tensors)
    return path


def assert_close(actual, expected, what):
    assert actual.shape == expected.shape, what
    assert actual.dtype == np.float32, what
    scale = np.std(expected)
    assert 0.1 < scale < 10, what
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=1e-4, err_msg=what)


def test_every_layer_is_that_of_the_table(tensors, weight_file):
    # The smallest maps are 3x4: averages at the edges differ from those inside, rows from columns.
    images = np.random.default_rng(1).uniform(-1, 1, (2, 139, 171, 3)).astype(np.float32)
    expected = reference(tensors, images)
    assert expected["Mixed_7c"].shape == (2, 3, 4, 2048)
    module = InceptionV3()
    like = jax.eval_shape(module.init, jax.random.key(0), images)
    variables = convert_weights(read_torch_file(weight_file), like)
    apply = jax.jit(lambda variables, x: module.apply(variables, x, capture_intermediates=True))
    (features, logits), state = apply(variables, images)
    layers = {
        name: child["__call__"][0]
        for name, child in state["intermediates"].items()
        if name != "__call__"
    }
    assert set(layers) == {name for name in expected if name.startswith(("Conv", "Mixed", "fc"))}
    for name, output in layers.items():
        assert_close(output, expected[name], name)
    assert_close(features, expected["features"], "features")
    assert_close(logits, expected["fc"], "logits")


def test_loaded_from_a_file_it_judges_images_of_any_size(tensors, weight_file):
    inception = load_inception(weight_file)
    grey = np.random.default_rng(2).uniform(0, 1, (1, 40, 56, 1)).astype(np.float32)
    outputs = inception(grey)
    expected = reference(tensors, 2 * np.repeat(bilinear(grey), 3, axis=-1) - 1)
    assert expected["Mixed_7c"].shape == (1, 8, 8, 2048)
    assert set(outputs) == {"features", "logits"}
    assert outputs["features"].shape == (1, 2048)
    assert outputs["logits"].shape == (1, 1008)
    assert_close(outputs["features"], expected["features"], "features")
    assert_close(outputs["logits"], expected["fc"], "logits")


def test_the_number_of_parameters():
    # Inception-v3 without its auxiliary head has 23,834,568 for 1000 classes.
    like = jax.eval_shape(InceptionV3().init, jax.random.key(0), np.zeros((1, 75, 75, 3)))
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(like["params"]))
    assert count == 23_834_568 + 8 * (2048 + 1)


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
def test_images_are_resized_between_pixel_centres(size, channels):
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
def test_the_first_fid_code_shifts_images_as_the_docstring_says(size):
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
    """Makes the file of this content what is fetched, with this SHA-256 in its name."""
    source = folder / f"weights-{digest[:8]}.pth"
    source.write_bytes(content)
    monkeypatch.setattr(inception_weights, "URL", source.as_uri())
    return source


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


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


def test_another_file_than_the_promised_is_not_kept(tmp_path, home, monkeypatch):
    publish(tmp_path, monkeypatch, b"some wei", hashlib.sha256(b"some weights").hexdigest())
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
