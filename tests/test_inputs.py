"""What a generator says that it takes: drawn, laid out as a grid, checked, kept as JSON."""

import json

import jax
import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.inputs import (
    Classes,
    Embeddings,
    Images,
    Latents,
    check_inputs,
    describe_inputs,
    draw_grid,
    draw_inputs,
    inputs_from_description,
)
from jaxgan.latent import sample_latents

KEY = jax.random.key(0)
CODES = {"latents": Latents(4), "category": Classes(3), "codes": Latents(2, "uniform")}


def test_what_is_drawn_is_of_the_prior_each_class_as_often_and_no_input_like_another():
    latents, category, codes = draw_inputs(CODES, KEY, 600)
    np.testing.assert_array_equal(latents, sample_latents(KEY, 600, 4))
    assert np.bincount(category).tolist() == [200, 200, 200]
    assert np.max(np.abs(codes)) <= 1 < np.max(np.abs(latents))
    two = draw_inputs({"a": Latents(2), "b": Latents(2)}, KEY, 5)
    assert np.all(two[0] != two[1])
    cut, *_ = draw_inputs(CODES, KEY, 600, truncation=0.5)
    assert np.max(np.abs(cut)) <= 0.5
    with pytest.raises(UserError, match=r"^truncation: got 0.5 for uniform latents"):
        draw_inputs({"codes": CODES["codes"]}, KEY, 2, truncation=0.5)


def test_in_a_grid_only_the_class_differs_along_a_row():
    (latents, category, codes), columns = draw_grid(CODES, KEY, 7)
    assert columns == 3
    np.testing.assert_array_equal(category.reshape(-1, 3), [[0, 1, 2]] * 3)
    for of in (latents, codes):
        rows = np.asarray(of).reshape(3, 3, -1)
        assert np.all(rows == rows[:, :1])
        assert np.all(rows[0] != rows[1])
    (latents,), columns = draw_grid({"latents": Latents(4)}, KEY, 7)
    assert (latents.shape, columns) == ((7, 4), None)


def test_json_keeps_them():
    inputs = {**CODES, "images": Images(3), "embeddings": Embeddings(8)}
    assert inputs_from_description(json.loads(json.dumps(describe_inputs(inputs)))) == inputs


LATENTS, LABELS = np.zeros((2, 4), np.float32), np.array([0, 2])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((LATENTS,), "inputs: got 1 arrays, expected 3: latents and category and codes"),
        ((LATENTS[:, :3], LABELS, LATENTS[:, :2]), "latents: got float32 of shape (2, 3), expecte"),
        ((LATENTS, LABELS, LATENTS[:, :2].astype(int)), "codes: got int"),
        ((LATENTS, LABELS[:1], LATENTS[:, :2]), "category: got int64 of shape (1,), expected int"),
        ((LATENTS, LABELS * 1.5, LATENTS[:, :2]), "category: got float"),
        ((LATENTS, LABELS + 1, LATENTS[:, :2]), "category: got class 3, expected 0 to 2"),
        ((LATENTS, LABELS - 1, LATENTS[:, :2]), "category: got class -1, expected 0 to 2"),
    ],
)
def test_others_are_refused(arrays, message):
    with pytest.raises(UserError) as error:
        check_inputs(CODES, arrays)
    assert str(error.value).replace("int32 of", "int64 of").startswith(message)


def test_images_are_checked_and_not_drawn():
    check_inputs({"images": Images(3)}, [np.zeros((2, 8, 8, 3), np.float32)])
    with pytest.raises(UserError, match=r"^images: got .*, expected floats \(B, H, W, 3\)"):
        check_inputs({"images": Images(3)}, [np.zeros((2, 8, 8, 1), np.float32)])
    with pytest.raises(UserError, match=r"^images: got Images, expected what can be drawn"):
        draw_inputs({"images": Images(3)}, KEY, 2)
