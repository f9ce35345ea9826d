"""Penalties: closed forms, finite differences, and which critics have no slope of their own."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan import Aux, Objective, create_player, create_train_state, make_train_step, networks
from jaxgan.errors import UserError
from jaxgan.losses.penalties import dragan, gradient_penalty, lazily, r1, r2
from jaxgan.networks.layers import BatchNorm, Conv, to_logits
from jaxgan.step import apply_train
from jaxgan.training import sharding

PENALTIES = {"r1": r1, "r2": r2, "gradient_penalty": gradient_penalty, "dragan": dragan}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())
KEY = jax.random.key(0)
SHAPE = (5, 4, 3, 2)


def draw(*shape, seed=0, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def compiled(penalty, critic):
    return jax.jit(lambda *inputs: penalty(critic, *inputs))


@every_penalty
def test_a_linear_critic_has_one_slope_everywhere(penalty):
    w = np.random.default_rng(1).standard_normal(SHAPE[1:])

    def critic(x):
        return jnp.tensordot(x, jnp.asarray(w, jnp.float32), 3) + 7

    value = compiled(penalty, critic)(draw(*SHAPE), draw(*SHAPE, seed=2), KEY)
    squared = np.sum(w**2)
    expected = squared if penalty in (r1, r2) else (math.sqrt(squared) - 1) ** 2
    assert value.shape == ()
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_r1_looks_at_real_images_and_r2_at_fakes():
    # D(x) = |x|^2 / 2, whose slope is x itself.
    def critic(x):
        return jnp.sum(x**2, (1, 2, 3)) / 2

    real, fake = draw(*SHAPE), 3 * draw(*SHAPE, seed=1)
    for penalty, images in ((r1, real), (r2, fake)):
        expected = np.mean(np.sum(np.asarray(images, np.float64) ** 2, (1, 2, 3)))
        np.testing.assert_allclose(penalty(critic, real, fake, KEY), expected, rtol=1e-6)
    np.testing.assert_allclose(r1(critic, real), r1(critic, real, fake, KEY))
    np.testing.assert_allclose(r2(critic, None, fake), r2(critic, real, fake, KEY))


def test_the_gradient_penalty_looks_between_real_and_fake():
    count = 20_000
    real, fake = jnp.full((count, 2), 1.0), jnp.full((count, 2), 3.0)

    def penalty(critic):
        return float(gradient_penalty(critic, real, fake, KEY))

    # The slope at (v, v) is (v, 0): (v - 1)^2 for v from U[1, 3] has mean 4/3, variance 64/45.
    error = 5 * math.sqrt(64 / 45 / count)
    assert abs(penalty(lambda x: x[:, 0] ** 2 / 2) - 4 / 3) < error
    # One share for all pixels of a pair: the slope of (a - b)^2 is 0 where they are equal.
    assert penalty(lambda x: (x[:, 0] - x[:, 1]) ** 2) == pytest.approx(1, abs=1e-6)


def test_dragan_looks_around_real_images():
    count, std = 20_000, 0.5
    real, fake = jnp.zeros((count, 2)), jnp.full((count, 2), 100.0)

    def penalty(critic, **options):
        return float(dragan(critic, real, fake, KEY, **options))

    # D = sum x^2 / 2: the slope's length is std times a Rayleigh variable.
    lengths = std * np.random.default_rng(0).rayleigh(size=count)
    error = 5 * math.sqrt(2) * np.std((lengths - 1) ** 2) / math.sqrt(count)
    exact = 2 * std**2 - 2 * std * math.sqrt(math.pi / 2) + 1
    assert abs(penalty(lambda x: jnp.sum(x**2, 1) / 2, std=std) - exact) < error
    assert penalty(lambda x: jnp.sum(x**2, 1) / 2, std=0.0) == 1
    default = penalty(lambda x: jnp.sum(x**2, 1) / 2)
    assert default == penalty(lambda x: jnp.sum(x**2, 1) / 2, std=0.25)


@pytest.mark.parametrize("penalty", [gradient_penalty, dragan])
def test_the_draw_is_the_keys(penalty):
    def value(seed):
        return penalty(
            lambda x: jnp.sum(x**2, (1, 2, 3)),
            draw(*SHAPE),
            draw(*SHAPE, seed=1),
            jax.random.key(seed),
        )

    assert value(0) == value(0)
    assert value(0) != value(1)


class Smooth(nn.Module):
    """A small critic of jaxgan's convolutions, smooth for finite differences."""

    dtype: type = jnp.float64

    @nn.compact
    def __call__(self, x, train=False):
        options = {"dtype": self.dtype, "kernel_init": nn.initializers.normal(0.5)}
        x = jnp.tanh(Conv(3, (3, 3), 2, **options)(x))
        x = jnp.tanh(Conv(2, (3, 3), **options)(x))
        return nn.Dense(1, **options)(x.reshape(x.shape[0], -1))[:, 0]


