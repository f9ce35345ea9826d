"""Augmentation, noise and packing: their laws, and that gradients pass."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgan import penalties
from jaxgan.augment import (
    ada,
    ada_color,
    ada_cutout,
    ada_geometry,
    brightness,
    color,
    contrast,
    cutout,
    diff_augment,
    instance_noise,
    pack,
    saturation,
    translation,
)
from jaxgan.errors import UserError
from jaxgan.training import sharding

KEY = jax.random.key(0)
ROUNDING = 1e-5  # of coordinates in pixels, which geometry computes
AUGMENTATIONS = {
    "brightness": brightness,
    "saturation": saturation,
    "contrast": contrast,
    "color": color,
    "translation": translation,
    "cutout": cutout,
    "diff_augment": diff_augment,
    "instance_noise": functools.partial(instance_noise, std=0.1),
    "ada": functools.partial(ada, probability=0.8),
    "ada_geometry": functools.partial(ada_geometry, probability=0.8),
    "ada_color": functools.partial(ada_color, probability=0.8),
    "ada_cutout": functools.partial(ada_cutout, probability=0.8),
}
every_augmentation = pytest.mark.parametrize(
    "augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys()
)


def draw(*shape, seed=0, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), dtype)


def assert_uniform(x, low, high):
    assert x.min() >= low - 1e-4
    assert x.max() <= high + 1e-4
    assert stats.kstest(x, stats.uniform(low, high - low).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / math.sqrt(len(x))


def factors(before, after, centre):
    """By how much each image's distance from its centre grew, the same at all of its pixels."""
    before, after = (np.asarray(x, np.float64) - centre for x in (before, after))
    axes = (1, 2, 3)
    factor = np.sum(before * after, axes) / np.sum(before**2, axes)
    np.testing.assert_allclose(after, factor[:, None, None, None] * before, atol=2e-6)
    return factor


def test_brightness_adds_one_number_to_an_image():
    images = draw(2000, 3, 2, 3)
    change = np.asarray(brightness(images, KEY)) - np.asarray(images)
    np.testing.assert_allclose(np.ptp(change, (1, 2, 3)), 0, atol=1e-6)
    assert_uniform(change[:, 0, 0, 0], -0.5, 0.5)


def test_saturation_scales_the_distance_from_grey():
    images = draw(2000, 3, 2, 3)
    grey = np.asarray(images, np.float64).mean(3, keepdims=True)
    assert_uniform(factors(images, saturation(images, KEY), grey), 0, 2)
    one = draw(5, 3, 2, 1)
    np.testing.assert_allclose(saturation(one, KEY), one, atol=1e-6)


def test_contrast_scales_the_distance_from_the_mean():
    images = draw(2000, 3, 2, 3)
    mean = np.asarray(images, np.float64).mean((1, 2, 3), keepdims=True)
    assert_uniform(factors(images, contrast(images, KEY), mean), 0.5, 1.5)


def test_color_is_all_three():
    images = draw(50, 3, 2, 3)
    changed = np.asarray(color(images, KEY), np.float64)
    grey, mean = (np.asarray(images, np.float64).mean(a, keepdims=True) for a in (3, (1, 2, 3)))
    new_grey, new_mean = changed.mean(3, keepdims=True), changed.mean((1, 2, 3), keepdims=True)
    assert np.all(np.ptp(new_mean - mean, 0) > 0.5)  # brightness
    contrasts = factors(grey, new_grey + mean - new_mean, mean)
    saturations = factors(images, changed - new_grey + grey, grey) / contrasts
    assert np.all((contrasts > 0.5 - 1e-4) & (contrasts < 1.5 + 1e-4))
    assert np.all((saturations > -1e-4) & (saturations < 2 + 1e-4))
    assert np.std(contrasts) > 0.1
    assert np.std(saturations) > 0.2


