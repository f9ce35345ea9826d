"""Each image and its mirror image, in turn or on the device."""

import numpy as np
import pytest

from jaxgan import data


def test_every_example_comes_as_it_is_and_turned():
    source = data.emoji("test")
    both = data.mirrored(source)
    assert (len(both), both.num_classes) == (2 * len(source), 10)
    for index in (0, 7, len(source) - 1):
        image = source[index]["image"]
        np.testing.assert_array_equal(both[index]["image"], image)
        turned = both[len(source) + index]
        np.testing.assert_array_equal(turned["image"], image[:, ::-1])
        assert turned["label"] == source[index]["label"]
    assert not np.array_equal(source[0]["image"], source[0]["image"][:, ::-1])
    for index in (-1, len(both)):
        with pytest.raises(IndexError, match=f"example {index} of {len(both)}"):
            both[index]


def test_the_device_has_both():
    source = data.emoji("test")
    arrays = data.load_arrays(data.mirrored(source), image_size=16, channels=3)
    halves = np.split(arrays["image"], 2)
    np.testing.assert_array_equal(halves[1], halves[0][:, :, ::-1])
    batch = next(
        data.train_iterator(data.mirrored(source), batch_size=8, image_size=16, channels=3, seed=0)
    )
    assert batch["image"].shape == (8, 16, 16, 3)