@pytest.fixture(scope="module")
def smooth():
    """(variables, real, fake) in float64."""
    with jax.enable_x64(True):
        real, fake = (np.asarray(draw(3, 5, 4, 2, seed=seed, dtype=np.float64)) for seed in (0, 1))
        shapes = jax.eval_shape(Smooth().init, KEY, real)
    rng = np.random.default_rng(2)
    variables = jax.tree.map(lambda leaf: 0.5 * rng.standard_normal(leaf.shape), shapes)
    return variables, real, fake


@pytest.mark.parametrize(("penalty", "which"), [(r1, 0), (r2, 1)])
def test_the_slope_is_the_finite_difference_by_every_pixel(smooth, penalty, which):
    variables, *images = smooth
    with jax.enable_x64(True):
        critic = jax.jit(lambda x: Smooth().apply(variables, x))
        h, shape = 1e-5, images[which].shape
        pixels = math.prod(shape[1:])
        steps = h * np.eye(pixels).reshape(pixels, 1, *shape[1:])

        def moved(by):  # each image by each pixel
            return np.asarray(critic((images[which] + by).reshape(-1, *shape[1:])))

        slopes = (moved(steps) - moved(-steps)) / (2 * h)
        total = np.sum(slopes.reshape(pixels, -1) ** 2, axis=0)
        value = compiled(penalty, critic)(*images, KEY)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, np.mean(total), rtol=1e-7)


@every_penalty
def test_the_gradient_by_the_parameters_is_the_finite_difference(smooth, penalty):
    variables, real, fake = smooth
    with jax.enable_x64(True):

        @jax.jit
        @jax.value_and_grad
        def both(variables):
            return penalty(lambda x: Smooth().apply(variables, x), real, fake, KEY)

        gradient = jax.tree.leaves(both(variables)[1])
        leaves, structure = jax.tree.flatten(variables)
        for seed in range(3):
            rng = np.random.default_rng(seed)
            direction = [rng.standard_normal(leaf.shape) for leaf in leaves]

            def moved(h, direction=direction):
                pairs = zip(leaves, direction, strict=True)
                return float(both(structure.unflatten([x + h * d for x, d in pairs]))[0])

            expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
            pairs = zip(gradient, direction, strict=True)
            actual = sum(float(np.sum(np.asarray(g) * d)) for g, d in pairs)
            assert abs(expected) > 1e-3
            np.testing.assert_allclose(actual, expected, rtol=1e-6)


@every_penalty
def test_where_the_critic_is_flat_the_gradient_is_finite(penalty):
    def value(scale):
        return penalty(lambda x: scale * x.sum((1, 2, 3)), draw(*SHAPE), draw(*SHAPE), KEY)

    loss, slope = jax.jit(jax.value_and_grad(value))(0.0)
    assert float(loss) == (0 if penalty in (r1, r2) else 1)
    assert float(slope) == 0


