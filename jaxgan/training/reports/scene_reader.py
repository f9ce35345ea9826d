"""A classifier of scenes: what stands at each place, and on what ground.

It is trained on real scenes, and reads the images that `stackgan.py` makes of captions.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import cpu, data
from jaxgan.data.captions import COLOURS, DIGITS, GROUNDS, PLACES, SIZES
from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU
from jaxgan.state import create_player, init_variables, update_player

STEPS, BATCH = 2_000, 100
HEADS = {"digit": len(DIGITS), "colour": len(COLOURS), "size": len(SIZES)}


class SceneReader(nn.Module):
    """Images (B, 64, 64, 3) in [0, 1] -> logits of all that a scene may hold, and features."""

    @nn.compact
    def __call__(self, images, train=False):
        """Returns {"there": (B, P), "digit": (B, P, 10), ..., "ground": (B, 5)}, (B, 256)."""
        # Accelerators would else round to bfloat16 or TF32, which shows in what is read.
        with jax.default_matmul_precision("highest"):
            return self._read(images, train)

    def _read(self, images, train):
        x = 2 * images - 1
        for width in (32, 64, 128, 128):
            x = Conv(width, (4, 4), 2, use_bias=False)(x)
            x = LeakyReLU(0.2)(BatchNorm(train)(x))
        x = nn.Dense(256, use_bias=False)(x.reshape(len(x), -1))
        features = nn.relu(BatchNorm(train)(x))
        logits = {
            name: nn.Dense(len(PLACES) * count)(features).reshape(-1, len(PLACES), count)
            for name, count in HEADS.items()
        }
        logits["there"] = nn.Dense(len(PLACES))(features)
        logits["ground"] = nn.Dense(len(GROUNDS))(features)
        return logits, features


class Contents(NamedTuple):
    """What scenes hold, by place.

    Attributes:
      there: (N, P) bool.
      digit, colour, size: (N, P) int32; they mean nothing where nothing is there.
      ground: (N,) int32.
    """

    there: np.ndarray
    digit: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    ground: np.ndarray


def contents_of(examples: list[dict]) -> Contents:
    """The contents of scenes, as `data.scenes` gives them."""
    count = len(examples)
    there = np.zeros((count, len(PLACES)), bool)
    named = {name: np.zeros((count, len(PLACES)), np.int32) for name in HEADS}
    for row, example in enumerate(examples):
        for thing, place in enumerate(example["place"]):
            if place >= 0:
                there[row, place] = True
                for name in HEADS:
                    named[name][row, place] = example[name][thing]
    return Contents(there, **named, ground=np.array([e["ground"] for e in examples], np.int32))


def shares_right(said: Contents, read: Contents) -> dict[str, float]:
    """How often what is said is read: each of it, for all digits of a scene, and all at once.

    Digits, colours and sizes are right where a digit is read at the place. "place" is right where
    digits are read at all the places that are named and at no others.
    """
    right = {
        name: np.all(
            ((getattr(said, name) == getattr(read, name)) & read.there) | ~said.there, axis=1
        )
        for name in HEADS
    }
    right["place"] = np.all(said.there == read.there, axis=1)
    right["ground"] = said.ground == read.ground
    right["all"] = np.all(list(right.values()), axis=0)
    return {name: float(np.mean(rows)) for name, rows in right.items()}


def train_reader(seed: int = 0):
    """Trains the classifier, on scenes of all combinations.

    One that never saw what captions of the report name would take it for something else.

    Returns:
      images (B, 64, 64, 3) in [0, 1] -> (`Contents`, features (B, 256)), on the host.
    """
    module, tx = SceneReader(), optax.adam(optax.cosine_decay_schedule(2e-3, STEPS))
    source = data.scenes("all")
    examples = [source[number] for number in range(len(source))]
    images = np.stack([example["image"] for example in examples])
    arrays = jax.device_put((images, contents_of(examples)))
    variables = init_variables(module, jax.random.key(seed), jnp.zeros((1, 64, 64, 3)))
    player = create_player(variables, tx)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=cpu.compiler_options())
    def step(player, arrays, index):
        images, said = jax.tree.map(lambda array: array[index], arrays)

        def loss(params):
            (logits, _), model_state = module.apply(
                {**player.variables, "params": params},
                images / 255,
                train=True,
                mutable="batch_stats",
            )
            entropy = optax.softmax_cross_entropy_with_integer_labels
            there = optax.sigmoid_binary_cross_entropy(logits["there"], said.there)
            total = jnp.mean(entropy(logits["ground"], said.ground)) + jnp.mean(there)
            for name in HEADS:
                total += jnp.mean(entropy(logits[name], getattr(said, name)) * said.there)
            return total, model_state

        grads, model_state = jax.grad(loss, has_aux=True)(player.params)
        return update_player(player, grads, dict(model_state), tx)

    batches = data.index_iterator(len(source), batch_size=BATCH, seed=seed)
    for _ in range(STEPS):
        player = step(player, arrays, next(batches)["index"])
    apply = jax.jit(module.apply)

    def read(images):
        logits, features = jax.device_get(apply(player.variables, jnp.asarray(images)))
        named = {name: np.argmax(logits[name], axis=-1) for name in HEADS}
        ground = np.argmax(logits["ground"], axis=-1)
        return Contents(logits["there"] > 0, **named, ground=ground), features

    return read
