"""Every method once, by networks that are tiny and show each way in which examples can be coupled.

The optimiser is plain gradient descent: Adam would hide a gradient that is some times too large.
Its rate is in the state, so that the same program holds a player still.

A method of yours is one row more of `CASES`: a function from an axis name to the `Method`, made of
`Painter` and `Judge`. `methods/test_every_method.py` then runs it through what all methods promise.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgan import augment, losses, make_train_step, penalties
from jaxgan.methods import (
    Method,
    acgan,
    adversarial,
    cyclegan,
    discogan,
    dmd2,
    infogan,
    pix2pix,
    sgan,
    stackgan_stage_one,
    stackgan_stage_two,
)
from jaxgan.networks.layers import BatchNorm, LeakyReLU

SHAPE = (4, 4, 2)
DIM, K, E = 3, 3, 5
RATE = 0.1
KEY, TX = jax.random.key(0), optax.inject_hyperparams(optax.sgd)(learning_rate=RATE)


class Painter(nn.Module):
    """Images of latents and of what else there is: classes, captions, other images."""

    axis_name: str | None = None
    latent_dim: int = DIM
    condition_dim: int = 2
    value_range = (-1.0, 1.0)
    channels = SHAPE[-1]

    def setup(self):
        self.gaussian = nn.Dense(2 * self.condition_dim)

    def condition(self, embeddings):
        return jnp.split(self.gaussian(embeddings), 2, axis=-1)

    @nn.compact
    def __call__(self, *inputs, train=False):
        count_passes(self, train)
        x = jnp.concatenate([vectors(x) for x in inputs], axis=1)
        if inputs[-1].shape[1:] == (E,):
            x = jnp.concatenate([x, *self.condition(inputs[-1])], axis=1)
        x = nn.relu(BatchNorm(train, self.axis_name)(nn.Dense(8)(x)))
        return jnp.tanh(nn.Dense(32)(x)).reshape(-1, *SHAPE)


class Judge(nn.Module):
    """As many logits an image as `outputs` say, after two layers; no two passes judge alike."""

    outputs: tuple[int, ...] = (1,)
    features: bool = False

    @nn.compact
    def __call__(self, images, others=None, train=False):
        passes = count_passes(self, train)
        x = nn.Dense(6)(vectors(images))
        if others is not None:
            y = nn.Dense(6)(vectors(others) if others.ndim < 3 else others)
            x = jnp.broadcast_to(x, y.shape) + y
        first = LeakyReLU(0.2)((1 + 0.1 * passes) * x)
        second = LeakyReLU(0.2)(nn.Dense(6)(first))
        logits = [nn.Dense(n)(second) if n > 1 else nn.Dense(1)(second)[..., 0]
                  for n in self.outputs]  # fmt: skip
        logits = logits[0] if len(logits) == 1 else tuple(logits)
        return (logits, (first, second)) if self.features else logits


def count_passes(module, train):
    """How often the module was applied in training, this time included."""
    passes = module.variable("passes", "count", jnp.zeros, ())
    if train:
        passes.value += 1
    return passes.value


def vectors(x):
    """(B, ...) floats, or (B,) classes -> (B, N)."""
    return jax.nn.one_hot(x, K) if x.ndim == 1 else x.reshape(len(x), -1)


class Case(NamedTuple):
    """A method for an axis name, and what the step is told besides."""

    method: Callable[[str | None], Method]
    options: Mapping = MappingProxyType({})
    labels: np.ndarray = np.arange(32) % K


def plain(
    view=None, penalty=None, loss=losses.non_saturating, classes=None, packs=1, logits=1, **step
):
    """The plain game; `view` and `penalty` are made for an axis name."""

    def method(axis_name):
        return adversarial(
            Painter(axis_name), Judge((logits,)), latent_dim=DIM, loss=loss, num_classes=classes,
            view=view and view(axis_name), packing=packs,
            penalty=penalty and penalty(axis_name), penalty_interval=2, axis_name=axis_name,
        )  # fmt: skip

    return Case(method, step)


def augmented(axis_name):
    def view(images, key, step):
        policy = (augment.translation,)  # for the others there is tests/test_augment.py
        images = augment.diff_augment(images, key, policy, axis_name=axis_name)
        noise = 0.1 / (1 + step)
        return augment.instance_noise(images, key, noise, axis_name=axis_name)

    return view


def slopes(axis_name):
    return lambda *inputs: penalties.r1(*inputs) + penalties.r2(*inputs)


def drawn_slopes(axis_name):
    drawing = penalties.gradient_penalty, penalties.dragan
    return lambda *inputs: sum(penalty(*inputs, axis_name=axis_name) for penalty in drawing)


def with_classes():
    options = {"latent_dim": DIM, "num_classes": K, "loss": losses.hinge}
    return Case(
        lambda axis_name: acgan(
            Painter(axis_name), Judge((1, K)), axis_name=axis_name, **options
        )
    )  # fmt: skip


def with_codes():
    options = {"latent_dim": DIM, "num_codes": 2, "num_classes": K, "loss": losses.hinge}
    return Case(
        lambda axis_name: infogan(
            Painter(axis_name), Judge((1, K + 2)), axis_name=axis_name, **options
        )
    )  # fmt: skip


def few_labels(**options):
    """The first device has two labels, the second none, the third one, the last eight."""
    options = {"latent_dim": DIM, "num_classes": K, **options}
    labels = np.full(32, -1)
    labels[[1, 3, 20]] = 0, 2, 1
    labels[24:] = np.arange(8) % K
    return Case(
        lambda axis_name: sgan(Painter(axis_name), Judge((K,)), axis_name=axis_name, **options),
        labels=labels,
    )


def translation(method, features=False, **step):
    def players(axis_name=None):
        painter, judge = Painter(axis_name), Judge(features=features)
        return {"ab": painter, "ba": painter}, {"a": judge, "b": judge}

    return Case(lambda axis_name: method(*players(axis_name), axis_name=axis_name), step)


def stage_one():
    return Case(
        lambda axis_name: stackgan_stage_one(Painter(axis_name), Judge(), axis_name=axis_name)
    )


def stage_two():
    """With the term that is not the paper's."""

    def encode(extra, images):
        return images.reshape(len(images), -1)[:, :E]

    def method(axis_name):
        first = stage_one().method(None).init(KEY, shapes(), TX, TX).generator.variables
        return stackgan_stage_two(
            Painter(), Painter(axis_name), Judge(), encode=encode, matching_weight=2.0,
            stage_one_variables=first, axis_name=axis_name,
        )  # fmt: skip

    return Case(method)