@every_penalty
def test_a_narrow_critic_gives_a_float32_penalty(penalty, smooth):
    variables, real, fake = jax.tree.map(jnp.float32, smooth)

    @jax.jit
    def values(variables):
        return [
            penalty(lambda x, dtype=dtype: Smooth(dtype).apply(variables, x), real, fake, KEY)
            for dtype in (jnp.bfloat16, jnp.float32)
        ]

    narrow, wide = values(variables)
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, wide, rtol=0.05)
    # Slopes by narrow images are narrow; their squares are summed in float32.
    images = [x.astype(jnp.bfloat16) for x in (real, fake)]
    value = jax.eval_shape(compiled(penalty, lambda x: 3 * x.sum((1, 2, 3))), *images, KEY)
    assert value.dtype == jnp.float32


# Critics whose logits depend on the other images.


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return to_logits(BatchNorm(train)(x), dtype=jnp.float32)


class PlainFlax(nn.Module):
    """The choice of statistics as an argument, by place or by name."""

    by_place: bool = False

    @nn.compact
    def __call__(self, x, train=False):
        norm = nn.BatchNorm()
        x = norm(x, not train) if self.by_place else norm(x, use_running_average=not train)
        return x.sum((1, 2, 3))


class OfOnesOwn(nn.Module):
    couples_examples = True

    @nn.compact
    def __call__(self, x, train=False):
        return x.sum((1, 2, 3)) - x.mean()


COUPLED = {
    "jaxgan's batch norm": (Normed(), "BatchNorm"),
    "flax's, by name": (PlainFlax(), "BatchNorm"),
    "flax's, by place": (PlainFlax(True), "BatchNorm"),
    "dcgan": (networks.DCGANDiscriminator((4, 4), 3), "BatchNorm"),
    "declared": (OfOnesOwn(), "OfOnesOwn"),
}


@every_penalty
@pytest.mark.parametrize(("module", "named"), COUPLED.values(), ids=COUPLED.keys())
def test_a_critic_that_couples_its_examples_is_refused(penalty, module, named):
    images = draw(3, 8, 8, 1)

    def loss(variables):
        def critic(x):
            return apply_train(module, variables, x, key=KEY)[0]

        return penalty(critic, images, images, KEY)

    variables = jax.eval_shape(module.init, KEY, images)
    with pytest.raises(UserError) as error:
        jax.eval_shape(jax.grad(loss), variables)
    assert str(error.value).startswith(f"critic: got {named} in it")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "module",
    [
        PlainFlax(),
        networks.DCGANDiscriminator((4, 4), 3),
        networks.MLPDiscriminator((6,), dropout=0.3),
    ],
)
def test_running_statistics_and_dropout_couple_nothing(module):
    images = draw(3, 8, 8, 1)
    variables = jax.eval_shape(module.init, KEY, images)

    def loss(variables):
        def critic(x):
            if "batch_stats" in variables:
                return module.apply(variables, x, train=False)
            return apply_train(module, variables, x, key=KEY)[0]

        penalty = r1(critic, images)
        # Outside of a penalty the same layers are free.
        return penalty + jnp.mean(apply_train(module, variables, images, key=KEY)[0])

    assert jax.eval_shape(jax.grad(loss), variables) == variables


@pytest.mark.parametrize(
    ("critic", "images", "named"),
    [
        (lambda x: x.sum((1, 2), keepdims=True), jnp.zeros((3, 2, 2)), "critic"),
        (lambda x: x.sum(), jnp.zeros((3, 2)), "critic"),
        (lambda x: x, jnp.zeros(3), "real"),
        (lambda x: x.sum(1), jnp.zeros((3, 2), jnp.int32), "real"),
    ],
)
@pytest.mark.parametrize("penalty", [r1, gradient_penalty, dragan])
def test_bad_input_is_named(penalty, critic, images, named):
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        penalty(critic, images, images, KEY)


def test_bad_fakes_are_named():
    def critic(x):
        return x.sum(1)

    with pytest.raises(UserError, match=r"^fake: got [^\n]*$"):
        r2(critic, None, jnp.zeros(3))
    with pytest.raises(UserError, match=r"^fake: got shape \(4, 2\), expected \(3, 2\)"):
        gradient_penalty(critic, jnp.zeros((3, 2)), jnp.zeros((4, 2)), KEY)
    with pytest.raises(UserError, match=r"^interval: got 0, expected 1 or more"):
        lazily(lambda: 0.0, 0, 0)


