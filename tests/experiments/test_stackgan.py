"""StackGAN's experiment: both stages on a folder with captions, broken off, gone on, drawn from."""

import json
import shutil

import jax
import numpy as np
import pytest
import stackgan
from PIL import Image
from pixel_images import lite

from jaxgan import UserError, data
from jaxgan.commands import stackgan_sample
from jaxgan.data.captions import Scene, Thing
from jaxgan.inference.captions import load_stackgan
from jaxgan.runs.page import read_metrics
from jaxgan.training import captioned, feature_metrics, stackgan_stages
from jaxgan.training.config import check_config
from jaxgan.training.reports import (
    caption_pictures,
    caption_report,
    scene_reader,
    stackgan_report,
)

SMALL = {
    "embedding_dim": 8,
    "matching_steps": 4,
    "matching_batch_size": 4,
    "condition_dim": 4,
    "text_dim": 4,
    "latent_dim": 4,
    "stage_one_size": 16,
    "stage_one_steps": 2,
    "stage_one_width": 4,
    "stage_one_disc_width": 4,
    "image_size": 32,
    "num_steps": 4,
    "width": 4,
    "disc_width": 4,
    "residual_blocks": 1,
    "batch_size": 8,
    "log_every": 1,
    "sample_every": 4,
    "checkpoint_every": 2,
}
COUNT = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captioned")
    rng, lines = np.random.default_rng(0), []
    for number in range(COUNT):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines += [f"{number}.png\tthe {number}th image", f"{number}.png\tnoise {number}"]
    (folder / "captions.tsv").write_text("\n".join(lines[:-1]))
    return folder


def config_of(folder, **changes):
    config = stackgan.get_config()
    config.update({"dataset": f"folder:{folder}", **SMALL, **changes})
    check_config(config)
    return config.lock()  # as flags do


SEEN = []  # the shapes of the batches that a step is traced with


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("stackgan") / "run"

    def make_step(*args, **options):
        step = make(*args, **options)

        def seeing(state, batch):
            SEEN.append({name: value.shape for name, value in batch.items()})
            return step(state, batch)

        return seeing

    make = stackgan_stages.make_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stackgan_stages, "make_step", make_step)
        stackgan_stages.train(config_of(folder), str(workdir), False, "both")
    return workdir


def draw(workdir):
    generate = load_stackgan(workdir / "stage2")
    noise = jax.random.normal(jax.random.key(0), (2, generate.noise_dim))
    return generate(noise, generate.embed(["noise 3", "the 4th image"]))


def test_a_step_is_told_which_captions_say_the_same(finished, folder):
    assert SEEN
    assert all(shapes["meaning"] == (SMALL["batch_size"],) for shapes in SEEN)
    source = data.load_captioned(f"folder:{folder}", "train")
    np.testing.assert_array_equal(captioned.read_meaning(source), np.arange(COUNT))
    scenes = data.scenes("train", 400, two=0.0)
    found, expected = captioned.read_meaning(scenes), [scenes.meaning(i) for i in range(400)]
    same = np.equal.outer(expected, expected)
    assert same.sum() > 400
    np.testing.assert_array_equal(np.equal.outer(found, found), same)


def test_both_stages_leave_their_records(finished):
    for stage, steps in (("stage1", [1, 2]), ("stage2", [1, 2, 3, 4])):
        rows = read_metrics(finished / stage / "metrics.jsonl")
        assert [row["step"] for row in rows] == steps
        assert all(np.isfinite(list(row.values())).all() for row in rows)
        assert "jaxgan caption --" in (finished / stage / "index.html").read_text()
        assert len(list(finished.glob(f"{stage}/samples/samples_*.png"))) == 2


def test_a_stage_is_a_function_of_noise_and_embeddings(finished):
    images = draw(finished)
    assert images.shape == (2, 32, 32, 3)
    assert 0 <= images.min() < images.max() <= 1
    generate = load_stackgan(finished / "stage2")
    embeddings = generate.embed(["noise 3", "the 4th image"])
    noise = jax.random.normal(jax.random.key(0), (2, generate.noise_dim))
    # Stage II starts from what Stage I makes of the first part of the noise.
    first = load_stackgan(finished / "stage1")
    small = first(noise[:, : first.noise_dim], embeddings)
    np.testing.assert_allclose(generate.first(noise, embeddings), small, atol=1e-5)
    np.testing.assert_allclose(first.embed(["noise 3"]), embeddings[:1], atol=1e-6)
    with pytest.raises(UserError, match=r"^noise, embeddings: got shapes \(2, 3\) and \(2, 8\)"):
        generate(noise[:, :3], embeddings)
    with pytest.raises(UserError, match=r"^captions: got one string"):
        generate.embed("noise 3")
    for wrong in ([], [3]):
        with pytest.raises(UserError, match=r"^captions: got .*, expected a sequence of strings"):
            generate.embed(wrong)
    with pytest.raises(UserError, match=r"^workdir: .* no checkpoints, .*, such as .*/stage2$"):
        load_stackgan(finished)
    with pytest.raises(UserError, match=r"^caption: got '', expected at least one word"):
        generate.embed([""])


