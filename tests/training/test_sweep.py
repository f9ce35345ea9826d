"""Values of a field in one program against the run of each."""

import functools
import json

import acgan
import infogan
import jax
import jax.numpy as jnp
import mlp_gan
import numpy as np
import pytest
import r3gan
import stacked_mnist
from mlp_runs import config_of, make_splits, train
from scripts import final_state

from jaxgan import UserError, load_generator
from jaxgan.runs.page import read_metrics
from jaxgan.training import adversarial, generation, seeds
from jaxgan.training.sweep import Sweep, check_effect, read_sweep, with_fields

RATES = "generator_learning_rate=1e-4,2e-4"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def swept(images, tmp_path_factory):
    """Two rates, of seeds 5 and 6 each."""
    config = config_of(images, seeds=2, sweep=RATES)
    return train(config, tmp_path_factory.mktemp("swept") / "run")


def assert_same_run(ours, theirs, tolerance):
    for a, b in zip(final_state(ours, 12), final_state(theirs, 12), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)
    rows, others = (read_metrics(folder / "metrics.jsonl") for folder in (ours, theirs))
    assert len(rows) == len(others) == 8
    for row, other in zip(rows, others, strict=True):
        for name in row.keys() - {"train/images_per_second"}:
            assert row[name] == pytest.approx(other[name], abs=1e-4), name


@pytest.mark.parametrize(("rate", "seed"), [(1e-4, 6), (2e-4, 5)])
def test_each_value_is_its_own_run(images, swept, tmp_path, rate, seed):
    config = config_of(images, seed=seed, generator_learning_rate=rate)
    alone = train(config, tmp_path / "alone")
    assert_same_run(swept / f"generator_learning_rate_{rate}_seed_{seed}", alone, 1e-5)


def test_so_it_is_side_by_side_as_on_accelerators(images, swept, tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "_takes_turns", lambda: False)
    workdir = train(config_of(images, sweep=RATES), tmp_path / "run")
    for rate in ("0.0001", "0.0002"):
        name = f"generator_learning_rate_{rate}_seed_5"
        assert_same_run(workdir / name, swept / name, 1e-4)


def test_the_values_are_not_alike(swept):
    first, second = (
        final_state(swept / f"generator_learning_rate_{rate}_seed_5", 12)[2]
        for rate in ("0.0001", "0.0002")
    )
    assert np.max(np.abs(first - second)) > 1e-4


def test_the_records_have_mean_and_spread_of_each_value(swept):
    table = json.loads((swept / "sweep.json").read_text())
    assert list(table) == ["generator_learning_rate=0.0001", "generator_learning_rate=0.0002"]
    newest = [row for row in read_metrics(swept / "metrics.jsonl") if "train/d_real_seeds" in row]
    each = np.reshape(newest[-1]["train/d_real_seeds"], (2, 2))
    for values, (label, of) in zip(each, table.items(), strict=True):
        assert of["runs"] == [f"{label.replace('=', '_')}_seed_{seed}" for seed in (5, 6)]
        expected = {"mean": np.mean(values), "std": np.std(values, ddof=1)}
        assert of["train/d_real"] == pytest.approx(expected)
        assert f"train/d_real/{label}" in newest[-1]
        for name in of["runs"]:
            own = read_metrics(swept / name / "metrics.jsonl")
            assert any(row.get("train/d_real") in values for row in own)
    page = (swept / "index.html").read_text()
    mean, std = np.mean(each[1]), np.std(each[1], ddof=1)
    assert f"{mean:.4g} ± {std:.4g}" in page
    assert "generator_learning_rate_0.0002_seed_6" in page


def test_a_value_is_a_run_like_any_other(swept):
    generate = load_generator(swept / "generator_learning_rate_0.0002_seed_6")
    config = generate.config
    names = ("generator_learning_rate", "seed", "seeds", "sweep")
    assert [config[name] for name in names] == [2e-4, 6, 1, ""]
    with pytest.raises(UserError, match=r"holds 4 trainings at once.*rate_0\.0001_seed_5"):
        load_generator(swept)


class Labelled:
    num_classes = 10


BURN_IN = {"burn_in_images": 1000, "augment": "ada", "batch_size": 4}
GAMES = {
    "mlp_gan": (mlp_gan, mlp_gan.get_config("plain"), {"penalty": "r1"}),
    "r3gan": (r3gan, r3gan.get_config(), {"width": 64, **BURN_IN}),
    "stacked_mnist": (stacked_mnist, stacked_mnist.get_config("quick"), {}),
    "acgan": (acgan, acgan.get_config(), {}),
    "infogan": (infogan, infogan.get_config(), {}),
}


