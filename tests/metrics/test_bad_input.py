"""Features and logits that are none, refused by every metric that takes them, by name."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import UserError, metrics

GOOD = np.random.default_rng(0).standard_normal((8, 3))
HOLE = np.where(np.arange(24).reshape(8, 3) == 5, np.nan, GOOD)

# name of the argument: what takes it in that place
TAKERS = {
    "features": [lambda x: metrics.add_features(metrics.start_moments(3), x)],
    "logits": [
        lambda x: metrics.add_logits(metrics.start_inception(3), x),
        metrics.inception_score,
    ],
    "real": [
        lambda x: metrics.kernel_distance(x, GOOD, block_size=4),
        lambda x: metrics.precision_recall(x, GOOD),
        lambda x: metrics.density_coverage(x, GOOD),
    ],
    "fake": [
        lambda x: metrics.kernel_distance(GOOD, x, block_size=4),
        lambda x: metrics.precision_recall(GOOD, x),
        lambda x: metrics.density_coverage(GOOD, x),
    ],
    "points": [lambda x: metrics.count_point_modes(x, GOOD, 1.0)],
    "centres": [lambda x: metrics.count_point_modes(GOOD, x, 1.0)],
    "predicted": [lambda x: metrics.count_right(x, np.zeros(8, int), 3)],
}
CASES = [(name, taker) for name, takers in TAKERS.items() for taker in takers]
every_taker = pytest.mark.parametrize(
    ("name", "taker"), CASES, ids=[f"{name} {i}" for i, (name, _) in enumerate(CASES)]
)

WRONG = {
    "a map": (np.zeros((8, 3, 3)), "shape (8, 3, 3)"),
    "no samples": (GOOD[:0], "shape (0, 3)"),
    "no features": (GOOD[:, :0], "shape (8, 0)"),
    "integers": (np.zeros((8, 3), np.int32), "dtype int32"),
    "booleans": (np.zeros((8, 3), bool), "dtype bool"),
    "complex numbers": (np.zeros((8, 3), np.complex64), "dtype complex64"),
    "NaN": (HOLE, "1 of 24 values not finite"),
    "infinity": (np.where(np.isnan(HOLE), -np.inf, HOLE), "1 of 24 values not finite"),
}


@every_taker
@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arrays_are_refused_by_name(name, taker, wrong, told):
    with pytest.raises(UserError) as error:
        taker(wrong)
    assert str(error.value).startswith(f"{name}: got {told}, expected ")
    assert "\n" not in str(error.value)


@every_taker
def test_one_number_a_sample_is_refused(name, taker):
    with pytest.raises(UserError, match=rf"^{name}: got [^\n]*$"):
        taker(np.zeros(8))


@pytest.mark.parametrize(
    ("name", "taker"),
    [(name, taker) for name, taker in CASES if taker is not metrics.inception_score],
)
def test_another_width_is_refused(name, taker):
    # Where both are given, it is the second that is said to differ.
    blamed = {"real": "fake", "centres": "points"}.get(name, name)
    with pytest.raises(UserError, match=rf"^{blamed}: got \d columns, expected \d$"):
        taker(np.zeros((8, 4)))


@every_taker
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_every_floating_type_is_taken_from_device_and_host(name, taker, dtype):
    del name
    on_device = jnp.asarray(GOOD, dtype)
    wide = np.asarray(on_device).astype(np.float64)
    for given in (on_device, np.asarray(on_device)):
        for part, expected in zip(taker(given), taker(wide), strict=True):
            np.testing.assert_array_equal(part, expected)
