"""Image data sets of TensorFlow Datasets, read without TensorFlow."""

import contextlib
import difflib
import functools
import importlib.util
import io
import logging
import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
from absl import logging as absl_logging
from grain.sources import RandomAccessDataSource

from jaxgan.data.folder import decode_image
from jaxgan.errors import UserError

# TFDS waits 204 s, over ten tries, before it says that there is no network; with three it is 3 s.
_DOWNLOAD_RETRIES = 3
_FILE_FORMAT = "array_record"
_CAPTIONS = ("captions", "caption")
_INSTALL = "pip install 'jaxgan[tensorflow]'"


def tfds_images(
    name: str, split: str, data_dir: str | None = None
) -> RandomAccessDataSource | None:
    """Returns the images of a TensorFlow Datasets data set, prepared first where they are not yet.

    The image is the feature "image", else the first `tfds.features.Image` of 8 or 16 bits; the
    label is the feature "label", else the first `tfds.features.ClassLabel`, if there is one; the
    captions are the feature "captions" or "caption". Only features at the top of the example count.
    "test" is the split "validation" where the data set has no "test".

    Reading takes no TensorFlow, preparing does (`pip install 'jaxgan[tensorflow]'`), with every
    accelerator hidden from it. The files have to be of a random access format: they are prepared as
    array_record.

    Args:
        name: as TFDS has it, e.g. "cifar10", "oxford_flowers102:2.1.1" or "cats/config".
        split: "train" or "test".
        data_dir: where the prepared data sets are; None is TFDS's own default
            (`TFDS_DATA_DIR`, or ~/tensorflow_datasets).

    Returns:
        A Grain random access source of {"image": uint8 (H, W, C), C 1 or 3, "label": int32 scalar
        (only with classes), "caption": str (only with captions)}, with `num_classes`; None where
        there is no such split. With captions, `source.captions(i)` are all of those of image i, of
        which "caption" is the first.

    Raises:
        UserError: TFDS knows no such data set; it is neither prepared nor can it be prepared here
            (no TensorFlow, no network, files to be fetched by hand); it is prepared in another file
            format; it has no image; `split` is neither "train" nor "test". Reading an example
            raises it for an image without captions and for an empty caption.

    Examples:
        >>> source = tfds_images("cifar10", "train")  # doctest: +SKIP
        >>> source[0]["image"].shape  # doctest: +SKIP
        (32, 32, 3)
    """
    _check_split(split)
    return _open(name, split, data_dir)


def tfds_domains(
    name: str, split: str, data_dir: str | None = None
) -> tuple[RandomAccessDataSource, RandomAccessDataSource] | None:
    """Returns the two domains of a TensorFlow Datasets data set for translation without pairs.

    They are its splits trainA and trainB, or testA and testB, as all of `cycle_gan` have them. Each
    is read as `tfds_images` does.

    Args:
        name: as TFDS has it, e.g. "cycle_gan/horse2zebra".
        split: "train" or "test".
        data_dir: where the prepared data sets are; None is TFDS's own default.

    Returns:
        (domain a, domain b), two sources as of `tfds_images`; None where there is no testA and
        testB.

    Raises:
        UserError: as `tfds_images`; the data set has no trainA and trainB.

    Examples:
        >>> horses, zebras = tfds_domains("cycle_gan/horse2zebra", "train")  # doctest: +SKIP
    """
    _check_split(split)
    domains = tuple(_open(name, f"{split}{domain}", data_dir) for domain in "AB")
    if None not in domains:
        return domains
    if split == "train":
        raise UserError(
            f"dataset: {name!r} has no splits trainA and trainB, expected a data set of two "
            "domains, as cycle_gan/horse2zebra"
        )
    return None


def _check_split(split):
    if split not in ("train", "test"):
        raise UserError(f"split: got {split!r}, expected 'train' or 'test'")


