"""A data set by its name, alone, with captions, or two domains."""

from grain.sources import RandomAccessDataSource

from jaxgan.data.bad_images import check_policy, without_bad_images
from jaxgan.data.captioned_folder import captioned_folder
from jaxgan.data.digit_domains import digit_domains
from jaxgan.data.emoji import emoji
from jaxgan.data.folder import folder
from jaxgan.data.mnist import mnist
from jaxgan.data.scenes import scenes
from jaxgan.data.splits import cut, whole
from jaxgan.data.stacked_mnist import stacked_mnist
from jaxgan.data.tfds_images import tfds_domains, tfds_images
from jaxgan.errors import UserError

_EMOJI = {"emoji": "google", "emoji_twitter": "twitter"}
_MNIST_LICENCE = "MNIST, © Yann LeCun and Corinna Cortes, CC BY-SA 3.0"
_LICENCES = {
    **dict.fromkeys(("mnist", "stacked_mnist", "digits", "scenes"), _MNIST_LICENCE),
    "emoji": "Noto Emoji, Google, Apache License 2.0",
    "emoji_twitter": "Twemoji, © Twitter, Inc. and other contributors, CC-BY 4.0",
}


def load(
    dataset: str, split: str, data_dir: str | None = None, on_bad_image: str = "stop"
) -> RandomAccessDataSource | None:
    """Returns the source of a data set by its name.

    Args:
        dataset: "mnist", "stacked_mnist", "emoji" or "emoji_twitter" (all come with the package),
            "folder:PATH" (a folder or a zip archive of image files, whose sub-folders are the
            classes), or the name of a TensorFlow Datasets data set.
        split: "train" or "test"; or "validation" or "train_part", which are cut out of "train", see
            `splits`.
        data_dir: where TFDS keeps its prepared data sets; None is its own default.
        on_bad_image: "stop" raises at the first bad image that is read; "skip" reads all of them
            once, here, and leaves out the bad ones, see `without_bad_images`.

    Returns:
        A Grain random access source, see `mnist`, `folder` and `tfds_images`; None where the data
        set has no such split.

    Raises:
        UserError: another `on_bad_image`; else as `mnist`, `folder`, `tfds_images` and
            `without_bad_images`.

    Examples:
        >>> len(load("mnist", "test"))
        10000
    """
    if not isinstance(dataset, str) or not dataset:
        raise UserError(
            f"dataset: got {dataset!r}, expected 'mnist', 'folder:PATH' or a data set of TFDS"
        )
    check_policy(on_bad_image)
    if dataset == "mnist":
        return mnist(split)
    if dataset == "stacked_mnist":
        return stacked_mnist(split)
    if dataset in _EMOJI:
        return emoji(split, _EMOJI[dataset])
    if dataset.startswith("folder:"):
        source = folder(dataset.removeprefix("folder:"), whole(split))
    else:
        source = tfds_images(dataset, whole(split), data_dir)
    return cut(_checked(source, on_bad_image), split)


def licence(dataset: str, *, domains: bool = False) -> str | None:
    """Returns whose images a data set has and their licence, of what comes with the package.

    Args:
        dataset: its name, as for `load`, `load_captioned`, `load_domains` or `load_pairs`.
        domains: the name is one for `load_domains` or `load_pairs`.

    Returns:
        A phrase; None of other data.

    Examples:
        >>> licence("mnist")
        'MNIST, © Yann LeCun and Corinna Cortes, CC BY-SA 3.0'
    """
    if dataset == "emoji" and domains:
        return "; ".join(_LICENCES[drawing] for drawing in _EMOJI)
    return _LICENCES.get(dataset)


def _checked(source, on_bad_image):
    return without_bad_images(source) if on_bad_image == "skip" and source is not None else source


def load_captioned(
    dataset: str, split: str, data_dir: str | None = None, on_bad_image: str = "stop"
) -> RandomAccessDataSource | None:
    """Returns the source of images with captions by its name.

    Args:
        dataset: "scenes", "emoji" or "emoji_twitter" (all come with the package), "folder:PATH"
            (images and a file of captions), or the name of a TensorFlow Datasets data set with
            captions, as coco_captions.
        split: "train", "test", "validation" or "train_part" as for `load`; of the scenes see there.
        data_dir: where TFDS keeps its prepared data sets; None is its own default.
        on_bad_image: as for `load`.

    Returns:
        A Grain random access source, see `scenes`, `emoji`, `captioned_folder` and `tfds_images`;
        None where there is no such split.

    Raises:
        UserError: a data set without captions; else as those four.

    Examples:
        >>> load_captioned("scenes", "unseen").captions(1)[0]
        'a little 3 in yellow in the middle on a grey background'
    """
    if not isinstance(dataset, str) or not dataset:
        raise UserError(
            f"dataset: got {dataset!r}, expected 'scenes', 'emoji', 'folder:PATH' or a data set of "
            "TFDS"
        )
    check_policy(on_bad_image)
    if dataset == "scenes":
        return scenes(split)
    if dataset in _EMOJI:
        return emoji(split, _EMOJI[dataset])
    if dataset.startswith("folder:"):
        source = captioned_folder(dataset.removeprefix("folder:"), whole(split))
    else:
        source = None if dataset == "mnist" else tfds_images(dataset, whole(split), data_dir)
        if dataset == "mnist" or (source is not None and not hasattr(source, "captions")):
            raise UserError(f"dataset: {dataset!r} has no captions, expected images with captions")
    return cut(_checked(source, on_bad_image), split)


