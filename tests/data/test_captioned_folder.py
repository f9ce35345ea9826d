import json

import numpy as np
import pytest
from PIL import Image

from jaxgan.data import Vocabulary, captioned_folder, eval_batches
from jaxgan.errors import UserError


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, value, value)).save(path)


def birds(root, captions, name="captions.tsv"):
    save(root / "b.png", 20)
    save(root / "deep" / "a.png", 10)
    (root / name).write_text(captions, encoding="utf-8")
    return root


def test_tab_separated(tmp_path):
    source = captioned_folder(
        birds(tmp_path, "b.png\ta red bird\ndeep/a.png\tein Möwe \n\nb.png\ta small bird\n")
    )
    assert len(source) == 2
    assert source.num_classes is None
    example = source[0]
    assert example["caption"] == "a red bird"
    assert example["image"].shape == (6, 8, 3)
    assert [int(source[i]["image"][0, 0, 0]) for i in range(2)] == [20, 10]
    assert source.captions(0) == ("a red bird", "a small bird")
    assert source.captions(1) == ("ein Möwe",)
    assert captioned_folder(tmp_path, "test") is None
    vocabulary = Vocabulary.of(caption for i in range(2) for caption in source.captions(i))
    assert "möwe" in vocabulary.words
    batch = next(iter(eval_batches(source, batch_size=2, image_size=4, channels=3)))
    assert batch["image"].shape == (2, 4, 4, 3)


def test_json_lines(tmp_path):
    lines = [{"file_name": "deep/a.png", "caption": "one"}, {"file_name": "b.png", "caption": "b"}]
    text = "\n".join(json.dumps(line) for line in lines)
    source = captioned_folder(birds(tmp_path, text, "captions.jsonl"))
    assert [source[i]["caption"] for i in range(2)] == ["b", "one"]


def test_train_and_test_are_the_splits(tmp_path):
    for split, value in (("train", 1), ("test", 2)):
        save(tmp_path / split / "x.png", value)
        (tmp_path / split / "captions.tsv").write_text(f"x.png\t{split}")
    for split, value in (("train", 1), ("test", 2)):
        (example,) = [captioned_folder(tmp_path, split)[0]]
        assert example["caption"] == split
        np.testing.assert_array_equal(example["image"], value)


WHOLE = "b.png\tb\ndeep/a.png\ta\n"


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ("b.png\tb\n", r"captions: got none of '.*/deep/a.png', expected one for each image$"),
        (WHOLE + "c.png\tc\n", r"captions: line 3 of .* is of 'c.png', expected an image of the"),
        ("b.png\t \n" + WHOLE, r"captions: line 1 of .* has an empty caption, expected words$"),
        ("b.png\t--\n" + WHOLE, r"captions: line 1 of .* has an empty caption, expected words$"),
        ("b.png b\n", r"captions: line 1 of .* has no tab, expected a path, a tab and a caption$"),
    ],
)
def test_bad_captions(tmp_path, captions, message):
    with pytest.raises(UserError, match=message) as error:
        captioned_folder(birds(tmp_path, captions))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["b.png\tb", "[]", '{"file_name": "b.png"}', '{"caption": 1}'])
def test_bad_json(tmp_path, line):
    with pytest.raises(UserError, match=r"captions: line 1 of .* is .*, expected {\"file_name\""):
        captioned_folder(birds(tmp_path, line, "captions.jsonl"))


def test_no_file_of_captions_no_image_no_folder(tmp_path):
    (tmp_path / "captions.tsv").write_text(WHOLE)
    with pytest.raises(UserError, match="dataset: no image in"):
        captioned_folder(tmp_path)
    save(tmp_path / "b.png", 1)
    (tmp_path / "captions.tsv").unlink()
    with pytest.raises(UserError, match=r"captions: no file in .*, expected captions.tsv or"):
        captioned_folder(tmp_path)
    for path in ("", tmp_path / "none", tmp_path / "b.png"):
        with pytest.raises(UserError, match=r"dataset: .*, expected a folder of images and"):
            captioned_folder(path)
    with pytest.raises(UserError, match="split: got 'valid'"):
        captioned_folder(tmp_path, "valid")
    (tmp_path / "captions.tsv").write_bytes(b"b.png\t\xff\n")
    with pytest.raises(UserError, match=r"captions: cannot read .*, expected UTF-8"):
        captioned_folder(tmp_path)
