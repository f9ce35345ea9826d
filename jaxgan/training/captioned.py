"""Images with captions for `stackgan.py`: batches of both, and the encoder of the captions.

An encoder of captions and one of images are trained until captions find their images, and then
frozen; WORKDIR/encoders.msgpack keeps both. With `config.embeddings` there are none.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import serialization
from jax.experimental import multihost_utils
from ml_collections import config_dict

from jaxgan import cpu, data, networks
from jaxgan.errors import UserError
from jaxgan.methods import init_matching, make_matching_step
from jaxgan.training import short_training
from jaxgan.training.sources import fits_on_device
from jaxgan.training.state_file import read_state, write_state

MOST_CAPTIONS = 10
"""How many captions of an image are used, where it has more."""
KEPT = 640
"""How many embeddings checkpoints keep, for the batch statistics of averaged parameters."""


UNSEEN = {"test": "unseen", "validation": "unseen_validation"}
"""Of the scenes, what a run is evaluated on: combinations that its training never had."""


class Captions(NamedTuple):
    """The captions of the training images.

    Attributes:
      rows: (N, K, ...), words by their numbers, or embeddings; image i is given any of the K.
      meaning: int32 (N,), equal where the captions of an image are true of the other, too.
      embed: (extra, rows (B, ...)) -> (B, E), to be compiled; with embeddings they are these.
      encode: captions -> rows (B, ...), None where embeddings were given.
      encode_image: (extra, images (B, H, W, C)) -> (B, E), to be compiled; None likewise.
      extra: of the state: {"embeddings"}, and {"text", "image_encoder"}, parameters of the one
        encoder and variables of the other.
      description: JSON for the checkpoints.
    """

    rows: np.ndarray
    meaning: np.ndarray
    embed: Callable
    encode: Callable | None
    encode_image: Callable | None
    extra: dict[str, Any]
    description: dict[str, Any]


def load(dataset: str, split: str, data_dir: str | None, on_bad_image: str):
    """A split as `data.load_captioned` gives it, of the scenes that of unseen combinations."""
    split = UNSEEN.get(split, split) if dataset == "scenes" else split
    return data.load_captioned(dataset, split, data_dir, on_bad_image)


def given(rows: np.ndarray) -> Captions:
    """Of embeddings (N, K, E) in place of captions."""
    extra = {"embeddings": jnp.asarray(_some(rows))}
    without = {"vocabulary": None, "text_encoder": None}
    meaning = np.arange(len(rows), dtype=np.int32)
    return Captions(rows, meaning, lambda extra, rows: rows, None, None, extra, without)


def prepare(config: config_dict.ConfigDict, source, workdir: Path) -> Captions:
    """Reads the captions of a source and trains the encoders, if there are none yet."""
    captions = [source.captions(number)[:MOST_CAPTIONS] for number in range(len(source))]
    vocabulary = data.Vocabulary.of(caption for of_image in captions for caption in of_image)
    # Where an image has fewer captions than another, they come again.
    most = max(map(len, captions))
    captions = [of_image[i % len(of_image)] for of_image in captions for i in range(most)]

    def encode(texts):
        return np.stack([vocabulary.encode(text) for text in texts])

    rows = encode(captions).reshape(len(source), most, vocabulary.length)
    meaning = read_meaning(source)
    encoder = networks.TextEncoder(vocabulary.size, config.embedding_dim)
    size = config.stage_one_size
    widths = networks.ImageEncoder.widths[: max(1, size.bit_length() - 3)]
    images = networks.ImageEncoder(config.embedding_dim, widths)
    words = {"words": list(vocabulary.words), "length": vocabulary.length}
    described = {"vocabulary": words, "text_encoder": networks.describe(encoder)}
    both = {**described, "image_encoder": networks.describe(images), "image_size": size}
    file = workdir / "encoders.msgpack"
    saved = _read_encoders(file)
    if saved is None:
        unfinished = workdir / "encoders_unfinished.msgpack"
        about = {**both, "config": config.to_dict()}
        extra = train_encoders(config, encoder, images, source, rows, meaning, unfinished, about)
        if jax.process_index() == 0:
            write_state(file, extra, both)
            unfinished.unlink(missing_ok=True)
    elif saved[1] != both:
        raise UserError(
            f"captions: {file} was trained for other captions, another embedding_dim or "
            "stage_one_size, expected another folder"
        )
    else:
        extra = saved[0]
    if jax.process_count() > 1:
        # All have trained the same, but for rounding where their machines differ.
        extra = multihost_utils.broadcast_one_to_all(extra)

    def embed(extra, rows):
        return encoder.apply({"params": extra["text"]}, rows)

    def encode_image(extra, shown):
        small = jax.image.resize(shown, (len(shown), size, size, config.channels), "linear")
        return images.apply(extra["image_encoder"], small)[0]

    extra["embeddings"] = jax.jit(embed)(extra, _some(rows))
    return Captions(rows, meaning, embed, encode, encode_image, extra, described)


def _read_encoders(file: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The encoders that are kept, and what they are of; None where they are to be trained."""
    before = file.with_suffix(".json")
    if before.exists():  # of before there were digests
        extra = serialization.msgpack_restore(file.read_bytes())
        about = json.loads(before.read_text())
    else:
        saved = read_state(file)
        if saved is None:
            return None
        extra, about = saved
    # An encoder may have been described when networks had other fields.
    encoders = {name: about[name] for name in ("text_encoder", "image_encoder") if name in about}
    now = {name: networks.from_description(encoder) for name, encoder in encoders.items()}
    return extra, {**about, **{name: networks.describe(encoder) for name, encoder in now.items()}}


