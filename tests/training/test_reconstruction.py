"""Reconstruction: its step against the whole loss at once, what the critic gets, and a resume."""

import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from PIL import Image

from jaxgan import UserError, adversarial_critic, losses, networks
from jaxgan.checkpoints import checkpoint
from jaxgan.commands import translate as command
from jaxgan.inference.translator import load_translator
from jaxgan.training import reconstruction
from jaxgan.training.reconstruction import Measure, Task, init_state, make_step

NETWORK = networks.SRVGGNet(3, width=4, depth=1, scale=2)
TX = optax.sgd(1.0)


class Stages:
    """In place of Lite0: means of pixels, which have gradients."""

    @staticmethod
    def stages(images):
        return [nn.avg_pool(images, (n, n), (n, n)) for n in (2, 4)]


class Judge:
    """In place of Lite1."""

    name = "means"

    def __call__(self, images):
        features = jnp.asarray(images)[:, ::4, ::4].reshape(len(images), -1)[:, :6]
        return {"features": features, "logits": features}


@pytest.fixture(autouse=True)
def fixed_networks(monkeypatch):
    monkeypatch.setattr(reconstruction, "load_lite", lambda name: Stages)
    monkeypatch.setattr(reconstruction, "load_network", lambda *_: Judge())


def halved(images):
    return nn.avg_pool(images, (2, 2), (2, 2))


def make_task(config):
    def apply(variables, real, key):
        made = NETWORK.apply(variables, halved(real))
        return made, 0.1 * jnp.mean(jnp.square(made)), {}, {"own": jnp.ones(())}

    critic = adversarial_critic(
        networks.PatchDiscriminator((4, 4)),
        optax.sgd(0.1),
        loss=losses.hinge,
        start=config.adversarial_start,
    )
    return Task(NETWORK, apply, halved, "Rows."), critic, TX


def config_of(**fields):
    config = reconstruction.default_config()
    config.update({"image_size": 16, "batch_size": 8, **fields})
    return config


def after_one_step(config):
    task, critic, tx = make_task(config)
    state = init_state(task, critic, tx, config)
    real = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    step = jax.jit(make_step(task, critic, tx, config))
    return state, *step(state, {"image": real}), real, critic


def test_the_step_is_that_of_the_whole_loss():
    """By the term of a critic that has moved, with a weight without gradient."""
    config = config_of(perceptual_weight=2.0, adversarial_weight=0.3)
    state, after, metrics, real, critic = after_one_step(config)

    def distance(made):
        maps = map(Stages.stages, ((1 + real) / 2, (1 + made) / 2))
        return jnp.mean(jnp.abs(made - real)) + 2.0 * losses.perceptual(*maps)

    def whole(params):
        made = NETWORK.apply({"params": params}, halved(real))
        critic_state = state.extra.replace(player=state.discriminator)
        judge = lambda made: critic.update(critic_state, real, made, state.step)[0]  # noqa: E731
        norms = [
            jnp.sum(jnp.linalg.norm(jax.grad(f)(made).reshape(4, -1), axis=1))
            for f in (distance, judge)
        ]
        weight = jax.lax.stop_gradient(norms[0] / (norms[1] + 1e-4))
        loss = distance(made) + 0.1 * jnp.mean(jnp.square(made))
        return loss + 0.3 * weight * judge(made)

    loss, grads = jax.jit(jax.value_and_grad(whole))(state.generator.params)
    expected = optax.apply_updates(state.generator.params, jax.tree.map(lambda x: -x, grads))
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    assert tiny.difference(after.generator.params, expected) < 1e-5 * tiny.difference(
        after.generator.params, state.generator.params
    )
    assert metrics["own"] == 1
    assert tiny.difference(after.discriminator.params, state.discriminator.params) > 0
    assert after.step == 1


@pytest.mark.parametrize("fields", [{"adversarial_weight": 0.0}, {"adversarial_start": 1}])
def test_without_a_critic_nothing_of_it_moves(fields):
    state, after, metrics, *_ = after_one_step(config_of(**fields))
    assert tiny.difference(after.discriminator, state.discriminator) == 0
    expected = metrics["l1"] + metrics["perceptual"]
    assert 0 < metrics["loss"] - expected < 0.1  # what is left is the task's own
    assert tiny.difference(after.generator.params, state.generator.params) > 0


def test_a_run_resumes_to_the_bit_and_is_loaded(tmp_path, monkeypatch):
    config = config_of(num_steps=4, checkpoint_every=2, sample_every=4, eval_every=4)
    reconstruction.train(make_task, config, tmp_path / "run", False)
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "checkpoints" / "4")
    reconstruction.train(make_task, config, tmp_path / "killed", False)
    runs = []
    for name in ("run", "killed"):
        with checkpoint.open_checkpoints(tmp_path / name) as manager:
            assert manager.latest_step() == 4
        translate = load_translator(tmp_path / name, "ab")
        runs.append(np.asarray(translate(np.full((1, 8, 8, 3), 0.5, np.float32))))
    np.testing.assert_array_equal(*runs)
    assert runs[0].shape == (1, 16, 16, 3)

    # Whole images of a folder, grey or not, become twice as large.
    (tmp_path / "in").mkdir()
    for name, mode, size in (("wide", "RGB", (12, 5)), ("grey", "L", (4, 6))):
        Image.new(mode, size, 128).save(tmp_path / "in" / f"{name}.png")
    folders = [f"--{name}put={tmp_path / name}" for name in ("in", "out")]
    monkeypatch.setattr("sys.argv", ["translate.py", f"--workdir={tmp_path / 'run'}", *folders])
    command.main()
    for name, size in (("wide", (24, 10)), ("grey", (8, 12))):
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert image.size == size


def test_a_handful_of_images_is_measured():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    source = [{"image": image} for image in pixels]
    task, *_ = make_task(config_of())
    measure = Measure(task, Judge(), source, {"image_size": 16, "channels": 3})
    real = pixels / np.float32(255)
    found = measure(lambda given: real[:, :, ::-1])
    np.testing.assert_allclose(found["mae"], np.mean(np.abs(real - real[:, :, ::-1])), rtol=1e-5)
    assert found["fid_means_8"] > 0
    assert measure(lambda given: np.float32(0.999) * real)["fid_means_8"] < found["fid_means_8"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("features", "lite0", "another network than the loss's"),
        ("channels", 1, "3, which the features are of"),
        ("adversarial_weight", -0.5, "0 or more"),
        ("micro_batches", 2, "1 in this experiment"),
    ],
)
def test_what_cannot_be_is_refused(field, value, expected, tmp_path):
    with pytest.raises(UserError, match=f"^{field}: got {value!r}, expected {expected}"):
        reconstruction.train(make_task, config_of(**{field: value}), tmp_path / "run", False)
    assert not (tmp_path / "run").exists()
