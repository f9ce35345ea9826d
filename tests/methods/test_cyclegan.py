"""CycleGAN's objective: its losses by hand, its pool, its step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from translation_players import (
    SHAPES,
    Affine,
    Pixels,
    batch,
    linear,
    numbers,
)

from jaxgan import Context, UserError, make_train_step
from jaxgan.methods import cyclegan
from jaxgan.methods.pool import empty_pool, exchange

TX = optax.adam(1e-3, b1=0.5)
GEN, DISC = {"ab": (0.5, 0.3), "ba": (1.5, -0.2)}, {"a": 0.7, "b": -1.1}


def context(extra, step=0):
    return Context(jnp.int32(step), jax.random.key(0), extra)


def pools(size=50):
    return {name: empty_pool(size, shape) for name, shape in SHAPES.items()}


def by_hand(images, cycle_weight=10, identity_weight=0.5):
    """(discriminators' loss, generators' loss, the metrics of either) in float64."""
    images = {name: x.astype(np.float64) for name, x in images.items()}

    def translate(direction, x):
        scale, shift = GEN[direction]
        return scale * x + shift

    fake = {"a": translate("ba", images["b"]), "b": translate("ab", images["a"])}
    metrics, disc, gen = {}, 0, 0
    for name, to, back in (("a", "ba", "ba"), ("b", "ab", "ab")):
        real_d, fake_d = (DISC[name] * x.mean(-1) for x in (images[name], fake[name]))
        other = "b" if name == "a" else "a"
        metrics[f"discriminator_loss_{name}"] = (
            np.mean((real_d - 1) ** 2) / 2 + np.mean(fake_d**2) / 2
        )
        metrics[f"d_real_{name}"] = np.mean(np.clip(real_d, 1e-3, 1 - 1e-3))
        metrics[f"d_fake_{name}"] = np.mean(np.clip(fake_d, 1e-3, 1 - 1e-3))
        metrics[f"generator_loss_{name}"] = np.mean((fake_d - 1) ** 2)
        metrics[f"cycle_{name}"] = np.mean(np.abs(translate(back, fake[other]) - images[name]))
        metrics[f"identity_{name}"] = np.mean(np.abs(translate(to, images[name]) - images[name]))
        disc += metrics[f"discriminator_loss_{name}"]
        gen += metrics[f"generator_loss_{name}"] + cycle_weight * metrics[f"cycle_{name}"]
        gen += cycle_weight * identity_weight * metrics[f"identity_{name}"]
    return disc, gen, metrics


@pytest.mark.parametrize("weights", [{}, {"cycle_weight": 3.0, "identity_weight": 0.25}])
def test_the_losses_by_hand(weights):
    images = batch()
    objective = cyclegan(*linear(Pixels()), **weights)
    gen_vars, disc_vars = numbers(GEN, DISC)
    fakes, model_state = objective.generate(gen_vars, images, context(None))
    assert model_state == {}
    np.testing.assert_allclose(fakes["ab"], 0.5 * images["a"] + 0.3, rtol=1e-6)
    np.testing.assert_allclose(fakes["ba"], 1.5 * images["b"] - 0.2, rtol=1e-5)
    # The pools are empty: they give back what they are given.
    disc_loss, disc_aux = objective.disc_loss(disc_vars, fakes, images, context(pools()))
    gen_loss, gen_aux = objective.gen_loss(gen_vars, disc_vars, fakes, images, context(pools()))
    disc, gen, metrics = by_hand(images, **weights)
    assert float(disc_loss) == pytest.approx(disc, rel=1e-5)
    assert float(gen_loss) == pytest.approx(gen, rel=1e-5)
    got = {**disc_aux.metrics, **gen_aux.metrics}
    for name, value in metrics.items():
        assert float(got[name]) == pytest.approx(value, rel=1e-5), name
    assert gen_aux.extra is None
    np.testing.assert_array_equal(disc_aux.extra["a"].images[:4], fakes["ba"])
    np.testing.assert_array_equal(disc_aux.extra["b"].images[:4], fakes["ab"])


def test_without_the_identity_loss_channels_may_differ():
    images = {"a": jnp.zeros((2, 8, 8, 1)), "b": jnp.zeros((2, 8, 8, 3))}
    gen_vars, disc_vars = numbers(GEN, DISC)

    class Widen(Affine):
        def __call__(self, images, train=False):
            return super().__call__(jnp.repeat(images, 3, -1))

    class Narrow(Affine):
        def __call__(self, images, train=False):
            return super().__call__(images.mean(-1, keepdims=True))

    players = {"ab": Widen(), "ba": Narrow()}, linear(Pixels())[1]
    free = cyclegan(*players, identity_weight=0)
    fakes, _ = free.generate(gen_vars, images, context(None))
    loss, aux = free.gen_loss(gen_vars, disc_vars, fakes, images, context(None))
    assert np.isfinite(loss)
    assert not [name for name in aux.metrics if name.startswith("identity")]
    with pytest.raises(
        UserError, match=r"^channels: got 1 in domain a and 3 in domain b, expected"
    ):
        cyclegan(*players).gen_loss(gen_vars, disc_vars, fakes, images, context(None))


# The pool, against a list of arrays.


def decisions(key, count, size):
    swap_key, place_key = jax.random.split(key)
    swaps = np.asarray(jax.random.bernoulli(swap_key, 0.5, (count,)))
    return swaps, np.asarray(jax.random.randint(place_key, (count,), 0, size))


def test_the_pool_is_that_of_the_paper():
    size, count = 7, 5
    pool, held = empty_pool(size, (2, 1, 1)), []
    exchange_jit = jax.jit(exchange)
    for turn in range(6):
        key = jax.random.key(turn)
        images = np.random.default_rng(turn).standard_normal((count, 2, 1, 1)).astype(np.float32)
        shown, pool = exchange_jit(pool, images, key)
        expected = []
        for image, swap, place in zip(images, *decisions(key, count, size), strict=True):
            if len(held) < size:
                held.append(image)
                expected.append(image)
            elif swap:
                expected.append(held[place])
                held[place] = image
            else:
                expected.append(image)
        np.testing.assert_array_equal(shown, expected)
        assert int(pool.count) == len(held)
        np.testing.assert_array_equal(pool.images[: len(held)], held)
        assert pool.images.dtype == jnp.float32


def test_half_of_what_a_full_pool_shows_is_past_and_from_everywhere():
    size, count = 50, 4000
    pool = empty_pool(size, (1, 1, 1))._replace(count=jnp.int32(size))
    new = jnp.arange(1.0, count + 1).reshape(-1, 1, 1, 1)
    shown, _ = jax.jit(exchange)(pool, new, jax.random.key(0))
    past = np.asarray(shown != new).ravel()
    # Five standard deviations of a share of 1/2.
    assert np.mean(past) == pytest.approx(0.5, abs=2.5 / np.sqrt(count))
    # All places have given their first image, a 0.
    assert np.sum(np.asarray(shown) == 0) == size


def test_a_pool_needs_room():
    with pytest.raises(UserError, match=r"^pool_size: got 0, expected 1 or more$"):
        empty_pool(0, (1, 1, 1))


# The step.


@pytest.fixture(scope="module")
def reference():
    """The states after 0, 1, ... 4 steps, and the last metrics."""
    method = cyclegan(*linear(Pixels()), pool_size=6)
    step, states = jax.jit(make_train_step(method, TX, TX)), []
    states.append(method.init(jax.random.key(0), batch(), TX, TX))
    for seed in range(4):
        state, metrics = step(states[-1], batch(seed=seed))
        states.append(state)
    return states, metrics


def test_the_metrics_of_a_step(reference):
    of_both = ("discriminator_loss", "generator_loss", "cycle", "identity", "d_real", "d_fake")
    assert set(reference[1]) == {f"{name}_{domain}" for name in of_both for domain in "ab"} | {
        "discriminator_loss", "discriminator_loss_real", "discriminator_loss_fake",
        "generator_loss", "generator_gradient_norm", "d_real", "d_fake", "accuracy_real",
        "accuracy_fake",
    }  # fmt: skip


def test_the_pools_fill_and_stay_in_the_state(reference):
    states, _ = reference
    assert [int(state.extra["a"].count) for state in states] == [0, 4, 6, 6, 6]
    for domain, direction in (("a", "ba"), ("b", "ab")):
        first = states[1].extra[domain].images[:4]
        objective = cyclegan(*linear(Pixels()))
        fakes, _ = objective.generate(states[0].generator.variables, batch(), context(None))
        np.testing.assert_allclose(first, fakes[direction], atol=1e-5)
    # Once they are full, they still change.
    assert np.any(states[4].extra["a"].images != states[2].extra["a"].images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity_weight": -1}, "identity_weight: got -1, expected 0 or more"),
        ({"cycle_weight": -1}, "cycle_weight: got -1, expected 0 or more"),
        ({"generators": {"ab": Affine()}}, r"generators: got ab, expected .* \['ab', 'ba'\]"),
        ({"generators": Affine()}, "generators: got Affine, expected a dictionary"),
        ({"discriminators": {}}, r"discriminators: got , expected .* \['a', 'b'\]"),
    ],
)
def test_bad_arguments(change, message):
    generators, discriminators = linear(Pixels())
    with pytest.raises(UserError, match=f"^{message}") as error:
        cyclegan(**{"generators": generators, "discriminators": discriminators, **change})
    assert "\n" not in str(error.value)


IMAGE = jnp.zeros((2, 8, 8, 3))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"image": IMAGE}, "batch: got entries image, expected 'a' among them"),
        (IMAGE, "batch: got ArrayImpl, expected 'a' among them"),
        ({"a": IMAGE, "b": IMAGE[:1]}, "b: got 1 images, expected 2, as many as of a"),
        ({"a": IMAGE[0], "b": IMAGE}, r"a: got float32 of shape \(8, 8, 3\), expected floats"),
        ({"a": IMAGE, "b": IMAGE.astype(int)}, "b: got int32 of shape"),
        ({"a": IMAGE, "b": IMAGE[..., :1]}, r"b: got a batch of shape \(2, 8, 8, 1\), expected"),
    ],
)
def test_bad_batches(images, message):
    objective = cyclegan(*linear(Pixels()))
    gen_vars, _ = numbers(GEN, DISC)
    with pytest.raises(UserError, match=f"^{message}"):
        objective.generate(gen_vars, images, context(None))


def test_other_images_than_the_generators_make_are_refused():
    images = {"a": IMAGE, "b": IMAGE[..., :1]}
    with pytest.raises(UserError, match=r"^b: got a batch of shape \(1, 8, 8, 1\), expected"):
        cyclegan(*linear(Pixels())).init(jax.random.key(0), images, TX, TX)


@pytest.mark.long
def test_the_published_size_takes_a_step():
    """256 pixels, nine blocks, 64 channels, one image of either domain."""
    from jaxgan import cpu, networks

    generator, discriminator = networks.cyclegan(256)
    players = {"ab": generator, "ba": generator}, {"a": discriminator, "b": discriminator}
    method, images = cyclegan(*players), batch(1, shape=(256, 256, 3))
    state = method.init(jax.random.key(0), images, TX, TX)
    sizes = [
        sum(x.size for x in jax.tree.leaves(player.params))
        for player in (state.generator, state.discriminator)
    ]
    assert sizes == [2 * 11_378_179, 2 * 2_764_737]
    step = jax.jit(
        make_train_step(method, TX, TX),
        donate_argnums=0,
        compiler_options=cpu.compiler_options(),
    )
    state, metrics = step(state, images)
    assert int(state.step) == 1
    assert all(np.isfinite(value) for value in metrics.values())
