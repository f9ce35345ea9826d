"""The experiments of the plain game: what each has of its own, in as few steps as show it."""

import functools
import json
import types
from pathlib import Path

import dcgan
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import projected_gan
import pytest
import r3gan
import sngan
import stacked_mnist
import wgan_gp
from anchor_inputs import random_tensors
from torch_writer import write_zip

from jaxgan import UserError, data, load_discriminator, load_generator, networks
from jaxgan.metrics import efficientnet
from jaxgan.runs.page import read_metrics
from jaxgan.training import adversarial, generation, sources
from jaxgan.training.config import check_config
from jaxgan.training.reports import evaluate_run, stacked_mnist_report

RESULTS = Path(__file__).parents[2] / "results"
SMALL = {"num_steps": 2, "batch_size": 8, "latent_dim": 6, "log_every": 1, "width": 16}


def train(module, workdir, *variant, **changes):
    config = module.get_config(*variant)
    for name, value in {**SMALL, **changes}.items():
        if name in config or name not in SMALL:
            config[name] = value
    check_config(config)
    game = functools.partial(adversarial.make_game, module.make_players)
    generation.train(game, config, str(workdir), False)
    return config, load_generator(workdir), read_metrics(workdir / "metrics.jsonl")


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        (dcgan, {"penalty": "r1"}),
        (wgan_gp, {"disc_steps": 2}),
        (r3gan, {"width": 32}),
        (r3gan, {"width": 32, "conditional": True}),
    ],
)
def test_it_can_be_compiled(module, changes):
    """Traced, which finds what no longer fits together, in a tenth of the time."""
    config = module.get_config()
    for name, value in {**SMALL, **changes}.items():
        if name in config:
            config[name] = value
    games = []

    def begin(key):
        games.append(adversarial.make_game(module.make_players, config, data.mnist("test"), key))
        return games[0].state

    state = jax.eval_shape(begin, jax.random.key(0))
    images = jax.ShapeDtypeStruct((8 * config.disc_steps, 28, 28, 1), jnp.float32)
    batch = {"image": images, "label": jax.ShapeDtypeStruct(images.shape[:1], jnp.int32)}
    after, metrics = jax.eval_shape(games[0].step, state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["penalty"].shape == ()


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """A file of random weights, in place of those that `jaxgan[features]` brings."""
    figures = json.loads((RESULTS / "efficientnet.json").read_text())["figures"]
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    write_zip(path, random_tensors(figures["random"]["shapes"]))
    return path


@pytest.mark.parametrize("variant", projected_gan.VARIANTS)
def test_of_projected_gan_only_the_heads_are_trained(variant, lite0, monkeypatch):
    monkeypatch.setattr(efficientnet, "find_weights", lambda name: lite0)
    config = projected_gan.get_config(variant)
    config.update({"width": 4, "disc_width": 4, "batch_size": 8})
    if variant == "projected":
        config.pixel_width = 4
    games = []

    def begin(key):
        games.append(
            adversarial.make_game(projected_gan.make_players, config, data.emoji("test"), key)
        )
        return games[0].state

    state = jax.eval_shape(begin, jax.random.key(0))
    batch = {"image": jax.ShapeDtypeStruct((8, 64, 64, 3), jnp.float32)}
    after, _ = jax.eval_shape(games[0].step, state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    collections = {"projected": {"fixed", "batch_stats", "spectral"}, "plain": {"spectral"}}
    assert set(state.discriminator.model_state) == collections[variant]
    # Lite0 has 3,371,024 without its last layer.
    assert sum(x.size for x in jax.tree.leaves(state.discriminator)) < 1e6
    assert networks.describe(games[0].discriminator)["width"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("features", "lite0", "another network than the discriminator sees by"),
        ("feature_size", 32, "64 or more"),
        ("disc_width", 3, "an even number above 0"),
        ("pixel_width", -1, "0 or more"),
    ],
)
def test_what_projected_gan_cannot_be_is_refused(field, value, expected):
    config = projected_gan.get_config("projected")
    config[field] = value
    with pytest.raises(UserError, match=f"^{field}: got {value!r}, expected {expected}"):
        projected_gan.make_players(config)


def test_what_its_discriminator_sees_by_is_no_judge_of_it(monkeypatch):
    config = projected_gan.get_config("projected").to_dict()
    run = types.SimpleNamespace(config=config, inputs={})
    monkeypatch.setattr(evaluate_run, "load_generator", lambda *_, **options: run)
    with pytest.raises(UserError, match=r"^features: got lite0, by which the run's discriminator"):
        evaluate_run.evaluate_run("run", ("fid",), features="lite0")


def test_sngan_makes_what_class_is_asked_for(tmp_path):
    _, generate, rows = train(sngan, tmp_path / "run", disc_steps=1)
    assert generate.inputs["labels"] == (10,)
    latents = np.zeros((3, 6), np.float32)
    assert generate(latents, np.array([0, 9, 3])).shape == (3, 28, 28, 1)
    for labels, got in (([0, 10, 1], "class 10, expected 0 to 9"), ([-1, 0, 0], "class -1")):
        with pytest.raises(UserError, match=f"^labels: got {got}"):
            generate(latents, np.array(labels))
    with pytest.raises(UserError, match=r"^inputs: got 1 arrays, expected 2: latents and labels"):
        generate(latents)
    with pytest.raises(
        UserError, match=r"^labels: got int\d+ of shape \(2,\), expected int \(3,\)"
    ):
        generate(latents, np.array([0, 1]))
    discriminate, images = load_discriminator(tmp_path / "run"), np.zeros((3, 28, 28, 1))
    logits = discriminate(images, np.array([0, 1, 1]))
    assert logits.shape == (3,)
    assert logits[1] == logits[2] != logits[0]
    assert any("eval/accuracy_real" in row for row in rows)


@pytest.mark.long
@pytest.mark.parametrize("module", [wgan_gp, r3gan])
def test_it_trains(module, tmp_path):
    _, generate, rows = train(module, tmp_path / "run", width=32)
    assert generate(np.zeros((2, 6), np.float32)).shape == (2, 28, 28, 1)
    assert all(np.isfinite(row["train/penalty"]) for row in rows if "train/penalty" in row)


def test_classes_are_needed_where_they_are_asked_for():
    config = sngan.get_config()
    config.dataset = "folder:faces"

    class Faces:
        num_classes = None

    with pytest.raises(UserError, match=r"^dataset: folder:faces has no classes, expected"):
        adversarial.make_game(sngan.make_players, config, Faces(), jax.random.key(0))


def test_packs_have_no_class():
    config = sngan.get_config()
    config.packing = 2
    with pytest.raises(UserError, match=r"^packing: got 2, expected 1 where classes are asked for"):
        adversarial.make_game(sngan.make_players, config, data.mnist("test"), jax.random.key(0))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("channels", 1, "3"), ("image_size", 32, "28"), ("dataset", "mnist", "stacked_mnist")],
)
def test_other_images_than_three_digits_have_no_thousand_modes(field, value, expected):
    config = stacked_mnist.get_config("quick")
    config[field] = value
    with pytest.raises(UserError, match=f"^{field}: got {value!r}, expected {expected}"):
        stacked_mnist.make_players(config)