def test_broken_off_and_started_again_it_ends_bit_for_bit_the_same(finished, folder, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    shutil.rmtree(workdir / "stage2" / "checkpoints" / "4")
    summary = json.loads((workdir / "stage2" / "summary.json").read_text())
    (workdir / "stage2" / "summary.json").write_text(json.dumps({**summary, "status": "running"}))
    stackgan_stages.train(config_of(folder), str(workdir), False, "both")
    np.testing.assert_array_equal(draw(workdir), draw(finished))


def test_captions_are_drawn_and_unknown_words_told(finished, monkeypatch, capsys):
    def call(*options):
        monkeypatch.setattr(
            "sys.argv", ["stackgan_sample.py", "--workdir", str(finished), *options]
        )
        stackgan_sample.main()

    call("--caption", "purple noise 3", "--num", "3")
    assert "words that the run does not know: purple\n" in capsys.readouterr().out
    with Image.open(finished / "caption.png") as picture:
        assert picture.size == (2 * 32 + 3 * 2, 2 * 32 + 3 * 2)
    call("--caption", "noise 3", "--stage", "1", "--out", str(finished / "first.png"))
    assert "know" not in capsys.readouterr().out
    with Image.open(finished / "first.png") as picture:
        assert picture.size == (3 * 16 + 4 * 2, 3 * 16 + 4 * 2)
    with pytest.raises(UserError, match=r"^caption: got ' ', expected at least one word"):
        call("--caption", " ")
    with pytest.raises(UserError, match=r"^caption: the run knows no word of 'purple zebra'"):
        call("--caption", "purple zebra")
    with pytest.raises(UserError, match=r"^workdir: .*stage2 is the folder of one stage, expected"):
        call("--workdir", str(finished / "stage2"), "--caption", "noise 3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage_one_size": 33}, "stage_one_size: got 33, expected 16, 32, 64 or 128"),
        ({"stage_one_size": 32}, "stage_one_size: got 32, expected .* below image_size"),
        ({"image_size": 48}, "image_size: got 48"),
        ({"residual_blocks": -1}, "residual_blocks: got -1, expected 0 or more"),
        ({"batch_size": 12}, "batch_size: got 12, expected a positive multiple of 8"),
        ({"embeddings": "no.npy"}, "embeddings: cannot read 'no.npy', expected a .npy file"),
    ],
)
def test_bad_input_is_told_before_anything_is_trained(folder, tmp_path, changes, message):
    with pytest.raises(UserError, match=f"^{message}"):
        stackgan_stages.train(config_of(folder, **changes), str(tmp_path / "run"), False, "both")
    assert not (tmp_path / "run").exists()


