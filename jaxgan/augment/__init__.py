"""What stands between images and discriminator: augmentation, noise, packing.

All are pure functions of images (B, H, W, C) with values around [-1, 1] and any number of
channels; every image of a batch draws for itself. They are differentiable, since the generator
learns through them: show the discriminator real and generated images through the same function,
in its loss and in the generator's, each time with another key,

    logits = discriminator(diff_augment(images, key))

Only then does the generator not learn to draw what the augmentation leaves behind.

Inside `pmap` or `shard_map`, what draws is given the `axis_name` of the mapped axis and a key that
is the same on every device: each then takes its share of what is drawn for the whole batch.
Without the name every device would draw the same.
"""

from jaxgan.augment.adaptive import ada, ada_color, ada_cutout, ada_geometry
from jaxgan.augment.differentiable import (
    brightness,
    color,
    contrast,
    cutout,
    diff_augment,
    saturation,
    translation,
)
from jaxgan.augment.noise import instance_noise
from jaxgan.augment.packing import pack

__all__ = [
    "ada",
    "ada_color",
    "ada_cutout",
    "ada_geometry",
    "brightness",
    "color",
    "contrast",
    "cutout",
    "diff_augment",
    "instance_noise",
    "pack",
    "saturation",
    "translation",
]