def _open(name, split, data_dir):
    """The source of a split, by any name; None where there is none."""
    with _quiet():
        # It takes half a second, which only those should pay who use it.
        import tensorflow_datasets as tfds

        builder = _builder(tfds, name, data_dir)
        image_key, label_key = _feature_keys(tfds, name, builder.info.features)
        if not builder.is_prepared():
            _prepare(tfds, builder, name, data_dir)
        split_name = _split_name(builder.info.splits, split)
        if split_name is None:
            return None
        data_source = _data_source(tfds, builder, name, split_name)
    num_classes = label_key and builder.info.features[label_key].num_classes
    shown = f"tfds_images({builder.info.full_name!r}, {split_name!r})"
    caption_key = next((key for key in _CAPTIONS if key in builder.info.features), None)
    made = _TfdsImages if caption_key is None else functools.partial(_TfdsCaptions, caption_key)
    return made(data_source, image_key, label_key, num_classes, shown)


class _TfdsImages:
    def __init__(self, data_source, image_key, label_key, num_classes, shown):
        self._data_source = data_source
        self._image_key = image_key
        self._label_key = label_key
        self._shown = shown
        self.num_classes = num_classes

    def __len__(self):
        return len(self._data_source)

    def __getitem__(self, index):
        return self._example(index, self._data_source[index])

    def _example(self, index, example):
        what = f"image {index} of {self._shown}"
        image = decode_image(io.BytesIO(example[self._image_key]), what)
        if self._label_key is None:
            return {"image": image}
        return {"image": image, "label": np.int32(example[self._label_key])}

    def __repr__(self):
        return self._shown


class _TfdsCaptions(_TfdsImages):
    def __init__(self, caption_key, *fields):
        super().__init__(*fields)
        self._caption_key = caption_key

    def captions(self, index):
        return self._captions(index, self._data_source[index])

    def _example(self, index, example):
        return super()._example(index, example) | {"caption": self._captions(index, example)[0]}

    def _captions(self, index, example):
        texts = example[self._caption_key]
        # In COCO each caption comes with its own number.
        texts = texts["text"] if isinstance(texts, dict) else texts
        texts = np.ravel(np.asarray(texts, object))
        captions = tuple(str(text, "utf-8").strip() for text in texts)
        if not captions or not all(captions):
            kind = "an empty caption" if captions else "no caption"
            raise UserError(f"captions: image {index} of {self._shown} has {kind}, expected words")
        return captions


def _builder(tfds, name, data_dir):
    # Names of the community (with a namespace) would be looked up in the network.
    if re.fullmatch(r"\w+(/[\w.+-]+)*(:[\d.*]+)?", name):
        try:
            return _code_or_files(tfds, name, data_dir)
        except tfds.core.DatasetNotFoundError:
            pass
        except Exception as error:
            if _lacks_tensorflow(error):
                raise _unprepared(tfds, name, data_dir) from error
            raise UserError(
                f"dataset: TFDS cannot open {name!r} ({_one_line(error)}), expected a data set of "
                "TFDS with an existing config and version"
            ) from error
    known = tfds.list_builders(with_community_datasets=False)
    close = difflib.get_close_matches(re.split("[/:]", name)[0], known)
    hint = f" (close names: {', '.join(close)})" if close else ""
    raise UserError(
        f"dataset: got {name!r}, expected 'mnist', 'folder:PATH' or a data set of TFDS{hint}"
    )


def _code_or_files(tfds, name, data_dir):
    # On standard output TFDS tells, in seven lines, that there is no TensorFlow.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return tfds.builder(name, data_dir=data_dir)
        except ImportError as error:
            # The code of a few, COCO's among them, needs TensorFlow to say what they are; once they
            # are prepared their files say it. TFDS asks those first where a version is given.
            if not _lacks_tensorflow(error) or ":" in name:
                raise
            return tfds.builder(name, data_dir=data_dir, version="*.*.*")


def _lacks_tensorflow(error):
    while error is not None:
        if isinstance(error, ImportError) and error.name == "tensorflow":
            return True
        error = error.__cause__
    return False


def _unprepared(tfds, name, data_dir):
    where = os.fspath(tfds.core.constants.DATA_DIR if data_dir is None else data_dir)
    return UserError(
        f"dataset: {name!r} is not prepared in {where!r}, and TensorFlow, with which TFDS prepares "
        f"data sets, is not installed, expected: {_INSTALL}"
    )


