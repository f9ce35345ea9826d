"""What a network may be: what is asked of it, and what is refused before it is compiled."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxgan
from jaxgan import UserError, from_functions, losses, network, penalties
from jaxgan.methods import adversarial, cyclegan, stackgan_stage_one
from jaxgan.state import init_variables

KEY, TX = jax.random.key(0), optax.sgd(0.1)
IMAGES = np.zeros((4, 8, 8, 1), np.float32)


class Linen(nn.Module):
    """All that Linen has: parameters, statistics and what is drawn."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


def linear(key, x):
    return {"params": jax.random.normal(key, (x[0].size,))}


def judge(variables, x, *, train, key):
    return x.reshape(len(x), -1) @ variables["params"], {}


def paint(variables, latents, *, train, key):
    return jnp.tanh(jnp.zeros((len(latents), 8, 8, 1)) + jnp.mean(variables["params"])), {}


PAINTER = from_functions(linear, paint, value_range=(-1, 1))
JUDGE = from_functions(linear, judge)


def start(generator=PAINTER, discriminator=JUDGE, images=IMAGES):
    method = adversarial(generator, discriminator, latent_dim=2, loss=losses.hinge)
    return method.init(KEY, {"image": images}, TX, TX)


@pytest.mark.parametrize("train", [True, False])
def test_a_linen_module_is_a_network_as_it_is(train):
    module, x, key = Linen(), jax.random.normal(KEY, (8, 2)), jax.random.key(1)
    variables = module.init(KEY, x)
    outputs, state = network.apply_network(module, variables, x, train=train, key=key)
    rngs = {"dropout": key}
    expected, changed = module.apply(variables, x, train=train, rngs=rngs, mutable=["batch_stats"])
    np.testing.assert_array_equal(outputs, expected)
    jax.tree.map(np.testing.assert_array_equal, state, changed)


def test_a_game_of_functions_trains():
    """Against a step by hand: the painter paints one grey, which the judge weighs."""
    state = start()
    method = adversarial(PAINTER, JUDGE, latent_dim=2, loss=losses.wasserstein)
    after, _ = jax.jit(jaxgan.make_train_step(method, TX, TX))(state, {"image": IMAGES})
    grey = np.tanh(np.mean(state.generator.params))
    weights = state.discriminator.params - 0.1 * grey  # real images are 0
    np.testing.assert_allclose(after.discriminator.params, weights, rtol=1e-5)
    slope = -np.sum(weights) * (1 - grey**2) / state.generator.params.size
    np.testing.assert_allclose(
        after.generator.params, state.generator.params - 0.1 * slope, rtol=1e-5
    )


def test_options_of_linen_modules_are_not_asked_of_others():
    images = jnp.zeros((1, 2, 2, 1))
    with_options = init_variables(JUDGE, KEY, images, train=False)
    np.testing.assert_array_equal(with_options["params"], linear(KEY, images)["params"])


def counting():
    """A function that adds something else at each call."""
    calls = []

    def apply(variables, x, *, train, key):
        calls.append(None)
        return len(calls) * judge(variables, x, train=train, key=key)[0], {}

    return apply


def hoarding():
    """A function that keeps an array of one call for the next."""
    kept = []

    def apply(variables, x, *, train, key):
        kept.append(jnp.sum(variables["params"]))
        return judge(variables, x, train=train, key=key)[0] + kept[0], {}

    return apply


def with_noise(variables, x, *, train, key):
    noise = np.random.default_rng().normal(size=(1, *x.shape[1:]))
    return judge(variables, x + noise, train=train, key=key)


def averaged(variables, x, *, train, key):
    return jnp.mean(judge(variables, x, train=train, key=key)[0], keepdims=True), {}


def with_state(state):
    """A judge that declares a count, and gives `state` of it."""

    def init(key, x):
        return {**linear(key, x), "counts": {"calls": jnp.zeros(())}}

    def apply(variables, x, *, train, key):
        return judge(variables, x, train=train, key=key)[0], state(variables)

    return from_functions(init, apply, name="counter")


def noisy_init(key, x):
    return {"params": jnp.asarray(np.random.default_rng().normal(size=x[0].size))}


