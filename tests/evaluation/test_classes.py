"""Metrics of images that were asked for by class."""

import numpy as np
import pytest
from pixel_images import LOOK, Source, features_of

from jaxgan import UserError
from jaxgan.evaluation.features import (
    Features,
    collect_features,
    evaluate_features,
    generated_batches,
    real_batches,
    real_labels,
    requested_labels,
)
from jaxgan.inputs import Classes, Latents

BY_CLASS = ("accuracy", "class_fid")


class Labelled(Source):
    num_classes = 7

    def __getitem__(self, index):
        return {**super().__getitem__(index), "label": np.int32(index % 7)}


def first_pixels(images):
    pixels = np.asarray(images)[:, 0, 0] * 255
    return {"features": pixels, "logits": pixels}


def test_real_labels_are_those_of_the_images_drawn():
    batches = real_batches(Labelled(50), 20, batch_size=8, seed=3, **LOOK)
    drawn = np.round(collect_features(first_pixels, batches, 20).features[:, 0]).astype(int)
    np.testing.assert_array_equal(real_labels(Labelled(50), 20, seed=3), drawn % 7)


def test_generated_images_are_of_the_requested_labels():
    def generate(latents, labels):
        return (
            np.asarray(labels, np.float32).reshape(-1, 1, 1, 1) / 255
            + 0 * latents[:, :1, None, None]
        )

    generate.inputs = {"latents": Latents(4), "labels": Classes(3)}
    batches = generated_batches(generate, 10, batch_size=4)
    shown = np.round(collect_features(first_pixels, batches, 10).features[:, 0])
    np.testing.assert_array_equal(shown, requested_labels(10, 3))
    assert np.bincount(requested_labels(10, 3)).tolist() == [4, 3, 3]


def test_figures_are_those_of_their_definitions():
    rng = np.random.default_rng(0)
    moments = [((0.0, 1.0), (3.0, 2.0)), ((5.0, 1.0), (5.0, 3.0)), ((-2.0, 2.0), (0.0, 2.0))]
    labels = np.repeat(np.arange(3), 400)
    real, fake = (
        np.concatenate([features_of(rng, *pair[side]).features for pair in moments])
        for side in (0, 1)
    )
    order = rng.permutation(1200)  # the two sets need not be in one order
    read = labels.copy()
    read[:100], read[400:500] = 1, 2
    real = Features(real, np.eye(3)[labels], labels)
    fake = Features(fake[order], np.eye(3)[read][order], labels[order])
    figures = evaluate_features(real, fake, BY_CLASS)
    expected = [(m1 - m2) ** 2 + (s1 - s2) ** 2 for (m1, s1), (m2, s2) in moments]
    assert [figures[f"class_fid_{k}"] for k in range(3)] == pytest.approx(expected)
    assert figures["class_fid"] == pytest.approx(sum(expected) / 3)
    assert figures["class_fid_worst"] == pytest.approx(10)
    assert [figures[f"accuracy_{k}"] for k in range(3)] == [0.75, 0.75, 1]
    assert figures["accuracy"] == pytest.approx(1000 / 1200)
    alone = evaluate_features(real, fake, ["accuracy"])
    assert alone == {name: value for name, value in figures.items() if "fid" not in name}


def test_the_last_classes_need_no_images_to_tell_the_accuracy():
    images = Features(np.eye(4, 1), np.eye(4, 5), np.arange(4) % 2)
    values = evaluate_features(images, images, ["accuracy"])
    assert values["accuracy"] == 0.5
    assert [values["accuracy_0"], values["accuracy_1"]] == [0.5, 0.5]
    assert np.isnan([values[f"accuracy_{k}"] for k in (2, 3, 4)]).all()


def some(labels):
    return Features(np.eye(4, 1), np.eye(4, 2), np.asarray(labels))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: real_labels(Source(5), 3), "source: got images without classes, expected label"),
        (lambda: real_labels(Labelled(5), 6), "num_samples: got 6, expected 1 to 5"),
        (
            lambda: evaluate_features(some([0, 0, 0, 1]), some([0, 1, 0, 1]), BY_CLASS),
            "num: got 1 real images of class 1, expected 2 or more for class_fid",
        ),
        (
            lambda: evaluate_features(some([0, 1, 0, 1]), some([0, 0, 0, 0]), BY_CLASS),
            "num: got 0 generated images of class 1, expected 2 or more for class_fid",
        ),
        (
            lambda: evaluate_features(some([0, 1, 2, 0]), some([0, 1, 2, 0]), BY_CLASS),
            "predicted: got 2 columns, expected 3",
        ),
        (
            lambda: evaluate_features(
                some([0, 1, 0, 1]), some([0])._replace(labels=None), BY_CLASS
            ),
            "labels: got none, expected those of real and of generated images",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, message):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