def pairs():
    return Case(
        lambda axis_name: pix2pix(
            Painter(axis_name), Judge(), channels=SHAPE[-1], axis_name=axis_name
        )
    )


class Velocity(nn.Module):
    """What `Painter` and `VelocityJudge` have of their teacher: the last layer of the former."""

    @nn.compact
    def __call__(self, x, t, train=False):
        h = vectors(x)[:, :8] + t[:, None]
        return nn.Dense(32, name="Dense_1")(h).reshape(-1, *SHAPE)


class VelocityJudge(nn.Module):
    """Velocities, and a logit that depends on the number of the pass."""

    @nn.compact
    def __call__(self, x, t, train=False):
        passes = count_passes(self, train)
        h = nn.tanh((1 + 0.1 * passes) * nn.Dense(8)(vectors(x)) + t[:, None])
        return nn.Dense(32, name="Dense_1")(h).reshape(-1, *SHAPE), nn.Dense(1, name="logit")(h)[
            :, 0
        ]


def distilled(**step):
    def method(axis_name):
        shown = (
            jax.ShapeDtypeStruct((1, *SHAPE), jnp.float32),
            jax.ShapeDtypeStruct((1,), jnp.float32),
        )
        variables = jax.eval_shape(Velocity().init, KEY, *shown)
        return dmd2(
            Painter(axis_name), VelocityJudge(), Velocity(), latent_dim=DIM, gan_weight=0.5,
            teacher_variables=jax.tree.map(lambda x: jnp.ones(x.shape), variables),
            axis_name=axis_name,
        )  # fmt: skip

    return Case(method, step)


CASES = {
    "classes_relativistic_r1_r2": plain(
        None, slopes, losses.relativistic, classes=K, ema_decay=0.9, fresh_fakes=True
    ),
    "view": plain(augmented, packs=2),
    "several_logits": plain(loss=losses.hinge, logits=3),
    "drawn_penalties": plain(None, drawn_slopes, losses.wasserstein),
    "acgan": with_classes(),
    "infogan": with_codes(),
    "sgan": few_labels(),
    "sgan_conditional_consistent": few_labels(
        feature_matching=False, conditional=True, consistency=2.0
    ),
    "cyclegan": translation(cyclegan, disc_steps=2),
    "discogan": translation(discogan, True),
    "pix2pix": pairs(),
    "stackgan_one": stage_one(),
    "stackgan_two": stage_two(),
    "dmd2": distilled(disc_steps=2, ema_decay=0.9),
}


ENTRIES = {"image": SHAPE, "a": SHAPE, "b": SHAPE, "embedding": (E,)}


def shapes(size=32):
    """What a batch looks like."""
    floats = {k: jax.ShapeDtypeStruct((size, *s), jnp.float32) for k, s in ENTRIES.items()}
    return {**floats, "label": jax.ShapeDtypeStruct((size,), jnp.int32)}


def first_state(name):
    """The state at step 0."""
    case = CASES[name]
    return case.method(None).init(KEY, shapes(), TX, TX, ema="ema_decay" in case.options)


def batch(name, size=32, seed=0):
    rng = np.random.default_rng(seed)
    drawn = {k: rng.uniform(-1, 1, (size, *shape)) for k, shape in ENTRIES.items()}
    floats = {k: x.astype(np.float32) for k, x in drawn.items()}
    return {**floats, "label": np.resize(CASES[name].labels, size).astype(np.int32)}


def start(name):
    """A state with weights that nothing is compiled for."""
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        if not jax.dtypes.issubdtype(leaf.dtype, jnp.floating):
            return KEY if leaf.dtype == KEY.dtype else np.zeros(leaf.shape, leaf.dtype)
        if path[-1] == jax.tree_util.DictKey("learning_rate"):
            return np.float32(RATE)
        scale = 0.1 if leaf.ndim < 2 else 1 / np.sqrt(np.prod(leaf.shape[:-1]))
        values = scale * rng.standard_normal(leaf.shape)
        around_one = path[-1] in map(jax.tree_util.DictKey, ("scale", "var"))
        return (values + around_one).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(fill, jax.eval_shape(lambda: first_state(name)))


def step(name, axis_name=None, share=lambda method: method):
    """(state, batch) -> (state, metrics); `share` makes of the method what the step is made of."""
    case = CASES[name]
    objective = share(case.method(axis_name))
    return make_train_step(objective, TX, TX, axis_name=axis_name, **case.options)