def _feature_keys(tfds, name, features):
    top = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [
        key
        for key, feature in top.items()
        # Floating point images are depth maps, their bits packed into the channels of a PNG.
        if isinstance(feature, tfds.features.Image) and feature.np_dtype != np.float32
    ]
    labels = [key for key, feature in top.items() if isinstance(feature, tfds.features.ClassLabel)]
    if not images:
        raise UserError(
            f"dataset: {name!r} has the features {', '.join(top) or 'of no dict'}, expected an "
            "image among them"
        )
    return _preferred("image", images), _preferred("label", labels)


def _preferred(key, keys):
    return key if key in keys else next(iter(keys), None)


def _split_name(splits, split):
    # The splits are unknown under `tfds.testing.mock_data`, which takes every name.
    if not splits or split in splits:
        return split
    return "validation" if split == "test" and "validation" in splits else None


def _data_source(tfds, builder, name, split_name):
    # The encoded bytes suffice: they are decoded here by the same rules as the files of a folder.
    decoders = {
        key: tfds.decode.SkipDecoding()
        for key, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Image)
    }
    try:
        return builder.as_data_source(split=split_name, decoders=decoders)
    except NotImplementedError as error:
        first = "" if importlib.util.find_spec("tensorflow") else f", after {_INSTALL}"
        raise UserError(
            f"data_dir: {name!r} lies in {str(builder.data_dir)!r} as "
            f"{builder.info.file_format.value}, expected array_record or parquet (choose another "
            f"data_dir to prepare it anew{first})"
        ) from error


def _prepare(tfds, builder, name, data_dir):
    # TFDS could do without it for some, whose images come as files and are not too many to shuffle
    # in memory; which they are is only known after the download, so it is asked for before.
    try:
        _import_tensorflow_without_accelerators()
    except ModuleNotFoundError as error:
        if _lacks_tensorflow(error):
            raise _unprepared(tfds, name, data_dir) from error
        raise
    from tensorflow_datasets.core.download import downloader

    retries = getattr(downloader, "MAX_RETRIES", None)
    downloader.MAX_RETRIES = _DOWNLOAD_RETRIES
    try:
        # Standard output belongs to the program; the progress of a long download is for the user.
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(file_format=_FILE_FORMAT)
    except Exception as error:
        _remove_empty_folders(builder)
        where = "" if data_dir is None else f", data_dir={os.fspath(data_dir)!r}"
        raise UserError(
            f"dataset: {name!r} is not in {str(builder.data_dir)!r} and cannot be prepared here "
            f"({_one_line(error)}), expected it prepared, by: python -c "
            f'"import tensorflow_datasets as tfds; tfds.builder({name!r}{where})'
            f'.download_and_prepare(file_format={_FILE_FORMAT!r})"'
        ) from error
    finally:
        downloader.MAX_RETRIES = retries


def _import_tensorflow_without_accelerators():
    # TensorFlow's start-up lines are written by C++, which only listens to this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    # RuntimeError: it is in use already, and its devices are settled.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")


def _remove_empty_folders(builder):
    """Removes the folders that a preparation left when it failed, the empty ones only."""
    root = Path(builder.data_dir_root)
    downloads = root / "downloads"
    for top in (root / builder.name, downloads / builder.name, downloads / "extracted"):
        for folder, _, _ in os.walk(top, topdown=False):
            _remove_if_empty(folder)
    _remove_if_empty(downloads)
    _remove_if_empty(root)


def _remove_if_empty(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)


@contextlib.contextmanager
def _quiet():
    """Holds back the warnings and logs of TFDS and what it imports; they concern its makers."""
    verbosity = absl_logging.get_verbosity()
    urllib3 = logging.getLogger("urllib3")
    level = urllib3.level
    absl_logging.set_verbosity(absl_logging.ERROR)
    urllib3.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        absl_logging.set_verbosity(verbosity)
        urllib3.setLevel(level)


def _one_line(error, length=200):
    url = getattr(getattr(error, "request", None), "url", None)
    if url is not None:
        # An error of requests: its own text is a chain of the errors of three libraries.
        return f"{type(error).__name__} for {url}"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"