def test_translation_moves_by_an_eighth_and_lets_zeros_in():
    height, width, count = 12, 9, 4000  # by up to 2 (halves round up) and by up to 1
    images = draw(count, height, width, 2)
    moved = np.asarray(translation(images, KEY))
    images = np.asarray(images)
    found = {}
    for down in range(-3, 4):
        for right in range(-3, 4):
            expected = np.zeros_like(images)
            to, start = max(down, 0), max(-down, 0)
            rows = slice(to, height - start), slice(start, height - to)
            to, start = max(right, 0), max(-right, 0)
            columns = slice(to, width - start), slice(start, width - to)
            expected[:, rows[0], columns[0]] = images[:, rows[1], columns[1]]
            found[down, right] = np.all(moved == expected, (1, 2, 3)).sum()
    reached = {shift for shift, times in found.items() if times}
    assert reached == {(down, right) for down in range(-2, 3) for right in range(-1, 2)}
    assert sum(found.values()) == count
    assert stats.chisquare([found[shift] for shift in reached]).pvalue > 1e-4


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10), (9, 6)])
def test_cutout_takes_a_rectangle_of_half_the_sides(height, width):
    count = 6000
    after = np.asarray(cutout(jnp.ones((count, height, width, 2)), KEY))
    np.testing.assert_array_equal(after[..., 0], after[..., 1])
    holes, times = np.unique(after[..., 0] == 0, axis=0, return_counts=True)

    def lines(side):
        """Every hole along one axis: the authors' indices, held inside the image."""
        size = int(side * 0.5 + 0.5)
        for offset in range(side + (1 - size % 2)):
            line = np.zeros(side, bool)
            line[np.clip(np.arange(size) + offset - size // 2, 0, side - 1)] = True
            yield line

    expected = np.array([np.outer(r, c) for r in lines(height) for c in lines(width)])
    kinds, shares = np.unique(expected, axis=0, return_counts=True)
    np.testing.assert_array_equal(holes, kinds)
    assert stats.chisquare(times, shares * count / shares.sum()).pvalue > 1e-4
    images = draw(20, height, width, 3)
    after = np.asarray(cutout(images, KEY))
    np.testing.assert_array_equal(after[after != 0], np.asarray(images)[after != 0])


@every_augmentation
def test_a_key_draws_again_what_it_drew_and_each_image_for_itself(augment):
    images = jnp.tile(draw(1, 8, 8, 3), (20, 1, 1, 1))
    first, again = augment(images, KEY), augment(images, KEY)
    other = augment(images, jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    assert np.any(np.asarray(first) != np.asarray(other))
    assert len(np.unique(np.asarray(first), axis=0)) > 5
    np.testing.assert_allclose(jax.jit(augment)(images, KEY), first, atol=ROUNDING)


@every_augmentation
def test_shape_and_dtype_stay(augment):
    for channels, dtype in itertools.product((1, 3, 4), (jnp.float32, jnp.bfloat16)):
        images = jax.ShapeDtypeStruct((3, 7, 6, channels), dtype)
        out = jax.eval_shape(augment, images, KEY)
        assert (out.shape, out.dtype) == (images.shape, images.dtype)


def test_each_device_draws_its_own_rows_of_what_one_device_draws():
    def every(images, **options):
        return [augment(images, KEY, **options) for augment in AUGMENTATIONS.values()]

    images, rows = draw(8, 5, 4, 3), jax.P("data")
    mesh = sharding.make_mesh(jax.devices()[:4])
    mapped = functools.partial(every, axis_name="data")
    found = jax.jit(jax.shard_map(mapped, mesh=mesh, in_specs=rows, out_specs=rows))(images)
    for name, ours, expected in zip(AUGMENTATIONS, found, jax.jit(every)(images), strict=True):
        np.testing.assert_allclose(ours, expected, atol=ROUNDING, err_msg=name)


@every_augmentation
def test_gradients_pass(augment):
    with jax.enable_x64(True):
        images, step, weights = (draw(3, 7, 6, 2, seed=s, dtype=np.float64) for s in range(3))

        def value(images):
            return jnp.sum(weights * augment(images, KEY))

        # Affine in the images, so that a difference of any width is exact.
        expected = value(images + step) - value(images)
        slope = jax.grad(value)(images)
        assert abs(float(expected)) > 1e-3
        np.testing.assert_allclose(jnp.sum(slope * step), expected, rtol=1e-9)


def test_a_penalty_goes_through():
    images = draw(3, 8, 8, 1)

    def loss(scale):
        return penalties.r1(
            lambda x: jnp.sum(scale * diff_augment(x, KEY, (translation, cutout)), (1, 2, 3)),
            images,
        )

    # The slope is `scale` at each of the n pixels still seen: R1 = scale^2 n, dR1 = 2 R1 / scale.
    value, slope = jax.value_and_grad(loss)(3.0)
    seen = diff_augment(jnp.ones_like(images), KEY, (translation, cutout))
    np.testing.assert_allclose(value, 9 * jnp.mean(jnp.sum(seen, (1, 2, 3))), rtol=1e-6)
    np.testing.assert_allclose(slope, 2 * value / 3, rtol=1e-6)


def test_a_policy_is_done_in_order_with_keys_of_its_own():
    keys = []

    def double(images, key):
        keys.append(key)
        return 2 * images

    def add(images, key):
        keys.append(key)
        return images + 1

    images = draw(2, 3, 3, 1)
    np.testing.assert_array_equal(diff_augment(images, KEY, (double, add)), 2 * images + 1)
    np.testing.assert_array_equal(diff_augment(images, KEY, (add, double)), 2 * (images + 1))
    assert keys[0] != keys[1]
    assert KEY not in keys
    np.testing.assert_array_equal(diff_augment(images, KEY, ()), images)


def test_instance_noise_is_normal():
    images = draw(50, 8, 8, 3)
    noise = np.asarray(jax.jit(instance_noise)(images, KEY, 0.3)) - np.asarray(images)
    assert stats.kstest(noise.ravel(), stats.norm(scale=0.3).cdf).pvalue > 1e-4
    np.testing.assert_array_equal(instance_noise(images, KEY, 0.0), images)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_packing_by_hand(count):
    images = np.asarray(draw(6, 3, 4, 2))
    packed = np.asarray(pack(jnp.asarray(images), count))
    assert packed.shape == (6 // count, 3, 4, 2 * count)
    for i in range(6 // count):
        expected = np.concatenate(list(images[i * count : (i + 1) * count]), axis=-1)
        np.testing.assert_array_equal(packed[i], expected)


@pytest.mark.parametrize("count", [0, -1, 4, 7])
def test_packing_needs_a_divisor(count):
    with pytest.raises(UserError, match=rf"^count: got {count} for a batch of 6[^\n]*$"):
        pack(jnp.zeros((6, 2, 2, 1)), count)


@pytest.mark.parametrize(
    "augment",
    [*AUGMENTATIONS.values(), lambda images, key: pack(images, 1)],
    ids=[*AUGMENTATIONS, "pack"],
)
@pytest.mark.parametrize(
    "images",
    [np.zeros((3, 4, 4), np.float32), np.zeros((2, 3, 4, 4, 1)), np.zeros((3, 4, 4, 1), np.uint8)],
    ids=["no channels", "a stack", "bytes"],
)
def test_wrong_images_are_refused(augment, images):
    with pytest.raises(UserError, match=r"^images: got [^\n]*expected floats \(B, H, W, C\)$"):
        augment(images, KEY)
