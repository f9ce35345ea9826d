"""Gaussians with a known answer: densities, the optimum, the protocol's data, the script."""

import contextlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gaussians
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats
from scripts import QUICK, final_state

from jaxgan import UserError
from jaxgan.networks.points import PointGenerator
from jaxgan.runs.page import read_metrics
from jaxgan.toys import gaussian_metrics, gaussian_run, gaussian_toys, gaussian_trials

SCRIPT = Path(__file__).parents[2] / "experiments" / "gaussians.py"
SHORT = {
    "trials": 2,
    "num_samples": 100,
    "batch_size": 8,
    "width": 8,
    "layers": 1,
    "num_steps": 20,
    "steps_per_call": 5,
    "log_every": 5,
    "sample_every": 10,
    "eval_every": 10,
    "checkpoint_every": 10,
}
EDGES = np.linspace(-4, 4, 161)


def run(workdir, variant, **changes):
    """The script's run in this process; what it has printed."""
    config = gaussians.get_config(variant)
    config.update(changes)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        gaussian_run.train(config, workdir, change_config=False)
    return told.getvalue()


def command(workdir, *arguments, **config):
    fields = [f"--config.{field}={value}" for field, value in config.items()]
    parts = [sys.executable, SCRIPT, "--workdir", workdir, *arguments, *fields]
    environment = {**os.environ, **QUICK}
    return subprocess.run(parts, capture_output=True, text=True, env=environment)


def affine(latents):
    return 0.8 * latents[:, 0] - 0.5


def fold(latents):
    return np.abs(latents[:, 0])


@pytest.mark.parametrize(
    ("generate", "prior", "law"),
    [
        (affine, "normal", stats.norm(-0.5, 0.8)),
        (lambda z: -affine(z), "normal", stats.norm(0.5, 0.8)),
        (lambda z: np.exp(z[:, 0]) - 1, "normal", stats.lognorm(1.0, loc=-1)),
        (fold, "normal", stats.halfnorm()),
        (affine, "uniform", stats.uniform(-1.3, 1.6)),
    ],
)
def test_the_density_of_a_generator_is_the_closed_form(generate, prior, law):
    masses = gaussian_toys.generated_masses(generate, prior, EDGES)
    np.testing.assert_allclose(masses, np.diff(law.cdf(EDGES)), atol=2e-6)


def test_a_generator_of_one_point_has_all_mass_in_its_bin():
    masses = gaussian_toys.generated_masses(lambda z: np.full(len(z), 0.51), "normal", EDGES)
    assert masses[np.searchsorted(EDGES, 0.51) - 1] == pytest.approx(1)
    assert masses.sum() == pytest.approx(1)


def test_the_density_of_a_network_is_that_of_its_samples():
    generator = PointGenerator((16, 16), latent_dim=1, dim=1)
    latents = jax.random.normal(jax.random.key(0), (100_000, 1))
    points, variables = generator.init_with_output(jax.random.key(3), latents)
    points = np.asarray(points)[:, 0, 0]
    edges = np.quantile(points, np.linspace(0.01, 0.99, 21))
    masses = gaussian_toys.generated_masses(
        lambda z: generator.apply(variables, jnp.asarray(z))[:, 0, 0], "normal", edges
    )
    counted = np.histogram(points, edges)[0] / len(points)
    # Five standard errors of a share of 0.05.
    np.testing.assert_allclose(masses, counted, atol=5 * np.sqrt(0.05 / 100_000))


def test_the_masses_of_the_line_are_scipys():
    mixture = gaussian_toys.make_mixture("line")
    centres = mixture.centres[:, 0]
    cdf = np.mean([stats.norm(c, mixture.std).cdf(EDGES) for c in centres], axis=0)
    np.testing.assert_allclose(mixture.masses(EDGES), np.diff(cdf), atol=1e-12)


