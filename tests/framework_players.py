"""One small DCGAN in Linen, NNX, Equinox and plain functions, which are the reference.

The generator has batch norm, the discriminator spectral norm and dropout, each as its framework has
them. `LAYOUTS` says where the reference's arrays are in each, and how they lie there.
"""

from typing import NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jax import lax

from jaxgan import from_equinox, from_functions, from_nnx

LATENT_DIM, WIDTH, KEEP = 3, 4, 0.7
MOMENTUM, SLOPE = 0.9, 0.2


# Linen


class LinenGenerator(nn.Module):
    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, latents, train=False):
        x = nn.Dense(16 * WIDTH, name="dense")(latents).reshape(-1, 4, 4, WIDTH)
        norm = nn.BatchNorm(
            not train, momentum=MOMENTUM, use_fast_variance=False, name="norm"
        )  # the fast variance rounds otherwise
        return nn.tanh(nn.ConvTranspose(1, (4, 4), (2, 2), name="up")(nn.relu(norm(x))))


class LinenDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        conv = nn.Conv(WIDTH, (4, 4), (2, 2), name="conv")
        x = nn.SpectralNorm(conv, name="conv_norm")(images, update_stats=train)
        x = nn.leaky_relu(x, SLOPE)
        x = nn.Dropout(1 - KEEP, deterministic=not train, name="drop")(x)
        x = x.reshape(len(x), -1)
        dense = nn.Dense(1, name="dense")
        return nn.SpectralNorm(dense, name="dense_norm")(x, update_stats=train)[:, 0]


# NNX


class NNXGenerator(nnx.Module):
    value_range = (-1.0, 1.0)

    def __init__(self, rngs):
        self.dense = nnx.Linear(LATENT_DIM, 16 * WIDTH, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, momentum=MOMENTUM, use_fast_variance=False, rngs=rngs)
        self.up = nnx.ConvTranspose(WIDTH, 1, (4, 4), strides=(2, 2), rngs=rngs)

    def __call__(self, latents):
        x = self.dense(latents).reshape(-1, 4, 4, WIDTH)
        return nnx.tanh(self.up(nnx.relu(self.norm(x))))


class NNXDiscriminator(nnx.Module):
    def __init__(self, rngs):
        conv = nnx.Conv(1, WIDTH, (4, 4), strides=(2, 2), rngs=rngs)
        self.conv = nnx.SpectralNorm(conv, rngs=rngs)
        self.drop = nnx.Dropout(1 - KEEP, rngs=rngs)
        self.dense = nnx.SpectralNorm(nnx.Linear(16 * WIDTH, 1, rngs=rngs), rngs=rngs)

    def __call__(self, images):
        x = self.drop(nnx.leaky_relu(self.conv(images), SLOPE))
        return self.dense(x.reshape(len(x), -1))[:, 0]


# Equinox: one example, channels first


class EquinoxGenerator(eqx.Module):
    dense: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    up: eqx.nn.ConvTranspose2d
    value_range = (-1.0, 1.0)

    def __init__(self, key, mode="batch"):
        first, second = jax.random.split(key)
        self.dense = eqx.nn.Linear(LATENT_DIM, 16 * WIDTH, key=first)
        self.norm = eqx.nn.BatchNorm(WIDTH, "batch", momentum=MOMENTUM, mode=mode)
        self.up = eqx.nn.ConvTranspose2d(WIDTH, 1, 4, 2, padding=1, key=second)

    def __call__(self, latent, state):
        x = jnp.moveaxis(self.dense(latent).reshape(4, 4, WIDTH), -1, 0)
        x, state = self.norm(x, state)
        return jnp.moveaxis(jnp.tanh(self.up(jax.nn.relu(x))), 0, -1), state


class EquinoxDiscriminator(eqx.Module):
    conv: eqx.nn.SpectralNorm
    drop: eqx.nn.Dropout
    dense: eqx.nn.SpectralNorm

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        conv = eqx.nn.Conv2d(1, WIDTH, 4, 2, padding=1, key=keys[0])
        self.conv = eqx.nn.SpectralNorm(conv, "weight", key=keys[1])
        self.drop = eqx.nn.Dropout(1 - KEEP)
        dense = eqx.nn.Linear(16 * WIDTH, 1, key=keys[2])
        self.dense = eqx.nn.SpectralNorm(dense, "weight", key=keys[3])

    def __call__(self, image, state, *, key):
        x, state = self.conv(jnp.moveaxis(image, -1, 0), state)
        x = self.drop(jnp.moveaxis(jax.nn.leaky_relu(x, SLOPE), 0, -1), key=key)
        x, state = self.dense(x.reshape(-1), state)
        return x[0], state


# Plain functions


