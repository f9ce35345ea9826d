"""What times steps: it runs to its end anywhere, and counts operations and compares losses."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import flops
import jax
import jax.numpy as jnp
import jaxgan_side
import numpy as np
import parity
import pytest
import tiny
from games import GAMES as TIMED
from games import OF_CPU, SMALL
from peaks import peak

from jaxgan import losses, make_train_step, networks
from jaxgan.methods import adversarial

BATCH = 100
GAMES = {
    "mlp": (*networks.mlp("plain"), 64, (28, 28, 1)),
    "dcgan": (
        networks.DCGANGenerator(4, (64, 32), 1, 5, True),
        networks.DCGANDiscriminator((32, 64), 5),
        20,
        (16, 16, 1),
    ),
}


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES.keys())
def test_no_pass_is_done_twice(game):
    generator, discriminator, latent_dim, image_shape = game
    method = adversarial(
        generator, discriminator, latent_dim=latent_dim, loss=losses.non_saturating
    )
    batch = {"image": jnp.zeros((1, *image_shape))}
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), batch, tiny.TX, tiny.TX))
    step = make_train_step(method, tiny.TX, tiny.TX)
    shapes = {"image": jax.ShapeDtypeStruct((BATCH, *image_shape), jnp.float32)}
    compiled = flops.compile_step(step, state, shapes, "lax")
    least = flops.least_operations(generator, discriminator, state, BATCH, latent_dim, image_shape)
    assert 1 <= compiled.cost_analysis()["flops"] / least < 1.02


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_the_taps_of_a_layer_are_those_that_meet_a_pixel(kernel):
    """With ones for image and kernel, a convolution's sum is its number of pairs."""
    for layer in (
        networks.layers.Conv(2, (kernel, kernel), 2, kernel_init=jax.nn.initializers.ones),
        networks.layers.ConvTranspose(2, (kernel, kernel), 2, kernel_init=jax.nn.initializers.ones),
        networks.layers.Conv(2, (kernel, kernel), 1, kernel_init=jax.nn.initializers.ones),
    ):
        x = np.ones((3, 7, 7, 4), np.float32)
        y, _ = layer.init_with_output(jax.random.key(0), x)
        assert flops.layer_operations(layer, x.shape) == [2 * float(y.sum())]


def test_the_programs_count_is_the_layers():
    game = TIMED["dcgan28"]
    state = jax.eval_shape(lambda: jaxgan_side.init(game))
    least = flops.least_operations(
        *jaxgan_side.make_players(game), state, game.batch, game.latent_dim, game.image_shape
    )
    assert flops.counted(game) == pytest.approx(least, rel=0.02)


def test_r3gans_step_is_eighteen_passes_of_a_player():
    """Three of the generator; of the critic two a batch and one for each gradient that is taken."""
    game = SMALL["r3gan"]._replace(batch=1, widths=(64, 64))
    state = jax.eval_shape(lambda: jaxgan_side.init(game))
    _, critic = jaxgan_side.make_players(game)
    images = jaxgan_side.batch_shapes(game)["image"]
    one = flops._lowered_operations(critic.apply, {"params": state.discriminator.params}, images)
    assert flops.counted(game) / one == pytest.approx(18, rel=0.05)


BENCHMARKS = Path(flops.__file__).parent
REFUSED = (
    *("clu", "grain", "jinja2", "matplotlib", "ml_collections", "PIL", "tensorboard"),
    *("tensorboardX", "tensorflow", "tensorflow_datasets"),
)
BARE = f"""
import importlib.abc
import sys

class Refused(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED}:
            raise ModuleNotFoundError("refused: " + name)

sys.meta_path.insert(0, Refused())
"""