def test_the_optimum_is_the_ratio_and_the_support_is_the_datas():
    p, q = np.array([0.5, 0.3, 0.004, 0.0, 0.0]), np.array([0.5, 0.1, 0.1, 0.1, 0.0])
    d = np.array([0.4, 0.75, 0.0, 1.0, 1.0])
    optimum, distance = gaussian_toys.distance_to_optimum(d, p, q)
    np.testing.assert_allclose(optimum, [0.5, 0.75, 0.004 / 0.104, 0.0, np.nan])
    # The third bin is below a hundredth of the first.
    assert distance == pytest.approx((0.1 + 0.0) / 2)


def test_no_discriminator_does_better_than_the_optimum():
    p = gaussian_toys.make_mixture("line").masses(EDGES)
    q = gaussian_toys.generated_masses(affine, "normal", EDGES)
    optimum, _ = gaussian_toys.distance_to_optimum(np.zeros(len(p)), p, q)

    def value(d):
        return np.sum(p * np.log(d) + q * np.log(1 - d))

    middle = np.clip(optimum, 1e-6, 1 - 1e-6)
    for shift in (-0.02, 0.02):
        assert value(np.clip(middle + shift, 1e-6, 1 - 1e-6)) < value(middle)


@pytest.mark.parametrize(("variant", "count", "std"), [("ring", 8, 0.01), ("grid", 25, 0.05)])
def test_the_data_are_the_protocols(variant, count, std):
    mixture = gaussian_toys.make_mixture(variant)
    assert mixture.centres.shape == (count, 2)
    if variant == "ring":
        radii = np.linalg.norm(mixture.centres, axis=1)
        np.testing.assert_allclose(radii, 1)
        gaps = np.linalg.norm(mixture.centres - np.roll(mixture.centres, 1, axis=0), axis=1)
        np.testing.assert_allclose(gaps, 2 * np.sin(np.pi / 8))
    else:
        ticks = (-4, -2, 0, 2, 4)
        assert {tuple(c) for c in mixture.centres} == {(x, y) for x in ticks for y in ticks}
    points = np.asarray(mixture.sample(jax.random.key(0), (500, 40)), np.float64).reshape(-1, 2)
    distances = np.linalg.norm(points[:, None] - mixture.centres[None], axis=2)
    nearest = np.argmin(distances, axis=1)
    counts = np.bincount(nearest, minlength=count)
    assert stats.chisquare(counts).pvalue > 1e-4
    errors = points - mixture.centres[nearest]
    assert abs(errors.mean()) < 5 * std / np.sqrt(errors.size)
    assert stats.kstest(errors.ravel() / std, "norm").pvalue > 1e-4
    figures = gaussian_toys.mode_metrics(points, mixture)
    assert figures["modes"] == count
    assert figures["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.005)
    assert figures["reverse_kl"] < 0.005


def test_a_pack_is_points_of_their_own():
    generator = PointGenerator((8,), latent_dim=3, dim=2)
    latents = jax.random.normal(jax.random.key(0), (5, 4 * 3))
    packs, variables = generator.init_with_output(jax.random.key(1), latents)
    assert packs.shape == (5, 4, 2)
    alone = generator.apply(variables, latents.reshape(20, 3))
    np.testing.assert_allclose(packs.reshape(20, 1, 2), alone, rtol=1e-6)
    with pytest.raises(UserError, match=r"^latents: got shape \(5, 4\), expected \(B, a multiple"):
        generator.apply(variables, jnp.zeros((5, 4)))


@pytest.mark.parametrize(
    "change", [{}, {"packing": 2, "penalty": ""}, {"loss": "relativistic", "penalty": "r1+r2"}]
)
def test_a_trial_among_others_is_the_trial_alone(change):
    ends = {}
    for count in (3, 1):
        config = gaussians.get_config("ring")
        config.update({**SHORT, **change, "trials": count})
        trials = gaussian_trials.make_trials(config)
        ends[count], metrics = trials.train_steps(trials.state, jnp.arange(3))
        assert metrics["generator_loss"].shape == (3,)
        assert int(ends[count].step) == 3
    players = ({"g": end.generator.params, "d": end.discriminator.params} for end in ends.values())
    for together, alone in zip(*map(jax.tree.leaves, players), strict=True):
        np.testing.assert_allclose(together[:1], alone, atol=1e-4)
    kernels = ends[3].generator.params["Dense_0"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1], atol=1e-2)


