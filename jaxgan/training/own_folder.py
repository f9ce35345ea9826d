"""A folder of one's own: what is chosen by its images, and what is told of them."""

import collections
import functools
import statistics
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from jaxgan import data
from jaxgan.files import read_object
from jaxgan.training.config import base_config

__all__ = ["fit_to_folder", "tell_of_folder"]

SIZES = (28, 32, 64)
"""Those that are chosen from. 128 pixels are not: on a CPU a run would take days."""
FEW = 1_000
OF_EMOJI = {"image_size": 64, "channels": 3}


def fit_to_folder(
    config: config_dict.ConfigDict, given: Collection[str], workdir: str | Path
) -> None:
    """Sets image size and channels by the images, where neither a flag nor a preset gives them.

    Of a `folder:PATH` the size is the largest of 28, 32 and 64 that half of the images have at
    least, and the channels are those of most; emoji are 64 pixels and RGB. A run that is gone on
    with keeps those that it began with.

    Args:
      config: of an experiment from latents to images; it is changed.
      given: the fields that the command line gives.
      workdir: the run's folder, which may not be there yet.

    Raises:
      UserError: as `data.folder`.
    """
    first = base_config()
    free = [k for k in OF_EMOJI if k not in given and config[k] == first[k]]
    emoji = config.dataset in ("emoji", "emoji_twitter")
    if not (emoji or _is_folder(config)) or not free:
        return
    found = read_object(Path(workdir) / "config.json")
    if found.get("dataset") != config.dataset and emoji:
        found = OF_EMOJI
    elif found.get("dataset") != config.dataset:
        _, looks = _look_at(config.dataset)
        if not looks:
            return
        side = statistics.median(min(look.width, look.height) for look in looks)
        size = max((size for size in SIZES if size <= side), default=SIZES[0])
        found = {"image_size": size, "channels": 3 if _are_coloured(looks) else 1}
    for name in free:
        config[name] = found.get(name, config[name])


def tell_of_folder(config: config_dict.ConfigDict) -> None:
    """Says what the images of a `folder:PATH` are and what is made of them; nothing of other data.

    A line on stderr each warns of too few, too small, mixed and equal images, and of files of an
    archive that are no images.

    Args:
      config: of an experiment, as it is run.

    Raises:
      UserError: as `data.folder`.
    """
    if not _is_folder(config):
        return
    source, looks = _look_at(config.dataset)
    if not looks:
        return
    (width, height), _ = collections.Counter(look[1:3] for look in looks).most_common(1)[0]
    made, size = "RGB" if config.channels == 3 else "grey", config.image_size
    print(
        f"{config.dataset}: {len(source):,} {'RGB' if _are_coloured(looks) else 'grey'} images, "
        f"{width} × {height} most often, made {made} of {size} × {size} (--config.channels, "
        "--config.image_size)",
        flush=True,
    )
    for line in _warnings(config, source, looks):
        print(f"warning: {line}", file=sys.stderr, flush=True)


def _is_folder(config: config_dict.ConfigDict) -> bool:
    return str(config.dataset).startswith("folder:")


@functools.lru_cache(maxsize=1)
def _look_at(dataset: str) -> tuple[Any, list[data.Look]]:
    source = data.folder(dataset.removeprefix("folder:"))
    return source, data.survey(source)


def _are_coloured(looks: Sequence[data.Look]) -> bool:
    return 2 * sum(look.channels == 3 for look in looks) >= len(looks)


def _warnings(config, source, looks: Sequence[data.Look]) -> list[str]:
    size, all_of = config.image_size, f"of {len(looks):,} images"
    lines = []
    if len(source) < FEW:
        hint = (
            "; more are better, or --config.augment=color,translation,cutout"
            if "augment" in config and not config.augment
            else ""
        )
        lines.append(f"{len(source)} images are few, and may be learnt by heart{hint}")
    small = [look for look in looks if min(look.width, look.height) < size]
    if small:
        one = f"{small[0].name} is {small[0].width} × {small[0].height}"
        lines.append(f"{len(small):,} {all_of} are smaller than {size} pixels: {one}")
    long = [look for look in looks if max(look.width, look.height) > 2 * min(look[1:3])]
    if long:
        one = f"{long[0].name} is {long[0].width} × {long[0].height}"
        lines.append(f"{len(long):,} {all_of} lose more than half, cut to a square: {one}")
    grey = [look for look in looks if look.channels == 1]
    if grey and len(grey) < len(looks):
        odd, what = (grey, "grey among RGB")
        if 2 * len(grey) > len(looks):
            odd, what = [look for look in looks if look.channels == 3], "RGB among grey ones"
        lines.append(f"{len(odd):,} {all_of} are {what}: {odd[0].name}")
    first: dict[bytes, str] = {}
    copies = [look for look in looks if first.setdefault(look.digest, look.name) != look.name]
    if copies:
        one = f"{copies[0].name} of {first[copies[0].digest]}"
        lines.append(f"{len(copies):,} {all_of} are copies of others: {one}")
    other = source.other_files if config.dataset.lower().endswith(".zip") else []
    if other:
        lines.append(
            f"{len(other):,} files of the archive are no images, and left out: {other[0]!r}"
        )
    return lines
