"""InfoGAN: what both players pay for codes that cannot be read, and the run of its script."""

import json

import flax.linen as nn
import infogan as experiment
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image
from scipy.special import log_softmax
from tiny import difference

from jaxgan import Context, UserError, losses
from jaxgan.methods import infogan
from jaxgan.training import generation
from jaxgan.training.reports import infogan_report

DIM, K, CODES, TX = 5, 3, 2, optax.sgd(0.1)
RNG = np.random.default_rng(0)


class Painter(nn.Module):
    @nn.compact
    def __call__(self, latents, classes, train=False):
        x = jnp.concatenate([latents, jax.nn.one_hot(classes, K)], axis=1)
        return nn.Dense(4)(x).reshape(-1, 2, 2, 1)


class Reader(nn.Module):
    outputs: int = K + CODES

    @nn.compact
    def __call__(self, images, train=False):
        x = images.reshape(len(images), 4)
        return nn.Dense(1)(x)[:, 0], nn.Dense(self.outputs)(x)


def game(reader=None, **options):
    known = {"latent_dim": DIM, "num_codes": CODES, "num_classes": K, "loss": losses.hinge}
    return infogan(Painter(), reader or Reader(), **{**known, **options})


BATCH = {"image": RNG.uniform(-1, 1, (8, 2, 2, 1)).astype(np.float32)}
STATE = game().init(jax.random.key(0), BATCH, TX, TX)
CONTEXT = Context(jnp.int32(0), jax.random.key(1), None)


def test_generated_images_tell_their_codes():
    fakes, _ = game().generate(STATE.generator.variables, BATCH, CONTEXT)
    assert np.all(np.sum(fakes["class"], axis=1) == 1)
    # A uniform prior, of which the last are the codes: the images follow from them.
    images = {prior: game(prior=prior).generate(STATE.generator.variables, BATCH, CONTEXT)
              for prior in ("uniform", "normal")}  # fmt: skip
    assert np.max(np.abs(images["uniform"][0]["codes"])) <= 1
    assert difference(images["uniform"][0]["image"], images["normal"][0]["image"]) > 0.1


def test_both_players_pay_for_codes_that_cannot_be_read():
    variables = STATE.discriminator.variables
    fakes, _ = game().generate(STATE.generator.variables, BATCH, CONTEXT)
    told = {name: np.asarray(fakes[name], np.float64) for name in ("class", "codes")}
    real_logits, _ = Reader().apply(variables, BATCH["image"])
    fake_logits, q = (np.float64(x) for x in Reader().apply(variables, fakes["image"]))
    of_class = -np.mean(np.sum(told["class"] * log_softmax(q[:, :K], axis=1), axis=1))
    of_codes = np.mean(np.sum((told["codes"] - q[:, K:]) ** 2, axis=1)) / 2
    paid = 2.0 * of_class + 0.3 * of_codes
    method = game(class_weight=2.0, code_weight=0.3)
    loss, aux = method.disc_loss(variables, fakes, BATCH, CONTEXT)
    adversarial = sum(losses.hinge.discriminator(real_logits, jnp.float32(fake_logits)))
    assert loss == pytest.approx(float(adversarial) + paid, rel=1e-5)
    assert aux.metrics["class_loss"] == pytest.approx(of_class, rel=1e-5)
    assert aux.metrics["code_loss"] == pytest.approx(of_codes, rel=1e-5)
    right = np.mean(np.argmax(q[:, :K], axis=1) == np.argmax(told["class"], axis=1))
    assert aux.metrics["class_accuracy"] == pytest.approx(right)
    loss, _ = method.gen_loss(STATE.generator.variables, variables, fakes, BATCH, CONTEXT)
    assert loss == pytest.approx(-np.mean(fake_logits) + paid, rel=1e-5)


def test_another_head_is_refused():
    with pytest.raises(UserError, match=r"^discriminator: .*, expected \(1,\) and \(1, 5\)"):
        game(Reader(K)).init(jax.random.key(0), BATCH, TX, TX)


def test_the_script_trains_and_reports_the_error_of_its_codes(tmp_path, capsys):
    for split in ("train", "test"):
        for index in range(12):
            folder = tmp_path / "images" / split / "abc"[index % 3]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = RNG.integers(80 * (index % 3), 80 * (index % 3) + 60, (28, 28), np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    config = experiment.get_config()
    config.update(dict.fromkeys(("num_steps", "log_every", "checkpoint_every"), 2))
    config.update({"dataset": f"folder:{tmp_path}/images", "batch_size": 8, "categories": 3})
    generation.train(experiment.make_game, config, str(tmp_path / "run"), False)
    infogan_report.report(config, tmp_path / "run")
    figures = json.loads((tmp_path / "run" / "infogan.json").read_text())
    # Of three classes, alike in number, a third at least is right after the best assignment.
    assert 0 <= figures["error"] <= 2 / 3
    assert f"{figures['error']:.2%} of test images" in capsys.readouterr().out
    config.codes = config.latent_dim
    with pytest.raises(UserError, match=r"^codes: got 16, expected less than latent_dim"):
        experiment.make_game(config, None, jax.random.key(0))