def test_an_encoder_of_other_captions_is_not_taken(finished, folder, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    other = config_of(folder, embedding_dim=4)
    with pytest.raises(
        UserError, match=r"^captions: .*encoders.msgpack was trained for other captions"
    ):
        stackgan_stages.train(other, str(tmp_path / "run"), True, "both")


def test_a_caption_is_drawn_as_it_is():
    picture = caption_pictures.draw(["for $5 or $^$"], {"drawn": np.zeros((1, 120, 120, 3))})
    assert picture.shape == (18 + 120 + 4, 190 + 120 + 4, 3)


def test_stage_two_needs_stage_one(folder, tmp_path):
    with pytest.raises(UserError, match=r"^stage: 2 needs a finished Stage I, expected one in "):
        stackgan_stages.train(config_of(folder), str(tmp_path / "run"), False, "2")


def test_captions_without_images_and_images_without_captions_are_refused(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    for text, message in (
        ("b.png\ta bird", "^captions: line 1 of .* is of 'b.png', expected an image of the folder"),
        ("", "^captions: got none of .*a.png', expected one for each image"),
        ("a.png\t ", "^captions: line 1 of .* has an empty caption, expected words"),
    ):
        (tmp_path / "captions.tsv").write_text(text)
        with pytest.raises(UserError, match=message):
            stackgan_stages.train(config_of(tmp_path), str(tmp_path / "run"), False, "both")
    with pytest.raises(UserError, match=r"^dataset: 'mnist' has no captions"):
        stackgan_stages.train(config_of("", dataset="mnist"), str(tmp_path / "run"), False, "both")
    assert not (tmp_path / "run").exists()


def test_embeddings_of_one_s_own_take_the_place_of_captions(folder, tmp_path):
    rows = np.random.default_rng(0).normal(size=(COUNT, 6)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    config = config_of(folder, embeddings=str(tmp_path / "rows.npy"))
    stackgan_stages.train(config, str(tmp_path / "run"), False, "1")
    generate = load_stackgan(tmp_path / "run" / "stage1")
    assert generate.embed is None
    assert generate(np.zeros((2, generate.noise_dim), np.float32), rows[:2]).shape == (2, 16, 16, 3)
    with pytest.raises(UserError, match=r"^noise, embeddings: .* expected \(B, 8\) and \(B, 6\)"):
        generate(np.zeros((2, generate.noise_dim), np.float32), rows[:2, :3])
    np.save(tmp_path / "rows.npy", rows[1:])
    with pytest.raises(UserError, match=r"^embeddings: got float32 of shape \(9, 6\), expected"):
        stackgan_stages.train(config, str(tmp_path / "other"), False, "1")


def test_pictures_are_read_by_their_captions(finished, monkeypatch, tmp_path):
    """Of flat colours with a name each, where the right answer is known."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def small(images):
        return jax.image.resize(images, (len(images), 16, 16, 3), "linear")

    monkeypatch.setattr(feature_metrics, "load_lite", lambda name: lite(name, small))
    rng, colours = np.random.default_rng(0), ("black", "red", "green", "yellow", "blue", "white")
    values = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]])

    def paint(count):
        pixels = rng.uniform(0, 0.3, (count, 32, 32, 3)) + 0.7 * values[:, None, None]
        return (255 * pixels).astype(np.uint8)

    class Painted(list):
        num_classes = None

        def captions(self, index):
            return (f"a {colours[index % 6]} ground",)

        def meaning(self, index):
            return index % 6

    parts = [
        Painted({"image": image} for _ in range(count) for image in paint(6)) for count in (20, 5)
    ]
    monkeypatch.setattr(caption_report, "load_splits", lambda *_: parts)
    config = config_of("", dataset="painted")
    workdir = shutil.copytree(finished, tmp_path / "run")
    caption_report.report(config, workdir)
    table = json.loads((workdir / "stage2" / "evaluation.json").read_text())
    assert table["real"]["seen"] == table["real"]["unseen"] == 1
    # An untrained generator's images say nothing of five colours at their side.
    for stage in ("Stage I", "Stage II"):
        assert table[stage]["unseen"] < 0.5
        # Real pictures of training are no copies of the held-out ones.
        assert table[stage]["fd_lite1"] > table["real"]["fd_lite1"] > 0.01


def test_a_caption_is_taken_for_the_nearest_of_ten():
    rng = np.random.default_rng(0)
    features = np.repeat(np.eye(20), 4, axis=0)
    captions = [f"the thing w{number // 4}" for number in range(80)]
    read = caption_report.fit_reader(features, captions)
    meaning = np.arange(80) // 4
    assert read(features, captions, meaning).all()
    # Nothing is read where the picture is another's, and one in ten by chance.
    other = read(np.roll(features, 4, axis=0), captions, meaning)
    assert not other.any() or other.mean() < 0.1
    noise = rng.normal(size=(2_000, 20))
    captions, meaning = captions * 25, np.tile(meaning, 25)
    assert read(noise, captions, meaning).mean() == pytest.approx(0.1, abs=0.03)


def test_what_is_said_and_what_is_read():
    examples = [data.scenes("test")[number] for number in range(40)]
    said = scene_reader.contents_of(examples)
    two = [len(set(example["place"]) - {-1}) == 2 for example in examples]
    assert 0 < sum(two) < 40
    np.testing.assert_array_equal(said.there.sum(axis=1), np.where(two, 2, 1))
    example = examples[two.index(True)]
    row, thing = two.index(True), 1
    assert said.colour[row, example["place"][thing]] == example["colour"][thing]
    assert said.digit[row, example["place"][thing]] == example["digit"][thing]
    assert set(scene_reader.shares_right(said, said).values()) == {1.0}
    # What stands where nothing is said to be counts as a wrong place, and as nothing else.
    there, ground = said.there.copy(), said.ground.copy()
    there[0], ground[:10] = True, (ground[:10] + 1) % 5
    shares = scene_reader.shares_right(said, said._replace(there=there, ground=ground))
    assert shares == {
        "digit": 1, "colour": 1, "size": 1, "place": 1 - 1 / 40, "ground": 0.75, "all": 0.75
    }  # fmt: skip


@pytest.mark.parametrize("what", stackgan_report.CHANGES)
def test_one_word_is_changed(what):
    scene = Scene((Thing(digit=9, colour=5, size=1, place=2),), ground=4)
    rng, count = np.random.default_rng(0), stackgan_report.CHANGES[what]
    values = set()
    for _ in range(200):
        other = stackgan_report._change(scene, what, count, rng)
        changed = {
            name
            for name in stackgan_report.CHANGES
            if stackgan_report._value(other, name) != stackgan_report._value(scene, name)
        }
        assert changed == {what}
        assert other.things[0].place == 2
        values.add(stackgan_report._value(other, what))
    assert values == set(range(count)) - {stackgan_report._value(scene, what)}


@pytest.mark.long
def test_the_reader_reads_unseen_scenes(monkeypatch):
    # A third of the training: 0.85 after a fifth of it.
    monkeypatch.setattr(scene_reader, "STEPS", 600)
    read = scene_reader.train_reader()
    examples = [data.scenes("unseen")[number] for number in range(1_000)]
    images = np.stack([example["image"] for example in examples]) / np.float32(255)
    shares = scene_reader.shares_right(scene_reader.contents_of(examples), read(images)[0])
    assert shares["all"] > 0.9
