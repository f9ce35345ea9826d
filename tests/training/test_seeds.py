"""Several seeds in one program against the run of each."""

import functools
import json
import shutil

import jax
import mlp_gan
import numpy as np
import pytest
from mlp_runs import config_of, make_splits, train
from scripts import final_state

from jaxgan import UserError, load_generator
from jaxgan.runs.page import read_metrics
from jaxgan.training import adversarial, generation, seeds


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_splits(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def singles(images, tmp_path_factory):
    """The runs of seeds 5, 6 and 7, each by itself."""
    workdir = tmp_path_factory.mktemp("singles")
    return [train(config_of(images, seed=seed), workdir / str(seed)) for seed in (5, 6, 7)]


@pytest.fixture(scope="module")
def joined(images, tmp_path_factory):
    return train(config_of(images, seeds=3), tmp_path_factory.mktemp("joined") / "run")


def numbers(row):
    return {name: value for name, value in row.items() if "images_per_second" not in name}


def assert_same_run(ours, theirs, tolerance=1e-5):
    """To rounding: parameters, optimisers and averages, and what was logged and measured."""
    for a, b in zip(final_state(ours, 12), final_state(theirs, 12), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)
    rows, others = (read_metrics(folder / "metrics.jsonl") for folder in (ours, theirs))
    assert len(rows) == len(others) == 8
    for row, other in zip(rows, others, strict=True):
        assert numbers(row) == pytest.approx(numbers(other), abs=1e-4)


@pytest.mark.parametrize("index", range(3))
def test_each_seed_is_its_own_run(joined, singles, index):
    assert_same_run(joined / f"seed_{5 + index}", singles[index])


def test_so_it_is_side_by_side_as_on_accelerators(images, singles, tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "_takes_turns", lambda: False)
    workdir = train(config_of(images, seeds=3), tmp_path / "run")
    for seed, single in zip((5, 6, 7), singles, strict=True):
        assert_same_run(workdir / f"seed_{seed}", single, tolerance=1e-4)


def test_the_seeds_are_not_alike(joined):
    first, second = (final_state(joined / f"seed_{seed}", 12)[2] for seed in (5, 6))
    assert np.max(np.abs(first - second)) > 1e-2


def test_the_records_have_mean_spread_and_each(joined, singles):
    rows = read_metrics(joined / "metrics.jsonl")
    of_each = [read_metrics(single / "metrics.jsonl") for single in singles]
    for name in ("train/d_real", "eval/accuracy_fake"):
        at = next(index for index, row in enumerate(rows) if name in row)
        values = [run[at][name] for run in of_each]
        assert rows[at][name] == pytest.approx(np.mean(values), abs=1e-4)
        assert rows[at][f"{name}_std"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
        assert rows[at][f"{name}_seeds"] == pytest.approx(values, abs=1e-4)


def test_eight_seeds_are_split_over_eight_devices(images, singles, tmp_path):
    config = config_of(images, seeds=jax.device_count(), seed=0)
    workdir = train(config, tmp_path / "run")
    for seed in (5, 7):
        assert_same_run(workdir / f"seed_{seed}", singles[seed - 5])


def test_stopped_and_gone_on_with_it_ends_bit_for_bit_the_same(
    images, joined, tmp_path, monkeypatch
):
    calls, place = [], seeds.place

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 6:  # after the checkpoint of step 4
            raise KeyboardInterrupt
        return place(*arguments)

    monkeypatch.setattr(seeds, "place", interrupted)
    config = config_of(images, seeds=3)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "seed_5").exists()
    train(config, tmp_path / "run")
    for seed in (5, 6, 7):
        ours, theirs = (final_state(f / f"seed_{seed}", 12) for f in (tmp_path / "run", joined))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def test_a_seed_is_a_run_like_any_other(images, joined):
    generate = load_generator(joined / "seed_6")
    assert (generate.config["seed"], generate.config["seeds"], generate.step) == (6, 1, 12)
    assert generate(np.zeros((2, 4), np.float32)).shape == (2, 8, 8, 1)
    summary = json.loads((joined / "seed_6" / "summary.json").read_text())
    assert (summary["status"], summary["step"]) == ("finished", 12)
    assert (joined / "seed_6" / "index.html").exists()


def test_a_seed_goes_on_as_its_own_run_does(images, joined, singles, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    shutil.copytree(joined / "seed_6", ours)
    shutil.copytree(singles[1], theirs)
    make_game = functools.partial(adversarial.make_game, mlp_gan.make_players)
    config = config_of(images, seed=6, num_steps=16)
    for folder in (ours, theirs):
        generation.train(make_game, config, folder, True)
    for a, b in zip(final_state(ours, 16), final_state(theirs, 16), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_all_of_them_are_not_loaded_as_one(joined):
    with pytest.raises(UserError, match=r"holds 3 trainings at once, .*as .*seed_5"):
        load_generator(joined)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds: got 0, expected 1 or more"),
        ({"seeds": 2, "seed": 2**31 - 1}, "seeds: got 2, expected a last seed of at most"),
        ({"seeds": 2, "on_nonfinite": "skip"}, "on_nonfinite: got 'skip', expected stop where"),
        ({"seeds": 2, "keep_best": "fid", "metrics": "fid"}, "keep_best: got 'fid', expected none"),
    ],
)
def test_what_several_seeds_cannot_have_is_refused(images, tmp_path, changes, message):
    with pytest.raises(UserError) as error:
        train(config_of(images, **changes), tmp_path / "run")
    assert str(error.value).startswith(message)
    assert not (tmp_path / "run").exists()