# At an interval.


def test_a_lazy_penalty_has_the_mean_of_the_penalty():
    calls = []

    def value(w, step):
        def penalty():
            jax.debug.callback(lambda: calls.append(0))
            return r1(lambda x: w * x.sum(1), jnp.zeros((2, 3)))

        return lazily(penalty, step, 4)

    values, slopes = jax.jit(
        lambda w: jax.lax.map(lambda i: jax.value_and_grad(value)(w, i), jnp.arange(8))
    )(2.0)
    jax.effects_barrier()
    # R1 = 3 w^2
    np.testing.assert_allclose(values, [48, 0, 0, 0, 48, 0, 0, 0])
    np.testing.assert_allclose(slopes, [48, 0, 0, 0, 48, 0, 0, 0])
    assert len(calls) == 2
    assert float(lazily(lambda: jnp.float32(3), 5, 1)) == 3


def lazy_game():
    """A critic under R1 at every second step, an image moved towards the data."""
    module = networks.MLPDiscriminator((6,))

    def generate(gen_vars, batch, context):
        images = batch["image"]
        return jnp.zeros_like(images) + gen_vars["params"][None], {}

    def disc_loss(disc_vars, fakes, batch, context):
        def critic(images):
            return apply_train(module, disc_vars, images, key=context.key)[0]

        penalty = lazily(
            lambda: r1(critic, batch["image"]) + r2(critic, None, fakes), context.step, 2
        )
        loss = jnp.mean(critic(fakes)) - jnp.mean(critic(batch["image"]))
        return loss + penalty, Aux({}, {"penalty": penalty})

    def gen_loss(gen_vars, disc_vars, fakes, batch, context):
        return -jnp.mean(apply_train(module, disc_vars, fakes, key=context.key)[0]), Aux(None, {})

    tx = optax.sgd(0.1)
    state = create_train_state(
        KEY,
        create_player({"params": draw(4, 4, 1)}, tx),
        create_player(jax.jit(module.init)(KEY, jnp.zeros((1, 4, 4, 1))), tx),
    )
    return Objective(generate, disc_loss, gen_loss), state, tx


def test_devices_do_not_change_a_lazy_penalty(mesh):
    game, state, tx = lazy_game()
    batch = {"image": draw(16, 4, 4, 1, seed=1)}

    def run(step, state, batch):
        penalties = []
        for _ in range(3):
            state, metrics = step(state, batch)
            penalties.append(float(np.ravel(metrics["penalty"])[0]))
        return state, penalties

    one, expected = run(jax.jit(make_train_step(game, tx, tx)), state, batch)
    assert expected[0] > 0
    assert expected[1] == 0
    assert expected[2] > 0
    mapped = make_train_step(game, tx, tx, axis_name="data")
    step = jax.shard_map(mapped, mesh=mesh, in_specs=(P(), P("data")), out_specs=(P(), P()))
    # Where a step leaves its state, so that the second one is no other program.
    shared = sharding.replicate(state, mesh)
    many, penalties = run(jax.jit(step), shared, sharding.shard_batch(batch, mesh))
    assert tiny.difference(one, many) < 1e-5
    np.testing.assert_allclose(penalties, expected, rtol=1e-5)
    # What `pmap` maps is not checked for what devices share.
    stacked = jax.tree.map(lambda x: jnp.stack([x] * 8), state)
    many, penalties = run(
        jax.pmap(mapped, axis_name="data"),
        jax.device_put(stacked, NamedSharding(mesh, P("data"))),
        {"image": batch["image"].reshape(8, 2, 4, 4, 1)},
    )
    assert tiny.difference(one, jax.tree.map(lambda x: x[0], many)) < 1e-5
    np.testing.assert_allclose(penalties, expected, rtol=1e-5)
