"""A data set by its name."""

from grain.sources import RandomAccessDataSource

from jaxgan.data.folder import folder
from jaxgan.data.mnist import mnist
from jaxgan.data.stacked_mnist import stacked_mnist
from jaxgan.data.tfds_images import tfds_images
from jaxgan.errors import UserError


def load(dataset: str, split: str, data_dir: str | None = None) -> RandomAccessDataSource | None:
    """Returns the source of a data set by its name.

    Args:
        dataset: "mnist" or "stacked_mnist" (both come with the package), "folder:PATH" (a folder
            of image files), or the name of a TensorFlow Datasets data set.
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
