"""FastGAN's generator: against NumPy, its published sizes, its noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import abstract, every_dtype, flat, random_leaves
from scipy.special import expit

from jaxgan import UserError
from jaxgan.networks import FastGANGenerator

KEY = jax.random.key(0, impl="rbg")
LATENTS = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
every_weight = pytest.mark.parametrize("lite", [True, False])


@functools.cache
def filled(lite):
    """A generator and variables of which every one is random, so that each counts."""
    module = FastGANGenerator(64, 2, lite=lite)
    return module, random_leaves(abstract(module, LATENTS.shape)[1], 1)


@functools.cache
def applied(lite, train=False, seed=0):
    module, variables = filled(lite)
    rngs = {"dropout": jax.random.key(seed)} if train else {}
    apply = functools.partial(
        module.apply, train=train, rngs=rngs, mutable=["batch_stats", "spectral"]
    )
    return jit(apply)({**variables}, LATENTS)[0]


class Numpy:
    """The generator at 64 pixels in float64, straight from the authors' code."""

    def __init__(self, variables):
        self.variables, self.counts = variables, {}

    def next(self, kind, collection="params"):
        number = self.counts[kind, collection] = self.counts.get((kind, collection), -1) + 1
        tree = self.variables[collection][f"{kind}_{number}"]
        return jax.tree.map(np.float64, tree)

    def kernel(self, kind):
        """Divided by v^T W u after one step of the power iteration."""
        layer, spectral = self.next(kind), flat(self.next("SpectralNorm", "spectral"))
        (u,) = (x for path, x in spectral.items() if path.endswith("/u"))
        matrix = layer["kernel"].reshape(-1, layer["kernel"].shape[-1])
        v = matrix @ u.ravel()
        v /= np.linalg.norm(v)
        return layer["kernel"] / np.linalg.norm(v @ matrix), layer.get("bias", 0)

    def dense(self, x):
        kernel, bias = self.kernel("Dense")
        return x @ kernel + bias

    def conv(self, kind, x):
        kernel, bias = self.kernel(kind)
        if kind == "UpConv":
            x = x.repeat(2, axis=1).repeat(2, axis=2)
        side, x = x.shape[1], np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = [(a, b) for a in range(3) for b in range(3)]
        return sum(x[:, a : a + side, b : b + side] @ kernel[a, b] for a, b in taps) + bias

    def gated(self, x):
        norm = self.next("BatchNorm")["norm"]
        stats = self.next("BatchNorm", "batch_stats")["norm"]
        x = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * norm["scale"] + norm["bias"]
        content, gate = np.split(x, 2, axis=-1)
        return content * expit(gate)

    def __call__(self, z, lite):
        z = np.float64(z)
        x = self.dense(z / np.sqrt(np.mean(z**2, axis=1, keepdims=True)))
        small = x = self.gated(x.reshape(len(z), 4, 4, -1))
        for _ in (8, 16, 32, 64):
            x = self.gated(self.conv("UpConv", x))
            if not lite:
                x = self.gated(self.conv("Conv", x))
        weights = self.dense(small.reshape(len(z), -1))
        weights = expit(self.dense(weights * expit(weights)))
        return self.conv("Conv", x * weights[:, None, None])


@every_weight
def test_it_computes_what_numpy_does(lite):
    _, variables = filled(lite)
    expected = Numpy(variables)(LATENTS, lite)
    np.testing.assert_allclose(applied(lite), expected, rtol=1e-3, atol=1e-4 * expected.std())


@every_weight
@pytest.mark.parametrize(
    ("width", "counts"), [(128, (79_354_307, 105_684_175)), (64, (24_037_603, 30_622_319))]
)
def test_it_counts_as_the_authors_code_does(lite, width, counts):
    """`FastganSynthesis(ngf=width, z_dim=256, img_resolution=256, lite=lite)`."""
    made, variables = abstract(FastGANGenerator(256, width, lite=lite), (2, 256))
    assert made.shape == (2, 256, 256, 3)
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == counts[not lite]


@every_dtype
@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_images_are_float32_of_the_size_asked_for(size, dtype):
    made, variables = abstract(FastGANGenerator(size, 2, 1, dtype=dtype), (3, 5))
    assert (made.shape, made.dtype) == ((3, size, size, 1), jnp.float32)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(("size", "excited"), [(32, 0), (64, 1), (128, 2), (256, 3)])
def test_maps_are_weighed_by_one_of_a_16th_of_their_side(size, excited):
    _, variables = abstract(FastGANGenerator(size, 4), (3, 5))
    kernels = {name: x.shape for name, x in flat(variables["params"]).items() if "Dense" in name}
    widths = {64: (16 * 16 * 4, 8), 128: (16 * 8 * 4, 4), 256: (16 * 4 * 4, 2)}
    expected = [(5, 16 * 2 * 16 * 4)]
    for given, width in list(widths.values())[:excited]:
        expected += [(given, width), (width, width)]
    assert list(kernels.values()) == expected


def test_only_the_direction_of_the_latents_counts():
    module, variables = filled(True)
    apply = jit(functools.partial(module.apply, variables))
    np.testing.assert_allclose(apply(3 * LATENTS), apply(LATENTS), rtol=1e-4, atol=1e-5)


def test_noise_is_that_of_training_alone():
    once, again, other = (applied(False, True, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert np.std(np.float64(other) - once) > 0.01 * np.std(once)
    # The lighter one has none, and asks for no key.
    np.testing.assert_array_equal(applied(True, True, 0), applied(True, True, 1))


@pytest.mark.parametrize(
    ("size", "width", "named"),
    [
        (48, 8, "image_size: got 48, expected 32, 64, 128 or 256 for a FastGAN"),
        (16, 8, "image_size: got 16, expected"),
        (64, 3, "width: got 3, expected an even number above 0"),
        (64, 0, "width: got 0, expected an even"),
    ],
)
def test_what_it_cannot_be_is_refused(size, width, named):
    with pytest.raises(UserError, match=f"^{named}"):
        abstract(FastGANGenerator(size, width), (1, 5))