def init_generator(key, latents):
    first, second = jax.random.split(key)
    return {
        "params": {
            "dense": {
                "kernel": jax.random.normal(first, (LATENT_DIM, 16 * WIDTH)) / 2,
                "bias": jnp.zeros(16 * WIDTH),
            },
            "norm": {"scale": jnp.ones(WIDTH), "bias": jnp.zeros(WIDTH)},
            "up": {"kernel": jax.random.normal(second, (4, 4, WIDTH, 1)) / 4, "bias": jnp.zeros(1)},
        },
        "batch_stats": {"norm": {"mean": jnp.zeros(WIDTH), "var": jnp.ones(WIDTH)}},
    }


def generate(variables, latents, *, train, key):
    params, statistics = variables["params"], variables["batch_stats"]["norm"]
    x = latents @ params["dense"]["kernel"] + params["dense"]["bias"][None]
    x = x.reshape(-1, 4, 4, WIDTH)
    mean, var = statistics["mean"], statistics["var"]
    if train:
        mean = jnp.mean(x, (0, 1, 2))
        var = jnp.mean(jnp.square(x - mean[None, None, None]), (0, 1, 2))
        measured = {"mean": mean, "var": var}
        statistics = jax.tree.map(
            lambda old, new: MOMENTUM * old + (1 - MOMENTUM) * new, statistics, measured
        )
    scale = params["norm"]["scale"] / jnp.sqrt(var + 1e-5)
    x = (x - mean[None, None, None]) * scale[None, None, None] + params["norm"]["bias"][
        None, None, None
    ]
    kernel, shift = params["up"]["kernel"], params["up"]["bias"]
    x = lax.conv_transpose(
        jax.nn.relu(x), kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(x + shift[None, None, None]), {"batch_stats": {"norm": statistics}}


def unit(x):
    return x / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(x))), 1e-12)


def flax_norm(kernel, state, train):
    """One iteration from u, in evaluation too, where it is not kept."""
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v = unit(state["u"] @ matrix.T)
    u = unit(v @ matrix)
    u, v = lax.stop_gradient((u, v))
    sigma = (v @ matrix @ u.T)[0, 0]
    return kernel / sigma, {"u": u, "sigma": sigma} if train else state


def equinox_norm(kernel, state, train):
    """One iteration from v, of the inputs, and none in evaluation."""
    order = (*range(kernel.ndim)[::-1][:2], *range(kernel.ndim - 2))
    matrix = kernel.transpose(order).reshape(kernel.shape[-1], -1)
    fixed = lax.stop_gradient(matrix)
    if train:
        u = unit(fixed @ state["v"])
        state = {"u": u, "v": unit(fixed.T @ u)}
    return kernel / (state["u"] @ matrix @ state["v"]), state


def init_discriminator(vectors):
    """`vectors`: (key, kernel) -> the state of its spectral norm."""

    def init(key, images):
        keys = jax.random.split(key, 4)
        kernels = {
            "conv": jax.random.normal(keys[0], (4, 4, 1, WIDTH)) / 4,
            "dense": jax.random.normal(keys[1], (16 * WIDTH, 1)) / 8,
        }
        of = zip(kernels.items(), keys[2:], strict=True)
        return {
            "params": {
                name: {"kernel": kernel, "bias": jnp.zeros(kernel.shape[-1])}
                for name, kernel in kernels.items()
            },
            "vectors": {name: vectors(key, kernel) for (name, kernel), key in of},
        }

    return init


def flax_vectors(key, kernel):
    return {"u": jax.random.normal(key, (1, kernel.shape[-1])), "sigma": jnp.ones(())}


