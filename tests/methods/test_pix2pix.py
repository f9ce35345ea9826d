"""pix2pix: what either player pays, its networks, and the run of its script."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pix2pix as experiment
import pytest
from PIL import Image

from jaxgan import Context, UserError, load_generator, losses, make_train_step, networks
from jaxgan.inference.translator import load_translator
from jaxgan.methods import pix2pix
from jaxgan.training import translation
from jaxgan.training.reports import translation_report

TX, RNG = optax.sgd(0.1), np.random.default_rng(0)
BATCH = {name: RNG.uniform(-1, 1, (4, 8, 8, 2)).astype(np.float32) for name in "ab"}
CONTEXT = Context(jnp.int32(0), jax.random.key(1), None)


class Painter(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return nn.tanh(nn.Dense(2)(images))


class Judge(nn.Module):
    shape: tuple = (-1, 2, 2)

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(1)(images.reshape(-1, 4, 64)).reshape(self.shape)


METHOD = pix2pix(Painter(), Judge(), channels=2)
STATE = METHOD.init(jax.random.key(0), BATCH, TX, TX)


def test_both_players_pay_for_the_pair():
    variables = STATE.discriminator.variables
    fakes, _ = METHOD.generate(STATE.generator.variables, BATCH, CONTEXT)
    real, fake = (
        np.float64(Judge().apply(variables, np.concatenate([BATCH["a"], images], axis=-1)))
        for images in (BATCH["b"], fakes)
    )
    loss, aux = METHOD.disc_loss(variables, fakes, BATCH, CONTEXT)
    parts = np.mean(np.log1p(np.exp(-real))), np.mean(np.log1p(np.exp(fake)))
    assert loss == pytest.approx(sum(parts) / 2, rel=1e-5)
    assert aux.metrics["d_real"] == pytest.approx(np.mean(1 / (1 + np.exp(-real))), rel=1e-5)
    l1 = np.mean(np.abs(BATCH["b"] - np.float64(fakes)))
    assert aux.metrics["l1"] == pytest.approx(l1, rel=1e-5)
    generator_variables = STATE.generator.variables
    loss, _ = METHOD.gen_loss(generator_variables, variables, fakes, BATCH, CONTEXT)
    assert loss == pytest.approx(np.mean(np.log1p(np.exp(-fake))) + 100 * l1, rel=1e-5)
    relativistic = pix2pix(Painter(), Judge(), loss=losses.relativistic, l1_weight=0)
    loss, _ = relativistic.gen_loss(generator_variables, variables, fakes, BATCH, CONTEXT)
    assert loss == pytest.approx(np.mean(np.log1p(np.exp(real - fake))), rel=1e-5)


def test_what_does_not_fit_is_refused():
    for line, game, batch in (
        (r"^discriminator: got Judge, which makes \(4, 2\) of a batch of 2", Judge((-1, 2)), BATCH),
        (r"^image_size, channels: got data of shape \(8, 8, 3\)", Judge(), {
            **BATCH, "b": np.zeros((4, 8, 8, 3), np.float32)}),
        (r"^batch: got entries a, expected 'b' among them", Judge(), {"a": BATCH["a"]}),
    ):  # fmt: skip
        with pytest.raises(UserError, match=line):
            pix2pix(Painter(), game).init(jax.random.key(0), batch, TX, TX)
    with pytest.raises(UserError, match=r"^l1_weight: got -1, expected 0 or more"):
        pix2pix(Painter(), Judge(), l1_weight=-1)


def test_it_learns_what_the_pairs_are():
    flipped = {"a": BATCH["a"], "b": -BATCH["a"]}
    step = jax.jit(make_train_step(METHOD, TX, TX))
    state, first = step(STATE, flipped)
    for _ in range(30):
        state, metrics = step(state, flipped)
    assert metrics["l1"] < 0.9 * first["l1"]


def test_the_u_net_and_the_discriminator_have_the_published_weights():
    """54.414 and 2.769 million parameters are what the authors' PyTorch code says it has.

    Batch norm has a scale and a shift there, and convolutions before it no bias: the other way
    round here, so that weights are compared by those figures less what is not a kernel.
    """
    generator, discriminator = networks.pix2pix(256)
    counts = []
    for module, channels in ((generator, 3), (discriminator, 6)):
        images = jnp.zeros((1, 256, 256, channels))
        shapes = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
        counts.append(sum(np.prod(layer["kernel"].shape) for layer in shapes.values()))
    normed = 128 + 256 + 4 * 512 + 4 * 512 + 256 + 128 + 64
    assert round((counts[0] + 2 * normed + 3) / 1e6, 3) == 54.414
    assert round((counts[1] + 2 * (128 + 256 + 512) + 64 + 1) / 1e6, 3) == 2.769


def test_dropout_is_for_training_alone():
    generator, _ = networks.pix2pix(32, width=2)
    assert generator.dropout == 1
    images = jnp.asarray(RNG.uniform(-1, 1, (2, 32, 32, 3)), jnp.float32)
    variables = generator.init(jax.random.key(0), images)
    drawn = [
        generator.apply(variables, images, train=train, rngs={"dropout": jax.random.key(seed)})
        for train, seed in ((True, 0), (True, 1), (False, 0), (False, 1))
    ]
    assert not np.allclose(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[2], drawn[3])
    for wrong in (15, 17):
        with pytest.raises(UserError, match=f"^image_size: got {wrong}, expected an even number"):
            networks.pix2pix(wrong)
    with pytest.raises(UserError, match=r"^image_size: got images \(1, 24, .*multiples of 32"):
        generator.init(jax.random.key(0), jnp.zeros((1, 24, 32, 3)))


def test_the_script_trains_and_its_run_translates(tmp_path, capsys):
    for name in "ab":
        for split, count in (("train", 5), ("test", 3)):
            folder = tmp_path / name / split
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = RNG.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    config, run = experiment.get_config(), tmp_path / "run"
    config.update(dict.fromkeys(("num_steps", "log_every", "checkpoint_every"), 2))
    config.update({"dataset": f"folder:{tmp_path}/a,{tmp_path}/b", "batch_size": 8})
    config.update({"image_size": 16, "width": 2, "sample_every": 2, "eval_every": 2})
    translation.train(experiment.make_game, config, str(run), False, paired=True)
    with Image.open(run / "samples" / "samples_000002.png") as picture:
        assert picture.height == 3 * 16 + 4 * 2  # images, translations, the truth
    translation_report.report(config, run, paired=True)
    table = json.loads((run / "evaluation.json").read_text())
    assert set(table["run"]) == {"mae_ab", "mse_ab", "ssim_ab"}
    assert "identity" in table
    images = RNG.random((2, 16, 16, 3), np.float32)
    translate, generate = load_translator(run, "ab"), load_generator(run)
    np.testing.assert_array_equal(translate(images), generate(images))
    with pytest.raises(UserError, match=r"^direction: got 'ba', expected 'ab', the only one of"):
        load_translator(run, "ba")
