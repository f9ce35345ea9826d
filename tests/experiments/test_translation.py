"""The experiments of translation: from two folders to translated ones, broken off and gone on."""

import json
import shutil

import cyclegan
import discogan
import jax
import jax.numpy as jnp
import numpy as np
import pix2pix
import pytest
from PIL import Image
from pixel_images import lite

from jaxgan import UserError, data, load_generator
from jaxgan.checkpoints import checkpoint
from jaxgan.commands import translate
from jaxgan.evaluation.features import Features, frechet
from jaxgan.evaluation.probe import fit_class_probe
from jaxgan.inference.translator import load_translator
from jaxgan.metrics.lenet import load_lenet
from jaxgan.runs.page import read_metrics
from jaxgan.training import feature_metrics, translation
from jaxgan.training.config import check_config
from jaxgan.training.reports import translation_report

SMALL = {
    "image_size": 16,
    "load_size": 18,
    "flip": True,
    "batch_size": 8,
    "width": 4,
    "blocks": 1,
    "pool_size": 4,
    "num_steps": 4,
    "log_every": 1,
    "sample_every": 2,
    "eval_every": 2,
    "checkpoint_every": 2,
}


def write_images(folder, count, mode="RGB"):
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (20, 24, len(mode)), dtype=np.uint8).squeeze()
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("domains")
    for domain, counts in (("a", (5, 3)), ("b", (4, 2))):
        for split, count in zip(("train", "test"), counts, strict=True):
            write_images(folder / domain / split, count)
    return f"folder:{folder / 'a'},{folder / 'b'}"


def config_of(dataset, **changes):
    config = cyclegan.get_config()
    config.update({"dataset": dataset, **SMALL, **changes})
    check_config(config)
    return config


def train(config, workdir):
    translation.train(cyclegan.make_game, config, str(workdir), False)


