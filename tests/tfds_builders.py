"""Tiny data sets of TFDS, which knows them by their classes as soon as this is imported.

That takes some seconds, for TensorFlow; so a test does it, and not each process that collects.
"""

import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow_datasets as tfds


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict(self.features())
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(n) for split, n in self.lengths.items()}


class JaxganTinyColours(_Builder):
    """Example i of a split is an image of the value 10 i, of class i % 3."""

    lengths = {"train": 12, "validation": 4}  # noqa: RUF012

    def features(self):
        return {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(num_classes=3),
            "depth": tfds.features.Image(shape=(2, 2, 1), dtype=np.float32),
        }

    def _generate_examples(self, length):
        for i in range(length):
            yield (
                i,
                {
                    "id": str(i),
                    "image": np.full((8, 6 + i, 3), 10 * i, np.uint8),
                    "label": i % 3,
                    "depth": np.zeros((2, 2, 1), np.float32),
                },
            )


class JaxganTinyDomains(JaxganTinyColours):
    """As cycle_gan has them."""

    lengths = {"trainA": 5, "trainB": 3, "testA": 2, "testB": 1}  # noqa: RUF012


class JaxganTinyGlass(_Builder):
    """Transparent pictures without a class, in a feature of another name, and no second split."""

    lengths = {"train": 2}  # noqa: RUF012

    def features(self):
        return {"picture": tfds.features.Image(shape=(4, 4, 4))}

    def _generate_examples(self, length):
        for i in range(length):
            yield i, {"picture": np.zeros((4, 4, 4), np.uint8)}


class JaxganTinyText(_Builder):
    lengths = {"train": 1}  # noqa: RUF012

    def features(self):
        return {"text": tfds.features.Text()}

    def _generate_examples(self, length):
        yield 0, {"text": "no image"}


class JaxganTinyCaptions(_Builder):
    """As COCO has them, each with a number of its own; image i has i + 1."""

    lengths = {"train": 2}  # noqa: RUF012
    texts = ("a bird", "Ein Vogel, grün")

    def features(self):
        caption = {"id": np.int64, "text": tfds.features.Text()}
        return {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "captions": tfds.features.Sequence(caption),
        }

    def _generate_examples(self, length):
        for i in range(length):
            captions = [{"id": k, "text": text} for k, text in enumerate(self.texts[: i + 1])]
            yield i, {"image": np.full((4, 4, 3), i, np.uint8), "captions": captions}


class JaxganTinySilent(JaxganTinyCaptions):
    texts = ()


class JaxganTinyBlank(JaxganTinyCaptions):
    texts = (" ",)


class JaxganTinyCaption(_Builder):
    lengths = {"train": 1}  # noqa: RUF012

    def features(self):
        return {"image": tfds.features.Image(), "caption": tfds.features.Text()}

    def _generate_examples(self, length):
        yield 0, {"image": np.zeros((4, 4, 3), np.uint8), "caption": "Ein Vogel, grün"}


class JaxganTinyFailing(JaxganTinyGlass):
    def _split_generators(self, dl_manager):
        raise OSError("no\nnetwork")


def coco_examples(number):
    box = tfds.features.BBox(ymin=0.0, xmin=0.0, ymax=1.0, xmax=1.0)
    thing = {"area": 1, "bbox": box, "id": 0, "is_crowd": False, "label": 0}
    texts = ("a bird", "two birds")
    for i in range(number):
        yield (
            i,
            {
                "image": np.zeros((4, 4, 3), np.uint8),
                "image/filename": f"{i}.png",
                "image/id": i,
                "captions": [{"id": k, "text": text} for k, text in enumerate(texts)],
                "objects": [thing],
            },
        )
