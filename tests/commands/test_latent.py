"""`experiments/latent.py` on an untrained run: every picture, and bad input in one line."""

import functools
import io
import sys
import types

import jax
import numpy as np
import optax
import pytest
from PIL import Image

import jaxgan
from jaxgan import UserError, load_discriminator, networks
from jaxgan.checkpoints import checkpoint
from jaxgan.commands import latent as script
from jaxgan.data import mnist
from jaxgan.evaluation.inversion import invert
from jaxgan.methods import adversarial
from jaxgan.metrics.lenet import load_lenet
from jaxgan.training.reports import latent_pictures as pictures

CONFIG = {"dataset": "mnist", "data_dir": None, "image_size": 28, "channels": 1}


@pytest.fixture(scope="module", params=["normal", "uniform"])
def workdir(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    generator, discriminator = networks.mlp("plain")
    tx = optax.sgd(0.1)
    game = adversarial(generator, discriminator, latent_dim=8, loss=jaxgan.losses.hinge)
    state = game.init(jax.random.key(0), {"image": np.zeros((1, 28, 28, 1))}, tx, tx)
    description = {
        "generator": networks.describe(generator),
        "discriminator": networks.describe(discriminator),
        "latent_dim": 8,
        "latent": request.param,
        "config": CONFIG,
    }
    with checkpoint.open_checkpoints(folder, keep=1) as manager:
        checkpoint.save(manager, state, {}, description)
    return folder


@pytest.fixture
def explore(workdir, monkeypatch, tmp_path):
    def run(what, name="picture.png", *arguments):
        out = tmp_path / name
        monkeypatch.setattr(
            sys, "argv",
            ["latent.py", "--workdir", str(workdir), "--what", what, "--out", str(out), *arguments],
        )  # fmt: skip
        script.main()
        return Image.open(io.BytesIO(out.read_bytes()))

    return run


def by_one_pixel(images):
    """A classifier that sees sevens where a pixel is bright, ones elsewhere."""
    seven = images[:, 14, 14, 0] > 0.5
    return {"logits": np.where(seven[:, None], np.eye(10)[7], np.eye(10)[1]) * 5}


# Images of 28 pixels on lines of 2, doubled.
@pytest.mark.parametrize(
    ("what", "columns", "rows"),
    [
        ("grid", 10, 10),
        ("interpolate", 10, 8),
        ("arithmetic", 4, 4),
        ("invert", 16, 8),
        ("neighbours", 11, 8),
        ("saliency", 16, 6),
    ],
)
def test_every_picture(explore, monkeypatch, what, columns, rows):
    monkeypatch.setattr(pictures, "load_classifier", lambda run: by_one_pixel)
    monkeypatch.setattr(pictures, "invert", functools.partial(invert, num_steps=3, restarts=1))
    picture = explore(what)
    assert picture.size == (2 * (30 * columns + 2), 2 * (30 * rows + 2))
    assert np.std(np.asarray(picture)) > 1


def test_the_walk_is_an_animation_that_the_seed_decides(explore):
    first, again = explore("walk", "a.gif"), explore("walk", "b.gif")
    other = explore("walk", "c.gif", "--seed", "1")
    assert first.n_frames > 90
    assert first.size == (112, 112)  # 28 pixels, four times
    assert np.array_equal(np.asarray(first), np.asarray(again))
    assert not np.array_equal(np.asarray(first), np.asarray(other))


def test_groups_are_the_bold_and_thin_quarters_of_their_digit():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(200, 4, 4, 1))
    digits = rng.integers(0, 3, 200)
    sure = rng.uniform(size=200) < 0.7
    logits = np.where(sure, 5.0, 1.0)[:, None] * np.eye(10)[digits]
    groups = pictures.bold_and_thin(images, lambda _: {"logits": logits}, [2, 0])
    ink = images.sum((1, 2, 3))
    twos, zeros = (
        sorted(np.flatnonzero((digits == d) & sure), key=lambda i: ink[i]) for d in (2, 0)
    )
    n, m = len(twos) // 4, len(zeros) // 4
    assert [set(group) for group in groups] == [set(twos[-n:]), set(twos[:n]), set(zeros[:m])]
    with pytest.raises(UserError, match=r"^digits: got 9, which 0 of 200 samples are, expected"):
        pictures.bold_and_thin(images, lambda _: {"logits": logits}, [2, 9])


def test_the_discriminator_judges_images_in_its_own_range(workdir):
    discriminate = load_discriminator(workdir)
    images = np.stack([mnist("test")[i]["image"] for i in range(3)])
    with checkpoint.open_checkpoints(workdir) as manager:
        variables, _ = checkpoint.restore_player(manager, 0, "discriminator", ema=False)
    _, discriminator = networks.mlp("plain")
    expected = discriminator.apply(variables, (images / 127.5 - 1).astype(np.float32))
    np.testing.assert_allclose(discriminate(images / np.float32(255)), expected, atol=1e-5)
    assert discriminate.features(images / np.float32(255)).shape == (3, 256)
    assert discriminate.step == 0


def test_a_network_that_is_named_judges_in_the_discriminators_place(workdir):
    arguments = {"workdir": workdir, "step": None, "label": 0, "seed": 0}
    images = np.stack([mnist("test")[i]["image"] for i in range(3)]) / np.float32(255)
    for name, size in ((None, 256), ("lenet", 84)):
        judge, whose = script.Run(types.SimpleNamespace(**arguments, features=name)).judge()
        assert judge(images).shape == (3, size)
        assert whose == ("lenet's" if name else "the discriminator's")
    np.testing.assert_array_equal(judge(images), load_lenet()(images)["features"])


@pytest.mark.parametrize(
    ("what", "name", "arguments", "message"),
    [
        ("dance", "a.png", [], "what: got 'dance', expected one of walk, grid"),
        ("walk", "a.png", [], "out: got "),
        ("grid", "a.gif", [], "out: got "),
        ("arithmetic", "a.png", ["--digits", "7", "12"], "digits: got 12, expected 0 to 9"),
        ("grid", "a.png", ["--step", "5"], "step: got 5"),
        ("neighbours", "a.png", ["--features", "alexnet"], "features: cannot read alexnet"),
    ],
)
def test_bad_input(explore, what, name, arguments, message):
    with pytest.raises(UserError) as error:
        explore(what, name, *arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_arithmetic_is_for_digits():
    faces = types.SimpleNamespace(config={**CONFIG, "dataset": "folder:faces"})
    with pytest.raises(UserError, match=r"^what: arithmetic is for digits, got .*faces$"):
        pictures.load_classifier(faces)