def test_packed_noisy_and_augmented_it_trains_and_tells_the_modes(tmp_path, monkeypatch):
    monkeypatch.setattr(stacked_mnist_report, "NUM_IMAGES", 1000)
    # Grey digits are read in no time; the network sees them in three channels.
    monkeypatch.setattr(sources, "load_split", lambda config, split, *_: data.load("mnist", split))
    look = {"augment": "translation,cutout", "instance_noise": 0.1, "label_smoothing": 0.1}
    config, _, rows = train(stacked_mnist, tmp_path / "run", "packed", **look)
    assert config.packing == 2
    assert any("eval/accuracy_fake" in row for row in rows)
    discriminate = load_discriminator(tmp_path / "run")
    assert discriminate(np.zeros((4, 28, 28, 3))).shape == (2,)
    stacked_mnist_report.report(config, tmp_path / "run")
    figures = json.loads((tmp_path / "run" / "stacked_mnist.json").read_text())
    # Of 1000 draws out of 1000 modes 1 - 1/e are some mode; the classifier reads nearly all.
    assert 580 < figures["real"]["modes"] < 680
    assert figures["generated"]["modes"] < 100 < 1000 * figures["generated"]["reverse_kl"]


def test_the_commands_are_told_of_where_they_know_the_network_alone():
    class Own(nn.Module):
        pass

    folder = Path("runs/a b")
    inputs, generator = {"latents": (64, "normal")}, networks.mlp("plain")[0]
    use = functools.partial(generation.how_to_use, folder)
    *commands, python = use(generator, inputs, (28, 28, 1), "lenet").values()
    assert commands == [
        "jaxgan sample --workdir 'runs/a b' --num 64 --out grid.png",
        "jaxgan evaluate --workdir 'runs/a b'",
        "jaxgan explore --workdir 'runs/a b' --what neighbours --out neighbours.png",
    ]
    assert python.endswith("load_generator('runs/a b')")
    *commands, _ = use(generator, inputs, (28, 28, 1), "my digits.npz").values()
    assert all("--features 'my digits.npz'" in command for command in commands[1:])
    *commands, _ = use(generator, inputs, (64, 64, 3), "lite1").values()
    assert all("--features lite1" in command for command in commands[1:])
    inputs = {**inputs, "codes": (2, "uniform")}
    *commands, _ = use(generator, inputs, (64, 64, 3), "lenet").values()
    assert commands[1:] == ["jaxgan evaluate --workdir 'runs/a b' --features lite1"]
    (python,) = use(Own(), inputs, (64, 64, 3), "lenet").values()
    assert python.endswith("load_generator('runs/a b', generator=Own(...))")
