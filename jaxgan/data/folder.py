"""Folders and zip archives of image files."""

import io
import os

import numpy as np
from grain.sources import RandomAccessDataSource
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxgan.data.tree import Tree, open_tree
from jaxgan.errors import UserError

_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
)


def folder(path: str | os.PathLike, split: str = "train") -> RandomAccessDataSource | None:
    """Returns the image files under a folder, at any depth, in the order of their sorted paths.

    A zip archive is read as a folder is, without being unpacked; see `tree.open_tree`.

    When `path` holds the sub-folders `train` and `test`, these are the splits; otherwise all of it
    is "train". When every image of the split lies in a sub-folder, the names of the first-level
    sub-folders, sorted, are the classes (those of `train`, so that both splits number them alike).
    Files and folders whose name starts with a dot are left out.

    A file is opened when its example is asked for, turned upright by its EXIF orientation and made
    8-bit grey or RGB: grey of 16 bits (0 to 65535) or floating point (0 to 1) is scaled to 8 bits,
    transparency is laid over white, any other mode (palette, CMYK, ...) is converted to RGB. Of an
    animation it is the first frame.

    Args:
        path: the folder, or the archive, whose name ends in .zip.
        split: "train" or "test".

    Returns:
        A Grain random access source of {"image": uint8 (H, W, C), C 1 or 3, "label": int32 scalar
        (only with classes)}, with `num_classes`, and `other_files`, the names of the files that are
        no images and left out; None for "test" where there is no such split.

    Raises:
        UserError: `path` is missing, is no folder, or holds no image; an archive is damaged or has
            absolute or climbing paths; a folder of `test` is no class of `train`; `split` is
            neither "train" nor "test". Reading an example raises it for a file that cannot be
            read, and names the file.

    Examples:
        >>> import os
        >>> for name in ("rose", "tulip"):
        ...     os.makedirs(f"flowers/{name}")
        ...     Image.new("RGB", (40, 30)).save(f"flowers/{name}/1.png")
        >>> source = folder("flowers")
        >>> source[1]["image"].shape, source.num_classes
        ((30, 40, 3), 2)
    """
    if split not in ("train", "test"):
        raise UserError(f"split: got {split!r}, expected 'train' or 'test'")
    root = open_tree(path)
    has_splits = has_both_splits(root)
    if split == "test" and not has_splits:
        return None
    split_root = root.under(split) if has_splits else root
    names = image_names(split_root)
    classes = _class_names(image_names(root.under("train")) if has_splits else names)
    labels = classes and _labels(split_root, names, classes)
    return _Images(split_root, names, labels, classes)


def has_both_splits(tree: Tree) -> bool:
    """Whether the folders `train` and `test` are the splits."""
    return tree.has_folder("train") and tree.has_folder("test")


class _Images:
    def __init__(self, root, names, labels, classes):
        self._root = root
        self._names = names
        self._labels = labels
        self.num_classes = classes and len(classes)

    @property
    def stems(self) -> list[str]:
        """The names without their suffixes, by which files of two folders are pairs."""
        return [name.rpartition(".")[0] for name in self._names]

    @property
    def other_files(self) -> list[str]:
        return [name for name in self._root.names if not is_image(name)]

    def file(self, index):
        """A function that opens the file of an example, and what an error calls it."""
        return open_file(self._root, self._names[index])

    def __len__(self):
        return len(self._names)

    def __getitem__(self, index):
        image = decode_image(*self.file(index))
        if self._labels is None:
            return {"image": image}
        return {"image": image, "label": self._labels[index]}

    def __repr__(self):
        return f"folder({str(self._root)!r}, {len(self)} images)"


def image_names(tree: Tree, field: str = "dataset") -> list[str]:
    """Sorted names of the images of a tree; `field` is what an error calls the input."""
    names = [name for name in tree.names if is_image(name)]
    if not names:
        known = " ".join(sorted(suffix[1:] for suffix in _SUFFIXES))
        raise UserError(f"{field}: no image in {str(tree)!r}, expected files of {known}")
    return names


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def _class_names(names):
    """The first-level folders when every image is in one, else None."""
    if not all("/" in name for name in names):
        return None
    return sorted({name.split("/")[0] for name in names})


def _labels(root, names, classes):
    index_of = {name: index for index, name in enumerate(classes)}
    strange = next((name for name in names if name.split("/")[0] not in index_of), None)
    if strange is not None:
        raise UserError(
            f"dataset: {root.where(strange)!r} is in no class of train, expected a folder of "
            f"{' '.join(classes)}"
        )
    return np.array([index_of[name.split("/")[0]] for name in names], np.int32)


def open_file(tree: Tree, name: str):
    """What `decode_image` takes of a file: a function that opens it, and what an error calls it."""
    return lambda: io.BytesIO(tree.read(name)), repr(tree.where(name))


class BadImage(UserError):
    """An image file that is there, but does not hold a whole image; `reason` names it and why."""

    reason = ""


def decode_image(file, what, field="dataset"):
    """Reads an image file as uint8 (H, W, 1) or (H, W, 3).

    `file` is a binary stream, or a function that opens one; `what` is what an error calls it,
    `field` the input that it came by. It is a `BadImage` unless the system does not give the file.
    """
    try:
        with Image.open(file() if callable(file) else file) as image:
            _check_size(image)
            return _as_uint8(ImageOps.exif_transpose(image))
    # Pillow's readers raise nearly anything on damaged files: OSError, SyntaxError, ValueError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "no format that Pillow knows"
        reason = f"cannot read {what} ({reason})"
        # Pillow's own errors have no number of the system's.
        if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
            raise UserError(f"{field}: {reason}, expected a file that can be read") from error
        bad = BadImage(f"{field}: {reason}, expected a whole image file")
        bad.reason = reason
        raise bad from error


def _check_size(image):
    """Refuses what Pillow warns of as a decompression bomb, before it takes memory."""
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and image.width * image.height > most:
        raise ValueError(
            f"{image.width} x {image.height} pixels, more than Pillow's limit of {most}: it could "
            "be a decompression bomb"
        )


def _as_uint8(image):
    """Any Pillow image as uint8 (H, W, 1) or (H, W, 3)."""
    if image.mode.startswith(("I", "F")):
        return _deep_grey_as_uint8(np.asarray(image), image.mode)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        # White is what an image with transparency is mostly looked at over.
        white = Image.new("RGBA", rgba.size, "white")
        grey = image.mode in ("LA", "La", "L", "1")
        image = Image.alpha_composite(white, rgba).convert("L" if grey else "RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _deep_grey_as_uint8(pixels, mode):
    # Pillow's own conversion clips at 255 and would make nearly all of a 16-bit image white.
    white = 1.0 if mode.startswith("F") else 65535.0
    if not np.isfinite(pixels).all():
        raise ValueError("pixels that are no finite numbers")
    return np.rint(np.clip(pixels / white, 0, 1) * 255).astype(np.uint8)[..., None]
