"""Players of the translation games: linear ones, computed by hand."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

SHAPE = (8, 8, 3)
SHAPES = {"a": SHAPE, "b": SHAPE}


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


def numbers(gen, disc):
    """({"ab": (scale, shift), "ba": ...}, {"a": weight, "b": weight}) as Flax variables."""
    gen = {k: {"scale": jnp.float32(s), "shift": jnp.float32(t)} for k, (s, t) in gen.items()}
    disc = {k: {"weight": jnp.float32(w)} for k, w in disc.items()}
    return {"params": gen}, {"params": disc}


def batch(size=4, seed=0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    return {k: rng.uniform(-1, 1, (size, *shape)).astype(np.float32) for k in ("a", "b")}