def check(name, **changes):
    """As training does before it begins."""
    module, config, more = GAMES[name]
    config = with_fields(config, **{"batch_size": 4, **more, **changes})
    one_step = functools.partial(take_step, make_game_of(module))
    check_effect(config, one_step, generation.batch_of(config))


def make_game_of(module):
    if hasattr(module, "make_game"):
        return module.make_game
    return functools.partial(adversarial.make_game, module.make_players)


def take_step(make_game, config, batch):
    game = make_game(config, Labelled(), jax.random.key(0))
    return game.step(game.state, batch)


@pytest.mark.parametrize(
    ("name", "sweep"),
    [
        ("mlp_gan", "penalty_weight=0.1,10"),
        ("r3gan", "discriminator_learning_rate=1e-3,2e-3"),
        ("r3gan", "penalty_weight=0.1,10"),
        ("r3gan", "augment_probability=0,0.5"),
        ("stacked_mnist", "generator_learning_rate=1e-3,2e-3"),
        ("acgan", "class_weight=0.1,1"),
        ("infogan", "class_weight=0.1,1"),
        ("infogan", "code_weight=0.1,1"),
    ],
)
def test_rates_and_weights_can_be_swept(name, sweep):
    check(name, sweep=sweep)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("mlp_gan", {"sweep": "ema_decay=0.9,0.99"}, "another field: ema_decay decides which prog"),
        ("mlp_gan", {"sweep": "label_smoothing=0,0.1"}, "another field: label_smoothing decides"),
        ("mlp_gan", {"sweep": "penalty_weight=1,2", "penalty": ""}, "a field that this training u"),
        ("stacked_mnist", {"sweep": "augment_probability=0,1"}, "a field that this training uses"),
    ],
)
def test_what_cannot_be_an_array_or_changes_nothing_is_refused(name, changes, expected):
    with pytest.raises(UserError) as error:
        check(name, **changes)
    assert str(error.value).startswith(f"sweep: got {changes['sweep']!r}, expected {expected}")
    assert len(str(error.value).splitlines()) == 1


def test_a_swept_weight_is_what_the_penalty_is_multiplied_by():
    make_game = make_game_of(mlp_gan)
    config = config_of("none", penalty="r1")
    batch = {"image": jax.random.uniform(jax.random.key(1), (8, 8, 8, 1))}
    config.image_size = 8

    @jax.jit
    def penalty(weight):
        return take_step(make_game, with_fields(config, penalty_weight=weight), batch)[1]["penalty"]

    once, often = penalty(jnp.float32(1)), penalty(jnp.float32(7))
    assert once > 0
    assert often == pytest.approx(7 * once)


def test_a_sweep_is_read():
    read = functools.partial(with_fields, mlp_gan.get_config("plain"))
    assert read_sweep(read(sweep="")) is None
    assert read_sweep(read(sweep="penalty_weight=0,1e-3")) == Sweep("penalty_weight", (0, 1e-3))
    labels = Sweep("rate", (1e-4, 0.1 + 0.2, 10.0)).labels
    assert labels == ["rate=0.0001", "rate=0.30000000000000004", "rate=10"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweep": "width"}, "sweep: got 'width', expected FIELD=..., with one of augment_prob"),
        ({"sweep": "batch_size=8,16"}, "sweep: got 'batch_size=8,16', expected FIELD=..., with"),
        (
            {"sweep": "penalty_weight="},
            "sweep: got 'penalty_weight=', expected penalty_weight= and",
        ),
        ({"sweep": "penalty_weight=1"}, "sweep: got 'penalty_weight=1', expected penalty_weight="),
        ({"sweep": "penalty_weight=1,1"}, "sweep: got 'penalty_weight=1,1', expected penalty_w"),
        ({"sweep": "penalty_weight=1,nan"}, "sweep: got 'penalty_weight=1,nan', expected penalty"),
        ({"sweep": "penalty_weight=1,x"}, "sweep: got 'penalty_weight=1,x', expected penalty_wei"),
        ({"sweep": RATES, "on_nonfinite": "skip"}, "on_nonfinite: got 'skip', expected stop where"),
        ({"sweep": "penalty_weight=-1,1", "penalty": "r1"}, "penalty_weight: got -1.0, expected a"),
    ],
)
def test_bad_sweeps_are_refused_and_leave_nothing(images, tmp_path, changes, message):
    with pytest.raises(UserError) as error:
        train(config_of(images, **changes), tmp_path / "run")
    assert str(error.value).startswith(message)
    assert not (tmp_path / "run").exists()