def equinox_vectors(key, kernel):
    outputs = kernel.shape[-1]
    return {
        name: unit(jax.random.normal(key, (size,)))
        for name, size in (("u", outputs), ("v", kernel.size // outputs))
    }


def judge(norm, mask):
    """`mask`: (key, shape) -> what the dropout keeps, as the framework in question draws it."""

    def apply(variables, images, *, train, key):
        params, vectors = variables["params"], variables["vectors"]
        kernels, after = {}, {}
        for name in vectors:
            kernels[name], after[name] = norm(params[name]["kernel"], vectors[name], train)
        x = lax.conv_general_dilated(
            images, kernels["conv"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.leaky_relu(x + params["conv"]["bias"][None, None, None], SLOPE)
        if train:
            x = jnp.where(mask(key, x.shape), x / KEEP, 0)
        logits = x.reshape(len(x), -1) @ kernels["dense"] + params["dense"]["bias"][None]
        return logits[:, 0], {"vectors": after}

    return apply


# Which key each framework draws a mask from


class _Drop(nn.Module):
    def __call__(self):
        return self.make_rng("dropout")


class _Drawing(nn.Module):
    @nn.compact
    def __call__(self):
        return _Drop(name="drop")()


def linen_mask(key, shape):
    return jax.random.bernoulli(_Drawing().apply({}, rngs={"dropout": key}), KEEP, shape)


def nnx_mask(key, shape):
    # The second leaf of the only stream, after its count, which is 0.
    return jax.random.bernoulli(jax.random.fold_in(jax.random.fold_in(key, 1), 0), KEEP, shape)


def equinox_mask(key, shape):
    return jax.vmap(lambda key: jax.random.bernoulli(key, KEEP, shape[1:]))(
        jax.random.split(key, shape[0])
    )


# Where the reference's arrays are: {path: (path in the framework, to its layout, back)}


def same(x):
    return x


def kernel_first(x):
    """HWIO or IO -> OIHW or OI."""
    return x.transpose(3, 2, 0, 1) if x.ndim == 4 else x.T


def kernel_last(x):
    return x.transpose(2, 3, 1, 0) if x.ndim == 4 else x.T


def layout(names, moved=None):
    moved = moved or {}
    return {
        tuple(of.split(".")): (tuple(there.split(".")), *moved.get(of, (same, same)))
        for of, there in names.items()
    }


FLAX_GENERATOR = layout(
    {
        of: of
        for of in [
            *(f"params.{layer}.{of}" for layer in ("dense", "up") for of in ("kernel", "bias")),
            *(f"params.norm.{of}" for of in ("scale", "bias")),
            *(f"batch_stats.norm.{of}" for of in ("mean", "var")),
        ]
    }
)
KERNEL = (kernel_first, kernel_last)
BIAS = (lambda x: x[:, None, None], lambda x: x[:, 0, 0])


class Framework(NamedTuple):
    """A generator and a discriminator, where their arrays are, and the reference of the latter."""

    generator: object
    discriminator: object
    generator_layout: dict
    discriminator_layout: dict
    reference: object


FRAMEWORKS = {
    "linen": Framework(
        LinenGenerator(),
        LinenDiscriminator(),
        FLAX_GENERATOR,
        layout(
            {
                **{
                    f"params.{layer}.{name}": f"params.{layer}.{name}"
                    for layer in ("conv", "dense")
                    for name in ("kernel", "bias")
                },
                **{
                    f"vectors.{layer}.{name}": f"batch_stats.{layer}_norm.{layer}/kernel/{name}"
                    for layer in ("conv", "dense")
                    for name in ("u", "sigma")
                },
            }
        ),
        from_functions(init_discriminator(flax_vectors), judge(flax_norm, linen_mask)),
    ),
    "nnx": Framework(
        from_nnx(NNXGenerator),
        from_nnx(NNXDiscriminator),
        FLAX_GENERATOR,
        layout(
            {
                **{
                    f"params.{layer}.{name}": f"params.{layer}.layer_instance.{name}"
                    for layer in ("conv", "dense")
                    for name in ("kernel", "bias")
                },
                **{
                    f"vectors.{layer}.{name}": f"batch_stats.{layer}.batch_stats.kernel/{name}"
                    for layer in ("conv", "dense")
                    for name in ("u", "sigma")
                },
            }
        ),
        from_functions(init_discriminator(flax_vectors), judge(flax_norm, nnx_mask)),
    ),
    "equinox": Framework(
        from_equinox(EquinoxGenerator),
        from_equinox(EquinoxDiscriminator),
        layout(
            {
                "params.dense.kernel": "params.dense.weight",
                "params.dense.bias": "params.dense.bias",
                "params.norm.scale": "params.norm.weight",
                "params.norm.bias": "params.norm.bias",
                "params.up.kernel": "params.up.weight",
                "params.up.bias": "params.up.bias",
                "batch_stats.norm.mean": "batch_stats.norm.mean",
                "batch_stats.norm.var": "batch_stats.norm.var",
            },
            {"params.dense.kernel": KERNEL, "params.up.kernel": KERNEL, "params.up.bias": BIAS},
        ),
        layout(
            {
                "params.conv.kernel": "params.conv.layer.weight",
                "params.conv.bias": "params.conv.layer.bias",
                "params.dense.kernel": "params.dense.layer.weight",
                "params.dense.bias": "params.dense.layer.bias",
                **{
                    f"vectors.{layer}.{name}": f"state.{layer}.uv_index.{index}"
                    for layer in ("conv", "dense")
                    for index, name in enumerate("uv")
                },
            },
            {"params.conv.kernel": KERNEL, "params.conv.bias": BIAS, "params.dense.kernel": KERNEL},
        ),
        from_functions(init_discriminator(equinox_vectors), judge(equinox_norm, equinox_mask)),
    ),
}
GENERATOR = from_functions(init_generator, generate, value_range=(-1.0, 1.0))


def to_framework(layout, variables, like):
    """The reference's variables as a framework has them; what only it has, as counters, stays."""
    flat, own = (traverse_util.flatten_dict(of) for of in (variables, like))
    moved = {there: to(flat[path]) for path, (there, to, _) in layout.items()}
    assert moved.keys() <= own.keys(), (sorted(moved), sorted(own))
    assert {path: np.shape(of) for path, of in moved.items()} == {p: own[p].shape for p in moved}
    return traverse_util.unflatten_dict({**own, **moved})


def from_framework(layout, variables):
    flat = traverse_util.flatten_dict(variables)
    return traverse_util.unflatten_dict(
        {path: back(flat[there]) for path, (there, _, back) in layout.items()}
    )