@pytest.fixture(scope="module")
def finished(folders, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("cyclegan") / "run"
    config = config_of(folders)
    train(config, workdir)
    return config, workdir


def test_a_run_leaves_pictures_curves_and_how_to_use_it(finished):
    _, workdir = finished
    # Images, translations and the way back, of both domains; of two folders no truth is known.
    with Image.open(workdir / "samples" / "samples_000004.png") as picture:
        assert picture.height == 6 * 16 + 7 * 2
    rows = read_metrics(workdir / "metrics.jsonl")
    assert [row["step"] for row in rows if "eval/cycle_a" in row] == [2, 4]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    page = (workdir / "index.html").read_text()
    assert "jaxgan translate --workdir" in page
    assert "Rows: images of a, their translations, the way back; then the same of b." in page


def test_broken_off_and_started_again_it_ends_bit_for_bit_the_same(finished, tmp_path):
    config, workdir = finished
    shutil.copytree(workdir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    (tmp_path / "run" / "summary.json").write_text(json.dumps({**summary, "status": "running"}))
    train(config, tmp_path / "run")
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    for direction in ("ab", "ba"):
        ways = [load_translator(folder, direction) for folder in (workdir, tmp_path / "run")]
        assert [way.step for way in ways] == [4, 4]
        np.testing.assert_array_equal(*(way(images) for way in ways))
    # The pools, too, which held four of the 32 past images.
    pools = []
    for folder in (workdir, tmp_path / "run"):
        with checkpoint.open_checkpoints(folder) as manager:
            pools.append(checkpoint.restore_extra(manager, 4)["a"]["images"])
    np.testing.assert_array_equal(*pools)
    assert np.ptp(pools[0], axis=0).max() > 0


def test_a_folder_is_translated_file_by_file(finished, tmp_path, monkeypatch, capsys):
    _, workdir = finished
    # What elsewhere are splits are folders as any others here.
    write_images(tmp_path / "in" / "train", 3)
    write_images(tmp_path / "in" / "test", 1)
    Image.new("L", (30, 20), 255).save(tmp_path / "in" / "grey.jpg")

    def call(folder, output=tmp_path / "out"):
        options = f"--workdir {workdir} --direction ba --input {folder} --output {output}"
        monkeypatch.setattr("sys.argv", ["translate.py", *options.split()])
        translate.main()

    call(tmp_path / "in")
    assert "5 images, translated by step 4" in capsys.readouterr().out
    made = sorted(path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/**/*.png"))
    names = ["grey.png", "test/0.png", "train/0.png", "train/1.png", "train/2.png"]
    assert [str(path) for path in made] == names
    with Image.open(tmp_path / "in" / "train" / "1.png") as image:
        pixels = data.prepare_image(
            np.asarray(image), image_size=16, channels=3, value_range=(0.0, 1.0)
        )
    wanted = load_translator(workdir, "ba")(pixels[None])[0]
    with Image.open(tmp_path / "out" / "train" / "1.png") as image:
        np.testing.assert_allclose(np.asarray(image) / 255, wanted, atol=0.51 / 255)
    (tmp_path / "in" / "grey.png").write_bytes((tmp_path / "in" / "grey.jpg").read_bytes())
    with pytest.raises(UserError, match=r"^input: two files would become .*grey\.png"):
        call(tmp_path / "in")
    with pytest.raises(UserError, match=r"^output: got the folder of the input, expected another"):
        call(tmp_path / "in", tmp_path / "in")
    with pytest.raises(UserError, match=r"^input: got '.*none', expected a folder of images"):
        call(tmp_path / "none")


def test_what_a_run_is_not_is_told(finished):
    _, workdir = finished
    with pytest.raises(UserError, match=r"^workdir: .* holds no generator of images from latents"):
        load_generator(workdir)
    with pytest.raises(UserError, match=r"^direction: got 'a', expected 'ab' or 'ba'"):
        load_translator(workdir, "a")
    for shape in ((16, 16, 3), (1, 16, 16, 1)):
        with pytest.raises(UserError, match=r"^images: got float32 of shape .*\(B, H, W, 3\)"):
            load_translator(workdir, "ab")(jnp.zeros(shape))


def test_domains_that_cannot_be_translated_are_refused(folders, tmp_path):
    grey, empty = write_images(tmp_path / "grey", 2, "L"), tmp_path / "empty"
    empty.mkdir()
    colour = folders.removeprefix("folder:").split(",")[0]
    for dataset, message in (
        (f"folder:{grey},{colour}", "^dataset: domain a has 1 channels and domain b 3"),
        (f"folder:{colour},{empty}", "^dataset: no image in .*empty"),
        (f"folder:{colour}", "^dataset: .* expected two folders"),
    ):
        with pytest.raises(UserError, match=message):
            train(config_of(dataset), tmp_path / "run")
    with pytest.raises(UserError, match=r"^load_size: got 8, expected 0, or image_size=16 or more"):
        train(config_of(folders, load_size=8), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_discogan_can_be_compiled():
    config = discogan.get_config()
    config.update({"width": 4})
    games = []

    def begin(key):
        games.append(discogan.make_game(config, key))
        return games[0][2]  # the modules, the method, the state and the step

    state = jax.eval_shape(begin, jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, 28, 28, 3), jnp.float32)
    after, metrics = jax.eval_shape(games[0][3], state, {"a": images, "b": images})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {"cycle_a", "features_b", "d_real"} <= set(metrics)


def digits(num):
    config = cyclegan.get_config()
    tests = data.load_domains("digits", "test")
    numbers = np.linspace(0, 9_999, num).astype(int)
    a, b = (data.read_images(source, numbers, image_size=28, channels=3) for source in tests)
    return translation_report.TranslationMetrics(config, tests, num), a, b, tests, numbers


def test_the_figures_of_the_identity_and_of_the_truth():
    figures, a, b, tests, numbers = digits(60)
    same = figures({"ab": np.asarray, "ba": np.asarray})
    # Pixels in [-1, 1] differ by twice as much as in [0, 1].
    error = np.mean(np.square(2 * a - 2 * b))
    assert same["mse_ab"] == pytest.approx(error, rel=1e-5)
    assert same["mse_ba"] == pytest.approx(error, rel=1e-5)
    assert same["cycle_a"] == same["cycle_b"] == 0
    labels = np.array([tests[0][int(number)]["label"] for number in numbers])
    read = np.argmax(load_lenet()(jnp.asarray(a[..., :1], jnp.float32))["logits"], axis=1)
    assert same["read_aba"] == pytest.approx(np.mean(read == labels))

    truth = figures({"ab": lambda _: b.astype(np.float32), "ba": lambda _: a.astype(np.float32)})
    assert truth["mse_ab"] == pytest.approx(0, abs=1e-10)
    assert truth["ssim_ba"] == pytest.approx(1, abs=1e-6)
    assert same["mae_ab"] == pytest.approx(np.mean(np.abs(2 * a - 2 * b)), rel=1e-5)
    assert truth["read_ba"] == truth["read_aba"] == same["read_aba"]


def test_the_cycle_is_the_mean_absolute_error_after_there_and_back():
    figures, a, b, *_ = digits(20)
    dimmed = figures({"ab": lambda images: 0.5 * images, "ba": np.asarray})
    assert dimmed["cycle_a"] == pytest.approx(np.mean(np.abs(a)), rel=1e-5)
    assert dimmed["cycle_b"] == pytest.approx(np.mean(np.abs(b)), rel=1e-5)


def test_features_are_of_translations_in_either_direction():
    figures, a, *_ = digits(10)
    ways = {"ab": np.asarray, "ba": lambda images: 0 * images}
    made = figures.features(ways, translation_report.digit_network)
    grey = jnp.mean(jnp.asarray(a, jnp.float32), axis=-1, keepdims=True)
    np.testing.assert_allclose(made["ab"].features, load_lenet()(grey)["features"], atol=1e-4)
    assert np.ptp(made["ba"].features, axis=0).max() < 1e-4


@pytest.fixture
def some_emoji(monkeypatch, tmp_path):
    """Lite1 is a few pixels, and of either part there are forty emoji in both drawings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(feature_metrics, "load_lite", lite)
    parts = [
        [[source[i] for i in range(0, len(source), len(source) // 40)][:40] for source in drawings]
        for drawings in (data.load_pairs("emoji", split) for split in ("train", "test"))
    ]
    parts = [tuple(Some(drawing) for drawing in part) for part in parts]
    for module in (translation_report, translation):
        monkeypatch.setattr(module, "load_splits", lambda *_: parts)
    return parts


class Some(list):
    num_classes = 10


@pytest.mark.parametrize("script", [cyclegan, pix2pix])
def test_drawings_are_judged_by_their_distance_and_by_what_is_left_of_them(
    script, some_emoji, tmp_path, capsys
):
    config, paired = script.get_config(), script is pix2pix
    small = {name: value for name, value in SMALL.items() if name in config}
    config.update({**small, "dataset": "emoji", "load_size": 0, "flip": False})
    workdir, directions = tmp_path / "run", ("ab",) if paired else ("ab", "ba")
    translation.train(script.make_game, config, str(workdir), False, paired)
    translation_report.report(config, workdir, paired)
    table = json.loads((workdir / "evaluation.json").read_text())
    columns = {"run", "identity", "real", *(["L1 alone"] if paired else [])}
    assert set(table) == {"step", "split", *columns}
    for way in directions:
        names = {f"fd_lite1_{way[1]}", f"read_{way}"}
        assert set(table["real"]) >= names
        assert all(names <= set(table[column]) for column in columns)
    # By hand, for the identity map: Google's drawings for Twitter's.
    learnt, test = some_emoji
    google, twitter = (data.read_images(of, range(40), image_size=16, channels=3) for of in test)
    labels = np.array([example["label"] for example in test[1]])
    of_google, of_twitter = (
        Features(**lite("")(images), labels=labels) for images in (google, twitter)
    )
    shown = data.read_images(learnt[1], range(40), image_size=16, channels=3)
    classes = np.array([example["label"] for example in learnt[1]])
    read = fit_class_probe(Features(**lite("")(shown), labels=classes), labels)
    assert table["identity"]["read_ab"] == pytest.approx(read(of_google)["accuracy"])
    assert table["real"]["read_ab"] == pytest.approx(read(of_twitter)["accuracy"])
    distance = frechet(of_twitter.features, of_google.features)
    assert table["identity"]["fd_lite1_b"] == pytest.approx(distance)
    # And the truth is known of them.
    assert table["identity"]["mae_ab"] == pytest.approx(2 * np.mean(np.abs(google - twitter)))
    assert any(line.startswith("read_ab ") for line in capsys.readouterr().out.splitlines())


@pytest.mark.long
def test_the_report_of_a_run_on_the_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(translation_report, "SUPERVISED_STEPS", 200)
    config = cyclegan.get_config()
    config.update({"width": 4, "blocks": 1, "num_steps": 2})
    train(config, tmp_path / "run")
    translation_report.report(config, tmp_path / "run")
    table = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert table["identity"]["mse_ab"] == pytest.approx(0.486, abs=0.01)
    assert table["with pairs"]["mse_ab"] < 0.1 < table["run"]["mse_ab"]
    assert table["with pairs"]["fid_b"] < table["identity"]["fid_b"]
