import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from jaxgan.data import eval_batches, load, load_domains, tfds_domains, tfds_images
from jaxgan.errors import UserError


@pytest.fixture(scope="module", autouse=True)
def builders():
    """Imported here, since TensorFlow takes seconds in each process that collects tests."""
    import tfds_builders

    return tfds_builders


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def colours(data_dir):
    return tfds_images("jaxgan_tiny_colours", "train", data_dir)


def values(source):
    return sorted(int(source[i]["image"][0, 0, 0]) for i in range(len(source)))


def test_unprepared_data_set_is_prepared_and_read(colours, data_dir):
    assert len(colours) == 12
    assert colours.num_classes == 3
    assert values(colours) == list(range(0, 120, 10))
    for i in range(12):
        example = colours[i]
        assert set(example) == {"image", "label"}
        assert (example["image"].dtype, example["label"].dtype) == (np.uint8, np.int32)
        number = int(example["image"][0, 0, 0]) // 10
        assert example["image"].shape == (8, 6 + number, 3)
        assert example["label"] == number % 3
    assert list((data_dir / "jaxgan_tiny_colours" / "1.0.0").glob("*.array_record*"))


def test_nothing_is_prepared_twice(builders, colours, data_dir, monkeypatch):
    monkeypatch.setattr(builders.JaxganTinyColours, "_generate_examples", None)
    assert values(load("jaxgan_tiny_colours", "train", data_dir)) == values(colours)


def test_validation_stands_in_for_test(colours, data_dir):
    source = tfds_images("jaxgan_tiny_colours:1.0.0", "test", data_dir)
    assert values(source) == [0, 10, 20, 30]
    assert repr(source) == "tfds_images('jaxgan_tiny_colours/1.0.0', 'validation')"


def test_pickle_and_repr(colours):
    again = pickle.loads(pickle.dumps(colours))
    assert repr(again) == repr(colours) == "tfds_images('jaxgan_tiny_colours/1.0.0', 'train')"
    np.testing.assert_array_equal(again[5]["image"], colours[5]["image"])


def test_batches_of_it(colours):
    batches = list(eval_batches(colours, batch_size=8, image_size=4, channels=1))
    assert [int(batch["mask"].sum()) for batch in batches] == [8, 4]


def test_no_label_no_test_split_and_transparency(data_dir):
    source = tfds_images("jaxgan_tiny_glass", "train", data_dir)
    assert source.num_classes is None
    assert set(source[0]) == {"image"}
    np.testing.assert_array_equal(source[0]["image"], np.full((4, 4, 3), 255))
    assert tfds_images("jaxgan_tiny_glass", "test", data_dir) is None


def test_captions(data_dir):
    source = tfds_images("jaxgan_tiny_captions", "train", data_dir)
    expected = {0: ("a bird",), 1: ("a bird", "Ein Vogel, grün")}
    for i in range(2):
        example = source[i]
        assert set(example) == {"image", "caption"}
        assert source.captions(i) == expected[int(example["image"][0, 0, 0])]
        assert example["caption"] == "a bird"


@pytest.mark.parametrize(
    ("name", "what"), [("silent", "no caption"), ("blank", "an empty caption")]
)
def test_images_without_captions(name, what, data_dir):
    source = tfds_images(f"jaxgan_tiny_{name}", "train", data_dir)
    with pytest.raises(UserError, match=rf"^captions: image 0 of .* has {what}, expected words$"):
        source.captions(0)


def test_one_caption_in_a_feature_of_its_own(data_dir):
    source = tfds_images("jaxgan_tiny_caption", "train", data_dir)
    assert source.captions(0) == (source[0]["caption"],) == ("Ein Vogel, grün",)
    assert not hasattr(tfds_images("jaxgan_tiny_glass", "train", data_dir), "captions")


# What `pip install jaxgan` is without its extra.
_WITHOUT_TENSORFLOW = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: None if name == "tensorflow" else find(name, *args)