BAD = {
    "batch size": (from_functions(linear, averaged), r"averaged.*\(1,\) of a batch of 2"),
    "another constant": (from_functions(linear, with_noise), "with_noise, apply, which is impure"),
    "another count": (from_functions(linear, counting(), name="counting"), "counting.* impure"),
    "a tracer": (from_functions(linear, hoarding(), name="hoarding"), "hoarding.* impure"),
    "init": (from_functions(noisy_init, judge), "judge, init, which is impure"),
    "no state": (
        with_state(lambda variables: {}),
        r"counter, whose apply returns none as model state \['counts'\]\['calls'\], expected "
        r"float32\[\]",
    ),
    "other state": (
        with_state(lambda variables: {"counts": {"calls": jnp.zeros(2)}}),
        r"counter.*float32\[2\].*expected float32\[\]",
    ),
    "another type": (
        with_state(lambda variables: {"counts": {"calls": jnp.zeros((), jnp.int32)}}),
        r"counter.*int32\[\].*expected float32\[\]",
    ),
    "more state": (
        with_state(lambda variables: {"counts": variables["counts"], "more": {}}),
        "counter, whose apply returns model state",
    ),
    "no pair": (from_functions(linear, lambda *_, train, key: {}, name="single"), "single.*dict"),
    "no params": (from_functions(lambda key, x: {}, judge), "judge, whose init gives"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_trained_is_refused_by_name(case):
    bad, message = BAD[case]
    with pytest.raises(UserError, match=f"^discriminator: got {message}"):
        start(discriminator=bad)


def test_state_that_is_kept_is_not_refused():
    kept = with_state(lambda variables: {"counts": {"calls": variables["counts"]["calls"] + 1}})
    assert start(discriminator=kept).discriminator.model_state == {"counts": {"calls": 0}}


def test_nothing_is_compiled_before_it_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "jit", lambda *args, **kwargs: pytest.fail("compiled"))
    with pytest.raises(UserError, match="impure"):
        start(discriminator=from_functions(linear, with_noise))


def test_translation_refuses_by_name_as_well():
    networks = {"ab": PAINTER, "ba": PAINTER}, {"a": JUDGE, "b": from_functions(linear, averaged)}
    with pytest.raises(UserError, match=r"^discriminator 'b': got averaged"):
        cyclegan(*networks).init(KEY, {"a": IMAGES, "b": IMAGES}, TX, TX)


@pytest.mark.parametrize("other", [object(), "dcgan", optax.sgd(0.1), nn.Dense])
def test_what_is_no_network_is_refused(other):
    with pytest.raises(UserError, match=r"^network: got .*, expected a Linen module, or what"):
        start(discriminator=other)


def test_what_calls_more_of_a_generator_asks_for_linen():
    with pytest.raises(UserError, match=r"^generator: got paint, expected a Linen module"):
        stackgan_stage_one(PAINTER, JUDGE)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(np.uint8), "image: got uint8"),
        (IMAGES.astype(np.complex64), "image: got complex64"),
        (np.full_like(IMAGES, np.nan), "image: got NaN"),
        (jnp.full_like(IMAGES, jnp.nan), "image: got NaN"),
    ],
)
def test_pixels_that_are_no_finite_floats_are_refused(images, message):
    with pytest.raises(UserError, match=f"^{message}"):
        start(images=images)
    with pytest.raises(UserError, match=f"^{message.replace('image', 'b')}"):
        cyclegan({"ab": PAINTER, "ba": PAINTER}, {"a": JUDGE, "b": JUDGE}).init(
            KEY, {"a": IMAGES, "b": images}, TX, TX
        )


def centred(variables, x, *, train, key):
    """With batch statistics, which it keeps."""
    mean = jnp.mean(x, 0, keepdims=True) if train else variables["batch_stats"]["mean"]
    return judge(variables, x - mean, train=train, key=key)[0], {"batch_stats": {"mean": mean}}


def with_mean(key, x):
    return {**linear(key, x), "batch_stats": {"mean": jnp.zeros((1, *x.shape[1:]))}}


def with_vector(variables, x, *, train, key):
    """With a state that is made of the parameters alone, as spectral norm's."""
    mean = jnp.full((1, *x.shape[1:]), jnp.mean(variables["params"]))
    return judge(variables, x, train=train, key=key)[0], {"batch_stats": {"mean": mean}}


def penalty_of(discriminator, train=True):
    images = jax.random.normal(KEY, (4, 2, 2, 1))
    variables = discriminator.init(KEY, images[:1])

    def critic(images):
        return network.apply_network(discriminator, variables, images, train=train, key=KEY)[0]

    return penalties.r1(critic, images), variables


@pytest.mark.parametrize("penalty", ["r1", "r2", "gradient_penalty", "dragan"])
def test_penalties_refuse_what_gathers_statistics_of_its_inputs(penalty):
    discriminator = from_functions(with_mean, centred)
    images = jax.random.normal(KEY, (4, 2, 2, 1))
    variables = discriminator.init(KEY, images)

    def critic(images):
        return jaxgan.apply_train(discriminator, variables, images, key=KEY)[0]

    with pytest.raises(UserError, match=r"^critic: got centred with statistics of its inputs"):
        getattr(penalties, penalty)(critic, images, images, KEY)


def test_penalties_refuse_what_says_so():
    discriminator = from_functions(linear, judge, couples_examples=True)
    with pytest.raises(UserError, match=r"^critic: got judge, of which couples_examples"):
        penalty_of(discriminator)


@pytest.mark.parametrize(
    ("discriminator", "train"),
    [
        (JUDGE, True),
        (from_functions(with_mean, with_vector), True),
        (from_functions(with_mean, centred), False),
        (from_functions(linear, judge, couples_examples=True), False),
    ],
)
def test_penalties_take_others(discriminator, train):
    value, variables = penalty_of(discriminator, train)
    np.testing.assert_allclose(value, np.sum(np.square(variables["params"])), rtol=1e-5)
