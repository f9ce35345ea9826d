"""What is trained beside the GANs: stopped, cut off and damaged it ends where the unbroken does."""

import json
import os
import signal

import classifier
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stackgan
from flax import serialization
from PIL import Image

from jaxgan import UserError, data
from jaxgan.metrics.lenet import load_lenet
from jaxgan.training import captioned, classifying, short_training, stackgan_stages
from jaxgan.training.signals import Stopped
from jaxgan.training.state_file import read_state
from jaxgan.training.workdir import lock_workdir

NUM_STEPS = 7


class PowerCut(BaseException):
    pass


def train(folder, at=0, action=lambda: None, about=None):
    """A sum that depends on each batch and on their order, kept every second step."""
    seen = []

    def step(state, batch, number):
        seen.append(number)
        if number == at:
            action()
        return {"sum": 3 * state["sum"] + jnp.sum(batch["index"])}, None

    state = short_training.train(
        step,
        {"sum": jnp.zeros((), jnp.int32)},
        data.index_iterator(10, batch_size=4, seed=0),
        NUM_STEPS,
        file=folder / "kept.msgpack",
        about=about or {"seed": (0, 1)},
        every=2,
        tell=lambda *_: None,
        images_per_step=4,
    )
    return int(state["sum"]), seen


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return train(tmp_path_factory.mktemp("unbroken"))[0]


def test_what_is_not_finite_is_not_kept(tmp_path):
    file = tmp_path / "kept.msgpack"

    def step(state, batch, number):
        return {"sum": state["sum"] + (np.nan if number == 3 else 1.0)}, None

    with pytest.raises(UserError, match=r"^step 4: the new state is not finite"):
        short_training.train(
            step,
            {"sum": jnp.zeros(())},
            data.index_iterator(10, batch_size=4, seed=0),
            NUM_STEPS,
            file=file,
            about={},
            every=2,
            tell=lambda *_: None,
            images_per_step=4,
        )
    kept, _ = read_state(file)
    assert (int(kept["step"]), float(kept["state"]["sum"])) == (2, 2.0)


def cut():
    raise PowerCut


