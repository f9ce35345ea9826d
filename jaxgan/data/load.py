"""A data set by its name, alone, with captions, or two domains."""

from grain.sources import RandomAccessDataSource

from jaxgan.data.captioned_folder import captioned_folder
from jaxgan.data.digit_domains import digit_domains
from jaxgan.data.folder import folder
from jaxgan.data.mnist import mnist
from jaxgan.data.scenes import scenes
from jaxgan.data.stacked_mnist import stacked_mnist
from jaxgan.data.tfds_images import tfds_domains, tfds_images
from jaxgan.errors import UserError


def load(dataset: str, split: str, data_dir: str | None = None) -> RandomAccessDataSource | None:
    """Returns the source of a data set by its name.

    Args:
        dataset: "mnist" or "stacked_mnist" (both come with the package), "folder:PATH" (a folder
            of image files, whose sub-folders are the classes), or the name of a TensorFlow
            Datasets data set.
        split: "train" or "test".
        data_dir: where TFDS keeps its prepared data sets; None is its own default.

    Returns:
        A Grain random access source, see `mnist`, `folder` and `tfds_images`; None where the data
        set has no such split.

    Raises:
        UserError: as `mnist`, `folder` and `tfds_images`.

    Example:
        >>> len(load("mnist", "test"))
        10000
    """
    if not isinstance(dataset, str) or not dataset:
        raise UserError(
            f"dataset: got {dataset!r}, expected 'mnist', 'folder:PATH' or a data set of TFDS"
        )
    if dataset == "mnist":
        return mnist(split)
    if dataset == "stacked_mnist":
        return stacked_mnist(split)
    if dataset.startswith("folder:"):
        return folder(dataset.removeprefix("folder:"), split)
    return tfds_images(dataset, split, data_dir)


def load_captioned(
    dataset: str, split: str, data_dir: str | None = None
) -> RandomAccessDataSource | None:
    """Returns the source of images with captions by its name.

    Args:
        dataset: "scenes" (comes with the package), "folder:PATH" (images and a file of captions),
            or the name of a TensorFlow Datasets data set with captions, as coco_captions.
        split: "train" or "test"; of the scenes also "unseen".
        data_dir: where TFDS keeps its prepared data sets; None is its own default.

    Returns:
        A Grain random access source, see `scenes`, `captioned_folder` and `tfds_images`; None
        where there is no such split.

    Raises:
        UserError: a data set without captions; else as those three.

    Example:
        >>> load_captioned("scenes", "unseen").captions(1)[0]
        'a little 6 in red in the middle on a grey background'
    """
    if not isinstance(dataset, str) or not dataset:
        raise UserError(
            f"dataset: got {dataset!r}, expected 'scenes', 'folder:PATH' or a data set of TFDS"
        )
    if dataset == "scenes":
        return scenes(split)
    if dataset.startswith("folder:"):
        return captioned_folder(dataset.removeprefix("folder:"), split)
    source = None if dataset == "mnist" else tfds_images(dataset, split, data_dir)
    if dataset == "mnist" or (source is not None and not hasattr(source, "captions")):
        raise UserError(f"dataset: {dataset!r} has no captions, expected images with captions")
    return source


def load_domains(
    dataset: str, split: str, data_dir: str | None = None
) -> tuple[RandomAccessDataSource, RandomAccessDataSource] | None:
    """Returns the sources of two domains by their name.

    Args:
        dataset: "digits" (comes with the package), "folder:PATH_A,PATH_B" (two folders of image
            files), or the name of a TensorFlow Datasets data set with splits trainA and trainB.
        split: "train" or "test".
        data_dir: where TFDS keeps its prepared data sets; None is its own default.

    Returns:
        (domain a, domain b), two Grain random access sources, see `digit_domains`, `folder` and
        `tfds_domains`; None where one of them has no such split.

    Raises:
        UserError: not two folders; else as `digit_domains`, `folder` and `tfds_domains`.

    Example:
        >>> a, b = load_domains("digits", "test")
        >>> len(a), len(b)
        (10000, 10000)
    """
    if not isinstance(dataset, str) or not dataset:
        raise UserError(
            f"dataset: got {dataset!r}, expected 'digits', 'folder:PATH_A,PATH_B' or a data set "
            "of TFDS"
        )
    if dataset == "digits":
        return digit_domains(split)
    if not dataset.startswith("folder:"):
        return tfds_domains(dataset, split, data_dir)
    paths = dataset.removeprefix("folder:").split(",")
    if len(paths) != 2:
        raise UserError(f"dataset: got {dataset!r}, expected two folders, 'folder:PATH_A,PATH_B'")
    domains = tuple(folder(path, split) for path in paths)
    return None if None in domains else domains