def read_meaning(source) -> np.ndarray:
    """int32 (N,): what the captions of each image say, where the source tells, else which image."""
    if not hasattr(source, "meaning"):
        return np.arange(len(source), dtype=np.int32)
    meanings = [source.meaning(number) for number in range(len(source))]
    return np.unique(meanings, return_inverse=True)[1].astype(np.int32)


def read_array(name: str, path: str) -> np.ndarray:
    """Floats out of a .npy file; `name` is the field that gives its path."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise UserError(f"{name}: cannot read {path!r}, expected a .npy file of floats")
    return array


def read_embeddings(path: str, count: int) -> np.ndarray:
    """The user's own embeddings, (count, K, E) float32."""
    array = read_array("embeddings", path)
    if array.ndim not in (2, 3) or len(array) != count or not array.size:
        raise UserError(
            f"embeddings: got {array.dtype} of shape {array.shape}, expected floats ({count}, E) "
            "or (number of images, captions of each, E)"
        )
    return np.asarray(array.reshape(count, -1, array.shape[-1]), np.float32)


def train_encoders(
    config: config_dict.ConfigDict,
    encoder,
    images,
    source,
    rows: np.ndarray,
    meaning: np.ndarray,
    file: Path,
    about: dict[str, Any],
):
    """Trains an encoder of captions and one of images until captions find their images.

    Args:
      config: of the experiment.
      encoder, images: the modules.
      source, rows, meaning: what they are trained on.
      file, about: as for `short_training.train`.

    Returns:
      {"text": parameters of the one, "image_encoder": variables of the other}.
    """
    steps, batch_size = config.matching_steps, config.matching_batch_size
    size = config.stage_one_size
    tx = optax.adam(optax.warmup_cosine_decay_schedule(0.0, 2e-3, min(50, steps // 2), steps))
    init_key, draw_key = jax.random.split(jax.random.key(config.seed))
    shape = (size, size, config.channels)
    player = init_matching(init_key, encoder, images, tx, length=rows.shape[-1], image_shape=shape)
    learn = make_matching_step(encoder, images, tx)
    # Each process trains on all of each batch.
    alone = {"process_index": 0, "process_count": 1}
    arrays, batches, take = image_batches(config, source, size, batch_size, **alone)
    arrays = jax.device_put({"images": arrays, "tokens": rows, "meaning": meaning})

    def step(player, arrays, batch, number):
        shown, numbers = take(arrays["images"], batch)
        key = jax.random.fold_in(draw_key, number)
        chosen = jax.random.randint(key, numbers.shape, 0, rows.shape[1])
        tokens, meaning = arrays["tokens"][numbers, chosen], arrays["meaning"][numbers]
        return learn(player, {"image": shown, "tokens": tokens, "meaning": meaning})

    step = jax.jit(step, donate_argnums=0, compiler_options=cpu.compiler_options())

    def tell(progress, number, player, metrics):
        found = {name: float(metrics[name]) for name in ("text_to_image", "image_to_text")}
        progress.say(
            f"captions and images, step {number}/{steps}, {progress.rate(number):.0f} images/s:"
            f" captions find {found['text_to_image']:.0%} of {batch_size} images, images "
            f"{found['image_to_text']:.0%} of their captions",
            live=number < steps,
        )

    player = short_training.train(
        lambda player, batch, number: step(player, arrays, batch, number),
        player,
        batches,
        steps,
        file=file,
        about=about,
        every=100,
        tell=tell,
        images_per_step=batch_size,
    )
    player = jax.device_get(player)
    found = {"params": player.params["image"], **player.model_state}
    return {"text": player.params["text"], "image_encoder": found}


def image_batches(
    config: config_dict.ConfigDict, source, image_size: int, batch_size: int, **process
):
    """The images of a source at a size, and their numbers.

    Args:
      config: of the experiment.
      source: of images.
      image_size, batch_size: of the batches.
      **process: process_index and process_count, as for `data.train_iterator`.

    Returns:
      (arrays or None, batches, take): take(arrays, batch) -> (float32 (B, H, W, C) in [-1, 1],
      int32 (B,)), to be compiled.
    """
    order = {"batch_size": batch_size, "seed": config.seed, **process}
    if fits_on_device(config, len(source), image_size):
        arrays = {"image": _read_images(source, image_size, config.channels)}
        batches = data.index_iterator(len(source), **order)

        def take(arrays, batch):
            return data.take_batch(arrays, batch["index"])["image"], batch["index"]

        return arrays, batches, take
    look = {"image_size": image_size, "channels": config.channels}
    batches = data.train_iterator(_Numbered(source), **order, **look)
    return None, batches, lambda arrays, batch: (batch["image"], batch["label"])


# The encoders and Stage I have the same images, which take longer to draw than to keep.
@functools.lru_cache(maxsize=1)
def _read_images(source, image_size: int, channels: int) -> np.ndarray:
    return data.load_arrays(source, image_size=image_size, channels=channels)["image"]


class _Numbered:
    """A source whose labels are the numbers of its examples."""

    num_classes = None

    def __init__(self, source):
        self._source = source

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        return {"image": self._source[index]["image"], "label": np.int32(index)}


def _some(rows: np.ndarray) -> np.ndarray:
    """As many of all captions (N, K, ...) as checkpoints keep."""
    rows = rows.reshape(-1, rows.shape[-1])
    return rows[np.linspace(0, len(rows) - 1, KEPT).astype(int)]