def step_time(tmp_path, *arguments):
    """Runs it where JAX, Flax, Optax and their own dependencies are all there is."""
    (tmp_path / "sitecustomize.py").write_text(BARE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "XLA_FLAGS": ""}
    command = [sys.executable, BENCHMARKS / "step_time.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_table_of_accelerators_runs_on_a_bare_machine(tmp_path):
    file = tmp_path / "small.json"
    chosen = ("--models", "dcgan28", "r3gan", "--dtypes", "bfloat16", "--peak", "bfloat16=1")
    run = step_time(tmp_path, "--small", *chosen, "--json", file)
    assert run.returncode == 0, run.stderr
    figures = json.loads(file.read_text())["runs"][0]["figures"]
    assert list(figures) == ["dcgan28 bfloat16", "r3gan bfloat16"]
    for row in figures.values():
        assert row["jaxgan_images_per_s"] > 0 < row["jaxgan_scan_images_per_s"]
        assert 0 < row["jaxgan_share_of_peak"] < 1
        assert row["jaxgan_memory_mb"] > 0
        # Without PyTorch its sides are lines, and the table goes on.
        assert (row["torch_images_per_s"] is None) == (find_spec("torch") is None)
    # Five steps of one call are five calls of one step.
    assert re.search(r"r3gan bfloat16: losses of 10 steps differ by jaxgan_scan \d", run.stdout)
    if find_spec("torch") is None:
        assert "dcgan28 bfloat16 torch: ModuleNotFoundError" in run.stdout


def test_what_there_is_no_time_for_is_told_of(tmp_path):
    run = step_time(tmp_path, "--small", "--models", "dcgan28", "--minutes", "0.0001")
    assert run.returncode == 0, run.stderr
    assert len(re.findall("no time (is left|was left to finish)", run.stdout)) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--platform", "gpu"), "--platform: got gpu, but JAX finds cpu alone"),
        (("--small", "--models", "mlp"), "--models: got mlp, expected some of dcgan28, dcgan64"),
        (("--dtypes", "tf32"), "--dtypes: got tf32, expected some of float32, bfloat16"),
        (("--small", "--peak", "half=1"), "--peak: expected DTYPE=TFLOPS"),
    ],
)
def test_what_cannot_be_timed_is_refused_in_a_line(tmp_path, arguments, message):
    run = step_time(tmp_path, *arguments)
    assert run.returncode == 2
    assert message in run.stderr.splitlines()[-1]


def test_a_peak_is_that_of_the_longest_name():
    assert peak("NVIDIA H200", "bfloat16") == 989e12
    assert peak("NVIDIA L40S", "float32") == 91.6e12 != peak("NVIDIA L4", "float32") == 30.3e12
    assert peak("NVIDIA A100-SXM4-80GB", "tf32") == 156e12 != peak("NVIDIA A10G", "tf32")
    assert peak("cpu", "float32") is None


@pytest.mark.parametrize("name", SMALL)
def test_pytorch_trains_the_same_game(name, tmp_path):
    pytest.importorskip("torch")
    import torch_reference

    start = jaxgan_side.make_start(SMALL[name], "cpu")
    start.save(tmp_path / "start.npz")
    start = parity.Start.load(tmp_path / "start.npz", SMALL[name], "cpu")
    losses = []
    for prepare in (
        lambda: jaxgan_side.prepare("float32", start),
        lambda: torch_reference.prepare("torch", "float32", start),
    ):
        step, _ = prepare()
        losses.append([[float(loss) for loss in step(i)] for i in range(parity.STEPS)])
    ours, theirs = losses
    assert len(ours[0]) == (4 if name == "r3gan" else 3)
    assert parity.largest_difference(theirs, ours) < 1e-5
    # Losses move, or there would be nothing to compare.
    assert parity.largest_difference(ours[:1], ours[-1:]) > 1e-3


@pytest.mark.parametrize("name", OF_CPU)
def test_the_sizes_of_a_game_are_those_of_its_networks(name):
    """The widths in games.py, which PyTorch's networks are made of, give jaxgan's own."""
    game = TIMED[name]
    if name == "mlp":
        ours = networks.mlp("plain")
    else:
        ours = networks.dcgan(game.image_shape[0], game.image_shape[2])
    assert jaxgan_side.make_players(game) == ours