def test_the_summary_names_the_worst():
    figures = [
        {"modes": 8, "reverse_kl": 0.1},
        {"modes": 6, "reverse_kl": float("nan")},
        {"modes": 7, "reverse_kl": 0.3},
    ]
    summary = gaussian_metrics.summarize(figures)
    assert summary["modes"] == {"mean": 7.0, "std": 1.0, "worst": 6.0}
    assert summary["reverse_kl"] == {"mean": None, "std": None, "worst": None}
    assert "7.0000" in gaussian_metrics.format_summary(summary)
    assert gaussian_metrics.without_nan({"modes": 0, "reverse_kl": math.nan}) == {
        "modes": 0.0,
        "reverse_kl": None,
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("gaussians") / "run"
    return workdir, run(workdir, "ring", **SHORT)


def test_it_trains_measures_and_draws(unbroken):
    workdir, told = unbroken
    record = json.loads((workdir / "gaussians.json").read_text())
    assert len(record["trials"]) == 2
    assert record["step"] == 20
    shares = [trial["high_quality"] for trial in record["trials"]]
    assert record["high_quality"]["mean"] == pytest.approx(np.mean(shares))
    assert record["high_quality"]["worst"] == min(shares)
    assert "high_quality" in told
    rows = read_metrics(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows if "eval/modes_worst" in row] == [10, 20]
    for step in (0, 10, 20):
        with Image.open(workdir / "samples" / f"samples_{step:06d}.png") as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20  # something is drawn
    assert (workdir / "index.html").exists()


def test_resumed_it_ends_with_the_very_same_figures(unbroken, tmp_path, capsys):
    workdir = tmp_path / "run"
    # As if it had been killed in the middle.
    shutil.copytree(unbroken[0], workdir)
    shutil.rmtree(workdir / "checkpoints" / "20")
    (workdir / "gaussians.json").unlink()
    run(workdir, "ring", **SHORT)
    assert "goes on from the checkpoint of step 10" in capsys.readouterr().err
    ours, theirs = ((folder / "gaussians.json").read_bytes() for folder in (workdir, unbroken[0]))
    assert ours == theirs
    # After so few steps the figures alone may be those of other networks, too.
    ours, theirs = (final_state(folder, 20) for folder in (workdir, unbroken[0]))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def test_finished_the_command_only_measures_again(unbroken):
    workdir, told = unbroken
    result = command(workdir, "--variant=ring", **SHORT)
    assert result.returncode == 0, result.stderr
    assert "is finished" in result.stderr
    assert result.stdout == told


def test_the_line_compares_discriminators(tmp_path):
    run(tmp_path / "run", gaussians.VARIANTS[0], **SHORT)
    record = json.loads((tmp_path / "run/gaussians.json").read_text())
    assert 0 < record["distance"]["worst"] < 1
    assert 0 < record["total_variation"]["worst"] <= 1


@pytest.mark.parametrize(
    ("variant", "config", "message"),
    [
        ("torus", {}, "variant: got 'torus', expected one of line, ring, grid"),
        ("ring", {"trials": 0}, "trials: got 0, expected 1 or more"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, variant, config, message):
    result = command(tmp_path / "run", f"--variant={variant}", **config)
    assert result.returncode == 2
    assert result.stderr.startswith(f"gaussians.py: error: {message}")
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("variant", "field", "value", "expected"),
    [
        ("ring", "packing", 3, "a divisor of batch_size"),
        ("ring", "loss", "hing", "one of minimax"),
        ("ring", "penalty", "r3", "some of r1"),
        ("ring", "penalty_weight", 0.0, "a positive number"),
        ("ring", "generator_learning_rate", float("nan"), "a finite number"),
        ("ring", "ema_decay", 1.0, "a number in"),
        ("ring", "latent", "gaussian", "normal or uniform"),
        ("line", "latent_dim", 2, "1 on the line"),
        ("line", "packing", 2, "1 on the line"),
        ("line", "loss", "wasserstein", "one that gives probabilities"),
        ("line", "ema_decay", 0.9, "0 on the line"),
    ],
)
def test_values_that_no_run_can_have_are_named(variant, field, value, expected):
    config = gaussians.get_config(variant)
    config[field] = value
    with pytest.raises(UserError) as error:
        gaussian_trials.check_config(config)
    assert str(error.value).startswith(f"{field}: got {value!r}, expected {expected}")


@pytest.mark.parametrize("variant", ["ring", "line"])
def test_seeds_in_one_program_are_the_runs_of_each(tmp_path, variant):
    steps = {"num_steps": 10, "sample_every": 5, "eval_every": 5, "checkpoint_every": 5}
    few = {**SHORT, **steps, "disc_steps": 1}
    run(tmp_path / "both", variant, seed=3, seeds=2, **few)
    for seed in (3, 4):
        run(tmp_path / "single", variant, seed=seed, **few)
        ours, theirs = tmp_path / "both" / f"seed_{seed}", tmp_path / "single"
        for a, b in zip(final_state(ours, 10), final_state(theirs, 10), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
        trials = [json.loads((f / "gaussians.json").read_text())["trials"] for f in (ours, theirs)]
        for own, other in zip(*trials, strict=True):
            assert own == pytest.approx(other, abs=1e-4)
        shutil.rmtree(theirs)
    everything = json.loads((tmp_path / "both" / "gaussians.json").read_text())
    assert len(everything["trials"]) == 4
    last = read_metrics(tmp_path / "both" / "metrics.jsonl")[-1]
    assert last["train/d_real"] == pytest.approx(np.mean(last["train/d_real_seeds"]))


def test_a_swept_value_is_the_run_of_it(tmp_path):
    steps = {"num_steps": 10, "sample_every": 5, "eval_every": 5, "checkpoint_every": 5}
    few = {**SHORT, **steps}
    told = run(tmp_path / "swept", "ring", sweep="penalty_weight=0.01,1", **few)
    run(tmp_path / "alone", "ring", penalty_weight=0.01, **few)
    # Each value has a summary, and all of them together have none.
    assert [f"penalty_weight={value}\n" in told for value in ("0.01", "1")] == [True, True]
    assert told.count("worst") == 2
    assert not (tmp_path / "swept" / "gaussians.json").exists()
    ours, theirs = tmp_path / "swept" / "penalty_weight_0.01_seed_0", tmp_path / "alone"
    other = tmp_path / "swept" / "penalty_weight_1_seed_0"
    for a, b in zip(final_state(ours, 10), final_state(theirs, 10), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    pairs = zip(final_state(ours, 10), final_state(other, 10), strict=True)
    assert max(np.max(np.abs(a - b)) for a, b in pairs) > 1e-3
    table = json.loads((tmp_path / "swept" / "sweep.json").read_text())
    assert table["penalty_weight=0.01"]["runs"] == [ours.name]
    assert table["penalty_weight=0.01"]["train/penalty"].keys() == {"mean"}


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("ema_decay=0.9,0.99", "another field: ema_decay decides"),
        ("width=8,16", "FIELD=..., with one of discriminator_learning_rate"),
    ],
)
def test_a_sweep_of_what_is_no_factor_is_refused(tmp_path, sweep, expected):
    with pytest.raises(UserError) as error:
        run(tmp_path / "run", "ring", sweep=sweep, **SHORT)
    assert str(error.value).startswith(f"sweep: got {sweep!r}, expected {expected}")
    assert not (tmp_path / "run").exists()
