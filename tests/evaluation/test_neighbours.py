"""Nearest neighbours against brute force."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jaxgan.errors import UserError
from jaxgan.evaluation.neighbours import nearest_neighbours

RNG = np.random.default_rng(0)
REFERENCES = RNG.integers(0, 256, (23, 3, 4, 2), np.uint8)
QUERIES = RNG.uniform(0, 1, (5, 3, 4, 2))


def features(images):
    return np.stack([np.max(images, axis=(1, 2)), np.min(images, axis=(1, 2))], axis=1)


@pytest.mark.parametrize("of", [None, features])
@pytest.mark.parametrize("block_size", [1, 7, 23, 100])
def test_brute_force(of, block_size):
    found = nearest_neighbours(QUERIES, REFERENCES, k=4, features=of, block_size=block_size)
    a, b = QUERIES, REFERENCES / 255.0
    if of is not None:
        a, b = of(a), of(b)
    distances = cdist(a.reshape(5, -1), b.reshape(23, -1))
    expected = np.argsort(distances, axis=1)[:, :4]
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(
        found.distances, np.take_along_axis(distances, expected, 1), rtol=1e-5
    )


@pytest.mark.parametrize("block_size", [2, 100])
def test_a_copy_is_found_and_of_equals_the_first(block_size):
    references = np.concatenate([REFERENCES, REFERENCES])
    queries = REFERENCES[[4, 20]]
    found = nearest_neighbours(queries, references, k=3, block_size=block_size)
    assert found.indices[:, :2].tolist() == [[4, 27], [20, 43]]
    np.testing.assert_allclose(found.distances[:, :2], 0, atol=1e-6)
    as_floats = nearest_neighbours(queries / 255.0, references / 255.0, k=3)
    np.testing.assert_array_equal(as_floats.indices[:, :2], found.indices[:, :2])


@pytest.mark.parametrize(
    ("queries", "references", "options", "named"),
    [
        (QUERIES[0], REFERENCES, {}, "queries"),
        (QUERIES, REFERENCES[:, :2], {}, "references"),
        (QUERIES, REFERENCES[:0], {}, "references"),
        (QUERIES.astype(int), REFERENCES, {}, "queries"),
        (QUERIES, REFERENCES, {"k": 0}, "k"),
        (QUERIES, REFERENCES, {"k": 24}, "k"),
        (QUERIES, REFERENCES, {"block_size": 0}, "block_size"),
    ],
)
def test_errors(queries, references, options, named):
    with pytest.raises(UserError) as error:
        nearest_neighbours(queries, references, **options)
    assert str(error.value).startswith(f"{named}: got ")
    assert "\n" not in str(error.value)