@pytest.mark.parametrize(
    ("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_saves_the_step_under_way(tmp_path, unbroken, name, code):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"stopped by {name} after step 3, which is saved") as stopped:
        train(tmp_path, 3, lambda: os.kill(os.getpid(), number))
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before
    assert train(tmp_path) == (unbroken, [4, 5, 6, 7])


@pytest.mark.parametrize(("at", "comes_again"), [(2, 1), (3, 3), (7, 7)])
def test_cut_off_it_goes_on_from_what_was_kept(tmp_path, unbroken, at, comes_again):
    with pytest.raises(PowerCut):
        train(tmp_path, at, cut)
    assert train(tmp_path) == (unbroken, list(range(comes_again, NUM_STEPS + 1)))


def test_what_is_kept_of_another_training_is_not_gone_on_with(tmp_path, unbroken):
    with pytest.raises(PowerCut):
        train(tmp_path, 5, cut, about={"seed": 1})
    assert train(tmp_path) == (unbroken, list(range(1, NUM_STEPS + 1)))


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "flip in the digest": lambda content: flip(content, 3),
    "flip in the middle": lambda content: flip(content, len(content) // 2),
    "flip at the end": lambda content: flip(content, len(content) - 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_named_and_not_used(tmp_path, unbroken, damage, tally, capsys):
    with pytest.raises(PowerCut):
        train(tmp_path, 5, cut)
    file = tmp_path / "kept.msgpack"
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    result = train(tmp_path)
    found = f"{file} is damaged and left out" in capsys.readouterr().err
    tally("damages found", found, 1)
    assert found
    assert result == (unbroken, list(range(1, NUM_STEPS + 1)))


def stopping_at(number, monkeypatch):
    """Has SIGTERM be seen after that many steps, and never again."""
    calls = iter(range(1, 10**6))
    monkeypatch.setattr(
        short_training, "signal_anywhere", lambda _: "SIGTERM" if next(calls) == number else None
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two classes of images, which have captions as well."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split in ("train", "test"):
        lines = []
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for number in range(6):
                pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
                lines.append(f"{name}/{number}.png\tthe {number}th {name}")
        (root / split / "captions.tsv").write_text("\n".join(lines))
    return root


def test_a_stopped_classifier_ends_bit_for_bit_the_same(images, tmp_path, monkeypatch):
    config = classifier.get_config()
    config.update(
        {
            "dataset": f"folder:{images}",
            "image_size": 8,
            "channels": 3,
            "batch_size": 4,
            "epochs": 2,
        }
    )
    classifying.train(config, tmp_path / "unbroken")
    name = f"{images.name.replace('-', '_')}.msgpack"
    expected = (tmp_path / "unbroken" / name).read_bytes()
    stopping_at(4, monkeypatch)  # in the second epoch
    with pytest.raises(Stopped, match="after step 4"):
        classifying.train(config, tmp_path / "run")
    # Weights that have not learnt to the end are nobody's to measure with.
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["unfinished.msgpack"]
    classifying.train(config, tmp_path / "run")
    assert (tmp_path / "run" / name).read_bytes() == expected
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]
    load_lenet(tmp_path / "run" / name)
    with (
        lock_workdir(tmp_path / "run"),
        pytest.raises(UserError, match="another run is writing"),
    ):
        classifying.train(config, tmp_path / "run")


def stackgan_config(images):
    config = stackgan.get_config()
    config.update(
        {
            **{"dataset": f"folder:{images}", "embedding_dim": 8, "stage_one_size": 16},
            **{"matching_steps": 5, "matching_batch_size": 4, "batch_size": 8, "image_size": 32},
        }
    )
    return config.lock()


def test_stopped_encoders_end_bit_for_bit_the_same(images, tmp_path, monkeypatch, capsys):
    config = stackgan_config(images)
    source = data.load_captioned(config.dataset, "train", None)
    for name in ("unbroken", "run"):
        (tmp_path / name).mkdir()
    expected = captioned.prepare(config, source, tmp_path / "unbroken").extra
    stopping_at(3, monkeypatch)
    with pytest.raises(Stopped, match="after step 3"):
        captioned.prepare(config, source, tmp_path / "run")
    kept = tmp_path / "run" / "encoders_unfinished.msgpack"
    assert list((tmp_path / "run").iterdir()) == [kept]
    assert read_state(kept)[0]["step"] == 3
    extra = captioned.prepare(config, source, tmp_path / "run").extra
    assert "goes on from step 3 of 5" in capsys.readouterr().err
    jax.tree.map(np.testing.assert_array_equal, extra, expected)
    # The encoders that are kept are the same, and damaged ones are trained again.
    file = tmp_path / "run" / "encoders.msgpack"
    assert list((tmp_path / "run").iterdir()) == [file]
    content = file.read_bytes()
    file.write_bytes(flip(content, len(content) // 2))
    again = captioned.prepare(config, source, tmp_path / "run").extra
    assert "encoders.msgpack is damaged" in capsys.readouterr().err
    jax.tree.map(np.testing.assert_array_equal, again, expected)
    assert file.read_bytes() == content


def test_a_second_stackgan_on_one_folder_is_refused(images, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    with lock_workdir(workdir), pytest.raises(UserError, match="another run is writing"):
        stackgan_stages.train(stackgan_config(images), workdir, False, "both")
    assert list(workdir.iterdir()) == []


def test_encoders_of_before_there_were_digests_are_read(images, tmp_path, monkeypatch, capsys):
    """They are one file of weights, and one that says of what."""
    config = stackgan_config(images)
    source = data.load_captioned(config.dataset, "train", None)
    expected = captioned.prepare(config, source, tmp_path).extra
    file = tmp_path / "encoders.msgpack"
    extra, about = read_state(file)
    about["text_encoder"]["param_dtype"] = "float32"  # which was a field of networks then
    file.write_bytes(serialization.msgpack_serialize(extra))
    file.with_suffix(".json").write_text(json.dumps(about))
    monkeypatch.setattr(captioned, "train_encoders", None)
    jax.tree.map(
        np.testing.assert_array_equal, captioned.prepare(config, source, tmp_path).extra, expected
    )
    assert "damaged" not in capsys.readouterr().err
