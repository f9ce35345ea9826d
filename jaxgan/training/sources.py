"""The data that a config names."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax
from ml_collections import config_dict

from jaxgan import data
from jaxgan.errors import UserError
from jaxgan.training.config import expect_field

MOST_TOLD = 3
"""So many of the images that are left out are named."""


def load_split(config: Mapping[str, Any], split: str, load: Callable | None = None):
    """The data that a config names, by its `on_bad_image`; tells which images are left out.

    Args:
      config: of an experiment or of an old run, which may know no `on_bad_image`.
      split: as for `data.load`.
      load: another function of the kind of `data.load`.

    Returns:
      What `load` gives: a source, or a tuple of them, or None.
    """
    dataset, policy = config["dataset"], config.get("on_bad_image", "stop")
    found = (load or data.load)(dataset, split, config["data_dir"], policy)
    for source in found if isinstance(found, tuple) else (found,):
        bad = bad_images(source)
        if bad and jax.process_index() == 0:
            more = f"; and {len(bad) - MOST_TOLD} more" if len(bad) > MOST_TOLD else ""
            print(
                f"warning: {len(bad)} of {len(bad) + len(source)} images of {dataset}, {split}, "
                f"are left out: {'; '.join(bad[:MOST_TOLD])}{more}",
                file=sys.stderr,
            )
    return found


def bad_images(*sources) -> tuple[str, ...]:
    """A line for each image that `load` left out of these sources."""
    return tuple(line for source in sources for line in getattr(source, "bad_images", ()))


def splits_of(config: Mapping[str, Any]) -> tuple[str, str]:
    """The splits that a run, be it an old one, was trained on and is evaluated on."""
    held_out = config.get("evaluate_on", "test")
    return data.TRAIN_ON[held_out], held_out


def load_splits(config: config_dict.ConfigDict, load: Callable | None = None) -> tuple:
    """What a run is trained on and what it is evaluated on, as the config says.

    Args:
      config: of the experiment.
      load: another function of the kind of `data.load`.

    Returns:
      What `load` gives for either split; the second may be None.
    """
    known = config.evaluate_on in data.TRAIN_ON
    expect_field(config, "evaluate_on", known, " or ".join(data.TRAIN_ON))
    return tuple(load_split(config, split, load) for split in splits_of(config))


def fits_on_device(
    config: config_dict.ConfigDict, num_images: int, image_size: int | None = None
) -> bool:
    """Whether so many images, of the config's size or another, are to live on the device."""
    size = image_size or config.image_size
    return num_images * size**2 * config.channels <= config.device_data_mb * 2**20


def number_of_classes(config: config_dict.ConfigDict, source) -> int:
    """How many classes the data has, which it must."""
    if not source.num_classes:
        hint = ", or --config.conditional=False" if "conditional" in config else ""
        raise UserError(
            f"dataset: {config.dataset} has no classes, expected labelled images, such as mnist, a "
            f"folder with a sub-folder a class or a labelled set of TensorFlow Datasets{hint}"
        )
    return source.num_classes