def load_domains(
    dataset: str, split: str, data_dir: str | None = None, on_bad_image: str = "stop"
) -> tuple[RandomAccessDataSource, RandomAccessDataSource] | None:
    """Returns the sources of two domains by their name.

    Args:
        dataset: "digits" or "emoji" (both come with the package; the emoji as drawn by Google and
            by Twitter), "folder:PATH_A,PATH_B" (two folders of image files), or the name of a
            TensorFlow Datasets data set with splits trainA and trainB.
        split: "train", "test", "validation" or "train_part" as for `load`, of each domain.
        data_dir: where TFDS keeps its prepared data sets; None is its own default.
        on_bad_image: as for `load`.

    Returns:
        (domain a, domain b), two Grain random access sources, see `digit_domains`, `emoji`,
        `folder` and `tfds_domains`; None where one of them has no such split.

    Raises:
        UserError: not two folders; else as `digit_domains`, `emoji`, `folder` and `tfds_domains`.

    Examples:
        >>> a, b = load_domains("digits", "test")
        >>> len(a), len(b)
        (10000, 10000)
    """
    if not isinstance(dataset, str) or not dataset:
        raise UserError(
            f"dataset: got {dataset!r}, expected 'digits', 'folder:PATH_A,PATH_B' or a data set "
            "of TFDS"
        )
    check_policy(on_bad_image)
    if dataset == "digits":
        return digit_domains(split)
    if dataset == "emoji":
        return _both_drawings(split)
    if dataset.startswith("folder:"):
        a, b = _two_folders(dataset, split)
    else:
        a, b = tfds_domains(dataset, whole(split), data_dir) or (None, None)
    if a is None or b is None:
        return None
    return cut(_checked(a, on_bad_image), split), cut(_checked(b, on_bad_image), split)


def load_pairs(
    dataset: str, split: str, data_dir: str | None = None, on_bad_image: str = "stop"
) -> tuple[RandomAccessDataSource, RandomAccessDataSource] | None:
    """Returns the two sources of a paired data set by its name: example i of b belongs to i of a.

    Args:
        dataset: "emoji" (as drawn by Google and by Twitter) or "digits" (white and coloured), which
            come with the package, or "folder:PATH_A,PATH_B", two folders of image files of the same
            names.
        split: "train", "test", "validation" or "train_part" as for `load`.
        data_dir: of no use here; other functions of this kind have it.
        on_bad_image: "stop"; to skip an image of one folder would move all after it to others.

    Returns:
        (a, b), two Grain random access sources of one length, see `emoji`, `digit_domains` and
        `folder`; None where there is no such split.

    Raises:
        UserError: another data set or `on_bad_image`; folders whose files have other names.

    Examples:
        >>> google, twitter = load_pairs("emoji", "test")
        >>> len(google), len(twitter)
        (426, 426)
    """
    if on_bad_image != "stop":
        raise UserError(f"on_bad_image: got {on_bad_image!r}, expected 'stop' for pairs")
    if dataset == "emoji":
        return _both_drawings(split)
    if dataset == "digits":
        return digit_domains(split, paired=True)
    if not isinstance(dataset, str) or not dataset.startswith("folder:"):
        raise UserError(
            f"dataset: got {dataset!r}, expected 'emoji', 'digits' or 'folder:PATH_A,PATH_B'"
        )
    a, b = _two_folders(dataset, split)
    if a is None or b is None:
        return None
    if a.stems != b.stems:
        alone = sorted(set(a.stems) ^ set(b.stems))
        raise UserError(f"dataset: {alone[0]!r} is in one folder alone, expected the same names")
    return cut(a, split), cut(b, split)


def _both_drawings(split):
    return emoji(split, "google"), emoji(split, "twitter")


def _two_folders(dataset, split):
    paths = dataset.removeprefix("folder:").split(",")
    if len(paths) != 2:
        raise UserError(f"dataset: got {dataset!r}, expected two folders, 'folder:PATH_A,PATH_B'")
    return [folder(path, whole(split)) for path in paths]
