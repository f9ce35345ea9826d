"""The augmentations of StyleGAN2-ADA: the authors' figures, their laws, how often they happen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import erfinv, ndtr
from scipy import stats

from jaxgan.augment import ada, ada_color, ada_cutout, ada_geometry, adaptive

KEY = jax.random.key(0)


def sines(*shape):
    return jnp.sin(1 + jnp.arange(np.prod(shape), dtype=jnp.float32)).reshape(shape)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def percentiles(kinds, percentile):
    """What the authors' code draws where it is told one percentile for all.

    For normal numbers it gives n / sqrt(2), and of the two rotations does the first alone.
    """
    normal = ndtr(erfinv(2 * jnp.float32(percentile) - 1))
    normals = {"scale", "aspect", "move", "brightness", "contrast", "saturation"}
    values = [0.5 if kind == "after" else normal if kind in normals else percentile
              for kind in kinds]  # fmt: skip
    return jnp.array([values], jnp.float32)


def test_geometry_is_the_authors():
    """Figures of AugmentPipe(xflip=1, rotate90=1, xint=1, scale=1, rotate=1, aniso=1, xfrac=1)."""
    expected = {
        0.62: [[0.16238, -0.028549, 0.246658, 0.769517, 0.355483],
               [-0.936602, -0.824438, 0.495615, 0.781405, -0.665585],
               [-0.477636, -0.488252, 0.829335, 0.642395, -0.653637],
               [-0.673771, -0.348722, 0.916587, 0.488986, 0.369866]],
        0.3: [[0.71608, 0.54072, -0.192696, -0.623348, 0.126599],
              [0.44564, 0.830573, 1.039846, 0.577833, 0.690401],
              [-0.858087, -0.419247, 0.109228, 0.50349, 0.786775],
              [-0.713465, -0.757039, -0.827886, 0.377365, 0.834367]],
    }  # fmt: skip
    for percentile, figures in expected.items():
        drawn = percentiles(adaptive.GEOMETRY, percentile)
        found = adaptive._warp(sines(1, 4, 5, 1), adaptive._inverse_map(drawn, 4, 5))
        np.testing.assert_allclose(found[0, :, :, 0], figures, atol=1e-5)


def test_colour_is_the_authors():
    """Figures of AugmentPipe(brightness=1, contrast=1, lumaflip=1, hue=1, saturation=1)."""
    expected = {
        0.62: [[-0.913864, -0.125426, -1.139346], [0.922639, 0.165831, 0.922087]],
        0.3: [[0.82053, 0.286392, 0.361157], [-0.923095, -0.533552, -0.49354]],
    }
    for percentile, figures in expected.items():
        found = adaptive._recolor(sines(1, 1, 2, 3), percentiles(adaptive.COLOR, percentile))
        np.testing.assert_allclose(found[0, 0], figures, atol=1e-6)


def test_cutout_is_the_authors():
    """Figures of AugmentPipe(cutout=1)."""
    for percentile, rows, columns in ((0.3, (0, 2), (0, 3)), (0.9, (3, 4), (3, 5))):
        expected = np.ones((4, 5))
        expected[slice(*rows), slice(*columns)] = 0
        found = adaptive._cut(jnp.ones((1, 4, 5, 1)), jnp.full((1, 2), percentile))
        np.testing.assert_array_equal(found[0, :, :, 0], expected)


@pytest.mark.parametrize("side", [4, 5, 32])
def test_there_and_back_changes_nothing(side):
    doubled, back = adaptive._doubling(side), adaptive._halving(side)
    first = 2 * (side - 1 - adaptive.MARGIN)  # where the margin begins within the reflection
    seen = doubled[first : first + back.shape[1]]
    np.testing.assert_allclose(back @ seen, np.eye(side), atol=1e-9)


def warp(images, **changes):
    """Images under a geometry that changes so much and nothing else."""
    values = dict(zip(adaptive.GEOMETRY, adaptive.NEUTRAL_GEOMETRY, strict=True)) | changes
    drawn = jnp.array([[values[kind] for kind in adaptive.GEOMETRY]] * len(images), jnp.float32)
    return adaptive._warp(images, adaptive._inverse_map(drawn, *images.shape[1:3]))


def test_shifts_move_whole_pixels():
    images = draw(2, 12, 12, 3)
    np.testing.assert_allclose(warp(images), images, atol=1e-6)
    # By 12 / 8, rounded, to the right and down; what comes in is a reflection.
    reflected = np.pad(images, ((0, 0), (2, 0), (2, 0), (0, 0)), mode="reflect")
    np.testing.assert_allclose(warp(images, shift=1.0), reflected[:, :12, :12], atol=1e-5)


def test_flips_and_turns_of_smooth_images():
    """The filter is not symmetric, so that what is turned over is not quite the same."""
    rows, columns = jnp.meshgrid(jnp.arange(16.0), jnp.arange(16.0), indexing="ij")
    images = (jnp.sin(rows / 5) + jnp.cos(columns / 3))[None, :, :, None]
    inside = np.s_[:, 2:-2, 2:-2]
    for changes, expected in (
        ({"flip": 0.5}, images[:, :, ::-1]),
        *(({"turn": turns / 4 + 0.1}, np.rot90(images, turns, axes=(1, 2))) for turns in (1, 2, 3)),
    ):
        np.testing.assert_allclose(
            warp(images, **changes)[inside], expected[inside], atol=0.1, err_msg=str(changes)
        )


def test_a_rotation_by_a_quarter_before_or_after_is_a_turn():
    images = draw(1, 10, 10, 1)
    expected = warp(images, turn=0.8)
    for kind in ("before", "after"):
        np.testing.assert_allclose(warp(images, **{kind: 0.25}), expected, atol=1e-4)
    np.testing.assert_allclose(warp(images, before=0.25, after=0.75), images, atol=1e-4)


def test_every_image_is_changed_by_chance():
    """Each of ada's parts happens as often as it is to, together and on its own."""
    images = jnp.tile(draw(1, 8, 8, 3), (4000, 1, 1, 1))

    def share(augment, probability):
        changed = np.abs(jax.jit(augment)(images, KEY, probability) - images) > 1e-4
        return changed.any((1, 2, 3)).mean()

    p = 0.3
    # Half of the flips, and a quarter of the turns, leave it as it is; so do shifts below half a
    # pixel in both directions.
    flips, turns, shifts = 1 - p / 2, 1 - p * 3 / 4, 1 - p * (1 - 0.5**2)
    unmoved = flips * turns * shifts * (1 - p) ** 4
    for augment, expected in (
        (ada_geometry, 1 - unmoved),
        (ada_color, 1 - (1 - p) ** 4 * (1 - p / 2)),
        (ada_cutout, p),
    ):
        deviation = np.sqrt(expected * (1 - expected) / len(images))
        assert abs(share(augment, p) - expected) < 4 * deviation, augment.__name__
        assert share(augment, 0.0) == 0


