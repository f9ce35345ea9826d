"""Standing statistics: the batches' own average in float64, whatever the momentum."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan import UserError
from jaxgan.batch_statistics import standing_statistics
from jaxgan.inference.load import make_generate
from jaxgan.inputs import Latents

BATCHES = np.random.default_rng(0).normal(1.0, 2.0, (10, 32, 3)).astype(np.float32)


class Generator(nn.Module):
    """One of a user's own: Flax's batch norm, by default with its momentum, and spectral norm."""

    momenta: tuple[float, ...] = (0.99, 0.99)
    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(self, latents, train=False):
        def norm(momentum, x):
            return nn.BatchNorm(use_running_average=not train, momentum=momentum)(x)

        x = nn.relu(norm(self.momenta[0], nn.Dense(6)(latents)))
        x = nn.SpectralNorm(nn.Dense(5))(x, update_stats=train)
        x = nn.relu(norm(self.momenta[1], x))
        return jnp.tanh(nn.Dense(1)(x)).reshape(-1, 1, 1, 1)


class Normalise(nn.Module):
    momentum: float

    @nn.compact
    def __call__(self, x, train=False):
        return nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x)


def start(module=None):
    """Variables as after some training: running statistics of other parameters."""
    module = Generator() if module is None else module
    variables = module.init(jax.random.key(0), BATCHES[0])
    for batch in BATCHES[:3]:
        _, changed = module.apply(variables, batch + 5, train=True, mutable="batch_stats")
        variables = {**variables, **changed}
    return jax.tree.map(np.asarray, variables)


def average(values, momentum):
    """The last counts 1, the one before it `momentum`, and so on."""
    weights = np.power(float(momentum), np.arange(len(values))[::-1])
    return np.tensordot(weights / weights.sum(), np.asarray(values, np.float64), 1)


def expected(variables, momenta):
    """(mean, variance) of both layers, in float64, by hand."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    (u,) = (x for path, x in flat(variables["batch_stats"]).items() if path[-1].endswith("/u"))
    kernel = params["Dense_1"]["kernel"]
    v = u @ kernel.T
    v /= np.linalg.norm(v)
    kernel = kernel / np.linalg.norm(v @ kernel)
    found = [], []
    for batch in BATCHES.astype(np.float64):
        x = batch @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
        found[0].append((x.mean(0), x.var(0)))
        scale, bias = (params["BatchNorm_0"][name] for name in ("scale", "bias"))
        x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * scale + bias
        x = np.maximum(x, 0) @ kernel + params["Dense_1"]["bias"]
        found[1].append((x.mean(0), x.var(0)))
    return [average(pairs, momentum) for pairs, momentum in zip(found, momenta, strict=True)]


def flat(tree):
    return {
        tuple(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


@pytest.mark.parametrize("momenta", [(0.99, 0.99), (0.9, 0.999), (0.5, 0.0)])
def test_they_are_the_average_of_the_batches_whatever_the_momentum(momenta):
    module, variables = Generator(momenta), start()
    measured = jax.jit(standing_statistics, static_argnums=0)(module, variables, BATCHES)
    for index, (mean, var) in enumerate(expected(variables, momenta)):
        statistics = measured["batch_stats"][f"BatchNorm_{index}"]
        np.testing.assert_allclose(statistics["mean"], mean, rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(statistics["var"], var, rtol=2e-4)


def test_all_else_is_left_as_it_was():
    variables = start()
    measured = standing_statistics(Generator(), variables, BATCHES)
    before, after = flat(variables), flat(measured)
    assert before.keys() == after.keys()
    moved = {path[-1] for path, leaf in before.items() if np.any(leaf != after[path])}
    assert moved == {"mean", "var"}
    assert {path[-1] for path in before} > {"Dense_1/kernel/u", "Dense_1/kernel/sigma"}


@pytest.mark.parametrize("momentum", [0.9, 0.999])
def test_large_values_do_not_cancel(momentum):
    batches = 1e4 * BATCHES
    module = Normalise(momentum)
    measured = standing_statistics(module, start(module), batches)
    statistics = measured["batch_stats"]["BatchNorm_0"]
    wide = batches.astype(np.float64)
    np.testing.assert_allclose(statistics["mean"], average(wide.mean(1), momentum), rtol=1e-4)
    np.testing.assert_allclose(statistics["var"], average(wide.var(1), momentum), rtol=1e-4)


def test_what_no_batch_changes_stays_and_what_is_not_finite_shows():
    module = Normalise(1.0)
    variables = start(Normalise(0.5))
    measured = standing_statistics(module, variables, BATCHES)
    jax.tree.map(np.testing.assert_array_equal, measured, variables)
    measured = standing_statistics(Normalise(0.5), variables, np.full_like(BATCHES, np.nan))
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(measured["batch_stats"]))
    assert standing_statistics(module, {"params": {}}, BATCHES) == {"params": {}}


class Tracker(nn.Module):
    """Keeps a mean of another kind in the same collection."""

    @nn.compact
    def __call__(self, x, train=False):
        mean = self.variable("batch_stats", "mean", jnp.zeros, ())
        if train:
            mean.value = mean.value + 1
        return Normalise(0.9)(x, train)


def test_a_mean_without_a_variance_is_not_batch_norms():
    variables = Tracker().init(jax.random.key(0), BATCHES[0])
    measured = standing_statistics(Tracker(), variables, BATCHES)["batch_stats"]
    assert float(measured["mean"]) == 0
    assert float(jnp.max(jnp.abs(measured["Normalise_0"]["BatchNorm_0"]["mean"]))) > 0.1


def test_averaged_parameters_of_ones_own_generator_draw_images_that_differ():
    """The images by standing statistics are those that training would make of the batch."""
    module, variables = Generator(), start()
    latents = jax.random.normal(jax.random.key(1), (512, 3))
    images = make_generate(module, variables, {"latents": Latents(3)}, averaged=True)(latents)
    trained, _ = module.apply(variables, latents, train=True, mutable="batch_stats")
    stale = module.apply(variables, latents, train=False)
    error = float(jnp.mean(jnp.abs(2 * images - 1 - trained)))
    assert error < 0.1 * float(jnp.mean(jnp.abs(stale - trained)))


def test_a_generator_that_does_not_say_its_range_is_refused():
    class Rangeless(nn.Module):
        def __call__(self, latents, train=False):
            return latents[:, :, None, None]

    with pytest.raises(UserError, match=r"^generator: got Rangeless without value_range, expected"):
        make_generate(Rangeless(), {}, {"latents": Latents(1)}, averaged=False)
