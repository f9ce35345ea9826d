"""One-step generation: teacher and students trained, broken off, gone on, loaded and measured."""

import functools
import json
import shutil

import jax
import numpy as np
import one_step
import pytest

from jaxgan import UserError, data, load_generator
from jaxgan.methods import integrate
from jaxgan.runs.page import read_metrics
from jaxgan.training import distillation
from jaxgan.training.config import check_config
from jaxgan.training.reports import one_step_report
from jaxgan.training.state_file import read_state

SMALL = {
    "width": 4,
    "teacher_steps": 5,
    "num_steps": 4,
    "batch_size": 8,
    "disc_steps": 1,
    "log_every": 1,
    "sample_every": 4,
    "checkpoint_every": 2,
    "metrics": "",
}


def config_of(workdir, **changes):
    config = one_step.get_config()
    config.update({**SMALL, **changes})
    distillation.fit(config, {*changes}, workdir)
    check_config(config)
    return config.lock()  # as flags do


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The folder of a run whose teacher is trained, and no more."""
    workdir = tmp_path_factory.mktemp("one_step") / "run"
    source = data.load("mnist", "train")
    distillation.prepare_teacher(config_of(workdir), source, workdir, False)
    return workdir


@pytest.fixture(scope="module")
def finished(taught):
    workdir = shutil.copytree(taught, taught.parent / "finished")
    distillation.train(config_of(workdir), workdir, False)
    return workdir


def test_both_students_begin_as_the_teacher(taught):
    variables, _ = read_state(taught / "teacher.msgpack")
    game = distillation.make_game(taught, False, config_of(taught), None, jax.random.key(0))
    for name, leaf in variables["params"]["first"].items():
        for player in (game.state.generator, game.state.discriminator):
            np.testing.assert_array_equal(player.params["first"][name], leaf)
    np.testing.assert_array_equal(
        game.state.extra["teacher"]["params"]["last"]["kernel"],
        variables["params"]["last"]["kernel"],
    )


def test_a_teacher_broken_off_and_started_again_is_the_same_to_the_last_bit(
    taught, tmp_path, monkeypatch
):
    config, source = config_of(tmp_path), data.load("mnist", "train")
    prepare = functools.partial(distillation.prepare_teacher, config, source, tmp_path, False)
    train, steps = distillation.short_training.train, []

    def breaking(step, *args, **options):
        def counted(player, batch, number):
            steps.append(number)
            if steps == [1, 2, 3]:
                raise KeyboardInterrupt
            return step(player, batch, number)

        return train(counted, *args, **options)

    monkeypatch.setattr(distillation, "SAVED_EVERY", 2)
    monkeypatch.setattr(distillation.short_training, "train", breaking)
    with pytest.raises(KeyboardInterrupt):
        prepare()
    assert not (tmp_path / "teacher.msgpack").exists()
    prepare()
    assert steps == [1, 2, 3, 3, 4, 5]
    assert not (tmp_path / "teacher_unfinished.msgpack").exists()
    names = (folder / "teacher.msgpack" for folder in (tmp_path, taught))
    assert len({name.read_bytes() for name in names}) == 1


def test_the_report_measures_teacher_and_students(taught, tmp_path, monkeypatch, capsys):
    workdir = shutil.copytree(taught, tmp_path / "run")
    config, noise = (
        config_of(workdir, metrics="fid"),
        jax.random.normal(jax.random.key(1), (2, 784)),
    )
    teacher = one_step_report.teacher_of(config, workdir, 3)
    # It draws as its solver does.
    variables, _ = read_state(workdir / "teacher.msgpack")
    network = distillation.make_teacher(config)
    drawn = integrate(lambda x, t: network.apply(variables, x, t), noise.reshape(2, 28, 28, 1), 3)
    np.testing.assert_allclose(teacher(noise), np.clip((drawn + 1) / 2, 0, 1), atol=1e-5)
    # In place of the students, one that draws as the teacher in 3 steps, and one that draws noise.
    poor = functools.partial(lambda latents: jax.nn.sigmoid(latents.reshape(-1, 28, 28, 1)))
    poor.inputs, teacher.step = teacher.inputs, 4
    students = {workdir: teacher, workdir / "without": poor}
    monkeypatch.setattr(one_step_report, "load_generator", students.get)
    monkeypatch.setattr(one_step_report, "NUM", 20)
    monkeypatch.setattr(one_step_report, "STEPS", (1, 3))
    one_step_report.report(config, workdir)
    told = capsys.readouterr().out
    found = json.loads((workdir / "evaluation.json").read_text())
    columns = ["teacher, 1 step", "teacher, 3 steps", "student without", "student", "real"]
    assert [name for name in found if isinstance(found[name], dict)] == ["network", *columns]
    assert all(name in told for name in columns)
    assert found["student"] == found["teacher, 3 steps"] != found["student without"]
    assert found["real"]["fid"] < min(found[name]["fid"] for name in columns[:-1])
    assert "the student in one step is no worse than its teacher in 3: FID" in told
    assert (workdir / "one_step.png").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width: got 0, expected 1 or more"),
        ({"teacher_learning_rate": 0.0}, r"teacher_learning_rate: got 0\.0"),
        ({"gan_weight": -1.0}, r"gan_weight: got -1\.0"),
        ({"student_time": 0.0}, r"student_time: got 0\.0"),
        ({"image_size": 30}, "image_size: got 30, expected a multiple of 4"),
        ({"latent": "uniform"}, "latent: got 'uniform', expected normal"),
        ({"latent_dim": 100}, "latent_dim: got 100, expected 784"),
        ({"seeds": 2}, "seeds: got 2, expected 1"),
        ({"metrics": "beauty"}, "metrics: got 'beauty'"),
    ],
)
def test_bad_input_is_told_before_anything_is_trained(tmp_path, changes, message):
    with pytest.raises(UserError, match=f"^{message}"):
        distillation.train(config_of(tmp_path, **changes), tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_another_teacher_is_not_taken(taught, tmp_path):
    shutil.copytree(taught, tmp_path / "run")
    config = config_of(tmp_path, teacher_steps=7)
    with pytest.raises(UserError, match=r"^teacher_steps: got 7, but .* was trained with 5"):
        distillation.train(config, tmp_path / "run", True)


def test_it_leaves_a_teacher_and_two_students(finished):
    assert not (finished / "teacher_unfinished.msgpack").exists()
    for folder, adversarial in ((finished, True), (finished / "without", False)):
        rows = read_metrics(folder / "metrics.jsonl")
        assert [row["step"] for row in rows] == [1, 2, 3, 4]
        assert all(np.isfinite(list(row.values())).all() for row in rows)
        assert ("train/generator_loss_gan" in rows[0]) == adversarial
        assert (folder / "index.html").is_file()
        images = load_generator(folder)(np.random.default_rng(0).standard_normal((3, 784)))
        assert images.shape == (3, 28, 28, 1)