import pickle

from jaxgan.data import tfds_images
from jaxgan.errors import UserError
"""


def without_tensorflow(program):
    """What a program prints, in another process, where there is no TensorFlow; nothing on stderr.

    The classes of the data sets above are not there either: their files alone must do.
    """
    program = _WITHOUT_TENSORFLOW + program
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


def refused_without_tensorflow(*names, data_dir):
    """The lines of the errors."""
    return without_tensorflow(f"""
for name in {names}:
    try:
        tfds_images(name, "train", {str(data_dir)!r})
    except UserError as error:
        print(error)
""")


def test_reading_takes_no_tensorflow(colours, data_dir):
    printed = without_tensorflow(f"""
source = tfds_images("jaxgan_tiny_colours", "train", {str(data_dir)!r})
print(sorted(int(source[i]["image"][0, 0, 0]) for i in range(len(source))))
""")
    assert printed == [str(values(colours))]


def test_code_that_needs_tensorflow_is_not_needed_to_read(builders, tmp_path, monkeypatch):
    coco, examples = builders.tfds.builder_cls("coco_captions"), builders.coco_examples(3)
    monkeypatch.setattr(coco, "_split_generators", lambda *_: {"train": examples})
    assert len(tfds_images("coco_captions", "train", tmp_path)) == 3
    printed = without_tensorflow(f"""
for name in ("coco_captions", "coco_captions/2014", "coco_captions:1.1.0"):
    source = pickle.loads(pickle.dumps(tfds_images(name, "train", {str(tmp_path)!r})))
    print(len(source), source[0]["image"].shape, *source.captions(0))