def test_what_is_drawn_is_uniform_and_kinds_happen_together():
    images = jnp.zeros((4000, 2, 2, 1))
    kinds, neutral = ("a", "b", "b"), (-1.0, -1.0, -1.0)
    found = np.asarray(adaptive._percentiles(images, KEY, kinds, neutral, [0.25, 0.75], None))
    happens = found != -1
    np.testing.assert_array_equal(happens[:, 1], happens[:, 2])
    for column, chance in enumerate((0.25, 0.75, 0.75)):
        assert stats.binomtest(int(happens[:, column].sum()), 4000, chance).pvalue > 1e-4
        values = found[happens[:, column], column]
        assert stats.kstest(values, "uniform").pvalue > 1e-4
    both = stats.pearsonr(happens[:, 0], happens[:, 1])
    assert both.pvalue > 1e-4


def test_ada_is_geometry_half_of_colour_and_cutout():
    images, probability = draw(6, 7, 6, 3), 0.8
    keys = jax.random.split(KEY, 3)
    expected = ada_geometry(images, keys[0], probability)
    expected = ada_color(expected, keys[1], probability / 2)
    expected = ada_cutout(expected, keys[2], probability)
    found = jax.jit(ada)(images, KEY, probability)  # the probability may be traced
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.all(np.abs(found - images).max((1, 2, 3)) > 1e-3)


def test_no_other_image_changes_what_becomes_of_one():
    images, drawn = draw(2, 6, 6, 1), functools.partial(percentiles, adaptive.GEOMETRY)
    maps = [adaptive._inverse_map(drawn(percentile), 6, 6) for percentile in (0.45, 0.9)]
    together = adaptive._warp(images, jnp.concatenate(maps))
    for image, one, found in zip(images, maps, together, strict=True):
        np.testing.assert_allclose(adaptive._warp(image[None], one)[0], found, atol=1e-6)


def test_other_channels_than_three_have_no_hue():
    for channels in (1, 2, 4):
        images = draw(3, 2, 2, channels)
        hue = jnp.array([[*adaptive.NEUTRAL_COLOR]] * 3).at[:, 3].set(0.9)
        np.testing.assert_allclose(adaptive._recolor(images, hue), images, atol=1e-6)
    images = draw(3, 2, 2, 3)
    third = jnp.array([[*adaptive.NEUTRAL_COLOR]] * 3).at[:, 3].set(0.5 + 1 / 3)
    expected = jnp.roll(images, 1, axis=3)  # 120 degrees take red to green, green to blue
    np.testing.assert_allclose(adaptive._recolor(images, third), expected, atol=1e-6)
