"""Data sets and the batches made of them.

A data set is a Grain random access source: `len(source)`, `source[i]` -> {"image": uint8 (H, W, C)
with C 1 or 3, "label": int32 scalar, only where there are classes}, and `source.num_classes` (None
without). `mnist`, `stacked_mnist`, `emoji`, `folder` and `tfds_images` make sources, `load` picks
one of them by name, and anything of that shape will do in their place; `without_bad_images` gives a
source without those of its images that cannot be read. `train_iterator` makes of a source the
endless shuffled stream of prepared batches whose position can be saved, `eval_batches` one pass in
a fixed order, `prepare_image` is what both do to each image, `read_images` and `spread_images` give
some of them to look at. Where a whole data set fits on the device, `load_arrays`, `index_iterator`
and `take_batch` draw the same batches there. `balanced_subset` draws the examples of a semi-
supervised game that keep their labels.

A source has the splits "train" and "test". Settings are chosen on two parts of "train":
"train_part", to train on, and "validation", to evaluate on; see `splits`.

For translation between two domains there are two sources, from `load_domains`, and
`domain_iterator`, or `domain_index_iterator` and `take_domains`, which shuffle each by itself, or
with `paired=True` both alike; `load_pairs` has sources for that. `digit_domains` and both drawings
of `emoji` come with the package, and of both the right answer is known.

Sources with captions, from `load_captioned`, which are `scenes`, `captioned_folder` and those of
`tfds_images` that have any, give a "caption" besides and have `source.captions(i)`, all captions of
example i; a `Vocabulary` makes rows of numbers of them.
"""

from jaxgan.data.bad_images import without_bad_images
from jaxgan.data.captioned_folder import captioned_folder
from jaxgan.data.digit_domains import digit_domains, recolour
from jaxgan.data.domains import domain_index_iterator, domain_iterator, take_domains
from jaxgan.data.emoji import emoji
from jaxgan.data.folder import folder
from jaxgan.data.load import licence, load, load_captioned, load_domains, load_pairs
from jaxgan.data.mirrored import mirrored
from jaxgan.data.mnist import mnist
from jaxgan.data.order import index_batches
from jaxgan.data.pipeline import (
    eval_batches,
    prepare_image,
    read_images,
    spread_images,
    train_iterator,
)
from jaxgan.data.resident import index_iterator, load_arrays, take_batch
from jaxgan.data.scenes import scenes
from jaxgan.data.splits import TRAIN_ON
from jaxgan.data.stacked_mnist import stacked_mnist
from jaxgan.data.subset import balanced_subset
from jaxgan.data.survey import Look, survey
from jaxgan.data.tfds_images import tfds_domains, tfds_images
from jaxgan.data.vocabulary import Vocabulary

__all__ = [
    "TRAIN_ON",
    "Look",
    "Vocabulary",
    "balanced_subset",
    "captioned_folder",
    "digit_domains",
    "domain_index_iterator",
    "domain_iterator",
    "emoji",
    "eval_batches",
    "folder",
    "index_batches",
    "index_iterator",
    "licence",
    "load",
    "load_arrays",
    "load_captioned",
    "load_domains",
    "load_pairs",
    "mirrored",
    "mnist",
    "prepare_image",
    "read_images",
    "recolour",
    "scenes",
    "spread_images",
    "stacked_mnist",
    "survey",
    "take_batch",
    "take_domains",
    "tfds_domains",
    "tfds_images",
    "train_iterator",
    "without_bad_images",
]
