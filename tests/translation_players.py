"""Players of the translation games: linear ones, computed by hand, and small published ones."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import networks

SHAPE = (8, 8, 3)
SHAPES = {"a": SHAPE, "b": SHAPE}
# Four networks and their gradients: compiled in half the time, and not slower at these sizes.
QUICKLY = {"xla_backend_optimization_level": "0"}


class Affine(nn.Module):
    """y = scale x + shift, in every pixel."""

    @nn.compact
    def __call__(self, images, train=False):
        scale = self.param("scale", nn.initializers.constant(0.8), ())
        return scale * images + self.param("shift", nn.initializers.constant(0.1), ())


class Pixels(nn.Module):
    """A logit for each pixel: weight times its mean over the channels."""

    @nn.compact
    def __call__(self, images, train=False):
        return self.param("weight", nn.initializers.ones, ()) * images.mean(-1)


class Features(nn.Module):
    """A logit for each image, and two layers before it: weight x and (weight x)^2."""

    @nn.compact
    def __call__(self, images, train=False):
        first = self.param("weight", nn.initializers.ones, ()) * images
        return first.mean((1, 2, 3)), (first, jnp.square(first).mean((1, 2)))


def linear(discriminator):
    affine = Affine()
    return {"ab": affine, "ba": affine}, {"a": discriminator, "b": discriminator}


def published(name):
    """As published but for their sizes."""
    if name == "cyclegan":
        generator = networks.ResNetGenerator(3, width=2, blocks=1)
        discriminator = networks.PatchDiscriminator((2, 3))
    else:
        generator = networks.DiscoGANGenerator(3, (2, 3))
        discriminator = networks.DiscoGANDiscriminator((2, 3))
    return {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}


def numbers(gen, disc):
    """({"ab": (scale, shift), "ba": ...}, {"a": weight, "b": weight}) as Flax variables."""
    gen = {k: {"scale": jnp.float32(s), "shift": jnp.float32(t)} for k, (s, t) in gen.items()}
    disc = {k: {"weight": jnp.float32(w)} for k, w in disc.items()}
    return {"params": gen}, {"params": disc}


def batch(size=4, seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    return {k: rng.uniform(-1, 1, (size, *shape)).astype(np.float32) for k in ("a", "b")}


def as_bytes(tree):
    """Every leaf of a state, for exact comparison."""

    def leaf(x):
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return np.asarray(x).tobytes()

    return [leaf(x) for x in jax.tree.leaves(tree)]


def moved_parameters(before, after):
    """{"generator": [whether each parameter is another one after a step], "discriminator": ...}."""
    sides = ("generator", "discriminator")
    pairs = [[getattr(state, side).params for state in (before, after)] for side in sides]
    return {
        side: [bool(a != b) for a, b in zip(*map(jax.tree.leaves, pair), strict=True)]
        for side, pair in zip(sides, pairs, strict=True)
    }