""")
    assert printed == ["3 (4, 4, 3) a bird two birds"] * 3


def test_preparing_without_tensorflow_names_what_to_install(tmp_path):
    # The code of the second is not even read without TensorFlow.
    names = ("cifar10", "coco_captions", "coco_captions/2014:1.1.0")
    assert refused_without_tensorflow(*names, data_dir=tmp_path / "new") == [
        f"dataset: {name!r} is not prepared in {str(tmp_path / 'new')!r}, and TensorFlow, with "
        "which TFDS prepares data sets, is not installed, expected: "
        "pip install 'jaxgan[tensorflow]'"
        for name in names
    ]
    assert not list(tmp_path.iterdir())


def test_import_takes_neither_tensorflow_nor_tfds():
    program = (
        "import sys, jaxgan.data;"
        "print([m for m in ('tensorflow', 'tensorflow_datasets') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_mocked_data_set(builders):
    with builders.tfds.testing.mock_data(num_examples=5):
        train, test = tfds_images("cifar10", "train"), tfds_images("cifar10", "test")
    assert (len(train), len(test), train.num_classes) == (5, 5, 10)
    assert train[0]["image"].shape == (32, 32, 3)
    assert 0 <= train[0]["label"] < 10


def test_two_domains(data_dir):
    for split, lengths in (("train", [5, 3]), ("test", [2, 1])):
        domains = load_domains("jaxgan_tiny_domains", split, data_dir)
        assert [len(source) for source in domains] == lengths
        assert repr(domains[1]) == f"tfds_images('jaxgan_tiny_domains/1.0.0', '{split}B')"
        assert values(domains[0]) == [10 * i for i in range(lengths[0])]


def test_mocked_horses_and_zebras(builders):
    with builders.tfds.testing.mock_data(num_examples=3):
        horses, zebras = tfds_domains("cycle_gan/horse2zebra", "train")
    assert len(horses) == len(zebras) == 3
    assert horses[0]["image"].shape[-1] == 3
    assert repr(zebras) == "tfds_images('cycle_gan/horse2zebra/3.0.0', 'trainB')"


def test_one_domain_is_not_two(colours, data_dir):
    with pytest.raises(
        UserError, match=r"^dataset: 'jaxgan_tiny_colours' has no splits trainA and trainB, exp"
    ):
        tfds_domains("jaxgan_tiny_colours", "train", data_dir)
    assert tfds_domains("jaxgan_tiny_colours", "test", data_dir) is None
    with pytest.raises(UserError, match=r"^split: got 'trainA', expected 'train' or 'test'$"):
        tfds_domains("jaxgan_tiny_colours", "trainA", data_dir)


@pytest.mark.parametrize("name", ["cifarr10", "cifarr10/config:1.0.0"])
def test_unknown_name_gets_close_ones(name, tmp_path):
    with pytest.raises(UserError, match=rf"^dataset: got '{name}', .*\(close names: cifar10"):
        tfds_images(name, "train", tmp_path)


@pytest.mark.parametrize("name", ["foldr:/data", "space name", "nowhere:cifar10", "zzzzqqqq"])
def test_what_is_no_name(name, tmp_path):
    with pytest.raises(
        UserError, match=rf"^dataset: got '{name}', expected 'mnist', 'folder:PATH'"
    ):
        tfds_images(name, "train", tmp_path)


def test_unknown_version(tmp_path):
    with pytest.raises(UserError, match=r"^dataset: TFDS cannot open 'cifar10:0.0.1'"):
        tfds_images("cifar10:0.0.1", "train", tmp_path)


def test_no_image(tmp_path):
    with pytest.raises(UserError, match=r"^dataset: 'jaxgan_tiny_text' has the features text, exp"):
        tfds_images("jaxgan_tiny_text", "train", tmp_path)
    assert not list(tmp_path.iterdir())


def test_failed_preparation_tells_the_command_and_leaves_nothing(tmp_path):
    data_dir = tmp_path / "new"
    with pytest.raises(UserError) as error:
        tfds_images("jaxgan_tiny_failing", "train", data_dir)
    message = str(error.value)
    assert message.startswith("dataset: 'jaxgan_tiny_failing' is not in ")
    assert "(no network)" in message
    assert "\n" not in message
    assert (
        f"data_dir={str(data_dir)!r}).download_and_prepare(file_format='array_record')" in message
    )
    assert not data_dir.exists()


def test_the_told_command_prepares(tmp_path):
    with pytest.raises(UserError) as error:
        tfds_images("jaxgan_tiny_failing", "train", tmp_path)
    command = str(error.value).split('python -c "')[1].removesuffix('"')
    exec(command.replace("failing", "glass"), {})
    assert len(tfds_images("jaxgan_tiny_glass", "train", tmp_path)) == 2


def test_failed_download_is_soon_over(builders, tmp_path, monkeypatch):
    from tensorflow_datasets.core.download import downloader

    seen = []

    def refuse(builder, **kwargs):
        seen.append(downloader.MAX_RETRIES)
        raise OSError("no network")

    monkeypatch.setattr(builders.JaxganTinyFailing, "download_and_prepare", refuse)
    before = downloader.MAX_RETRIES
    with pytest.raises(UserError, match="no network"):
        tfds_images("jaxgan_tiny_failing", "train", tmp_path)
    assert seen == [3]
    assert before == downloader.MAX_RETRIES


def test_other_file_format(builders, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builders.tfds.builder("jaxgan_tiny_glass", data_dir=tmp_path).download_and_prepare(
            file_format="tfrecord"
        )
    lies = r"data_dir: 'jaxgan_tiny_glass' lies in .* as tfrecord, expected .* \(choose .* anew"
    with pytest.raises(UserError, match=rf"^{lies}\)$"):
        tfds_images("jaxgan_tiny_glass", "train", tmp_path)
    (line,) = refused_without_tensorflow("jaxgan_tiny_glass", data_dir=tmp_path)
    assert re.fullmatch(lies + r", after pip install 'jaxgan\[tensorflow\]'\)", line)


def test_unknown_split():
    with pytest.raises(UserError, match=r"^split: got 'valid', expected 'train' or 'test'$"):
        tfds_images("cifar10", "valid")
