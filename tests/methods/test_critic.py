"""The adversarial term: against references by hand, and against the train step's own updates."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jaxgan import Context, UserError, adversarial_critic, losses, make_train_step, networks
from jaxgan.losses import penalties
from jaxgan.methods import adversarial
from jaxgan.network import as_network, from_functions
from jaxgan.networks.layers import Conv, LeakyReLU
from jaxgan.networks.spectral import SpectralNorm

KEY = jax.random.key(0)
TX = optax.adam(1e-2, b1=0.5)
SHAPE = (8, 8, 8, 1)


class Judge(nn.Module):
    """A small critic, with whatever a test needs of it."""

    scales: int = 1
    features: bool = False
    dropout: float = 0.0
    patches: bool = False

    @nn.compact
    def __call__(self, x, train=False):
        logits, features = [], []
        for _ in range(self.scales):
            y = SpectralNorm(Conv(4, (3, 3), 2))(x, update_stats=train)
            y = LeakyReLU(0.2)(y)
            features.append(y)
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
            y = Conv(1, (3, 3), kernel_init=nn.initializers.normal(0.3))(y)[..., 0]
            logits.append(y if self.patches else jnp.mean(y, (1, 2)))
            x = nn.avg_pool(x, (2, 2), (2, 2))
        logits = logits if self.scales > 1 else logits[0]
        return (logits, features) if self.features else logits


class Linear(nn.Module):
    """w . x, of which all can be worked out by hand; its features are 2 x."""

    value: Any = (1.0, -2.0)
    features: bool = False

    @nn.compact
    def __call__(self, x, train=False):
        weight = self.param("weight", lambda _: jnp.array(self.value))
        return (x @ weight, [2 * x]) if self.features else x @ weight


def draw(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


REAL, FAKE = draw(), draw(seed=1)


def make(network=None, *, tx=TX, loss=losses.hinge, examples=REAL, **options):
    critic = adversarial_critic(network or Judge(), tx, loss=loss, **options)
    return critic, critic.init(KEY, examples)


@functools.partial(jax.jit, static_argnums=0)
def apply(network, variables, x):
    """(what it gives, the variables after this pass in training)"""
    out, changed = network.apply(variables, x, train=True, mutable=["spectral"])
    return out, {**variables, **changed}


# What the term and the update are, by hand.

X, Y = draw((5, 2), 2), draw((5, 2), 3)
W = np.array([1.0, -2.0], np.float32)


def test_the_term_and_its_gradient_are_those_of_the_moved_critic():
    critic, state = make(Linear(), tx=optax.sgd(0.5), examples=X)
    r, f = X @ W, Y @ W
    by_w = -(X * (r < 1)[:, None]).mean(0) + (Y * (f > -1)[:, None]).mean(0)
    moved = W - 0.5 * by_w

    def loss_fn(fake):
        term, state_, metrics = critic.update(state, X, fake, 0)
        return term, (state_, metrics)

    (term, (after, metrics)), by_fake = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(Y)
    np.testing.assert_allclose(after.player.params["weight"], moved, rtol=1e-5)
    np.testing.assert_allclose(term, -np.mean(Y @ moved), rtol=1e-5)
    np.testing.assert_allclose(by_fake, np.tile(-moved / 5, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(metrics["generator_gradient_norm"], np.linalg.norm(moved), rtol=1e-5)
    np.testing.assert_allclose(metrics["generator_loss"], term, rtol=1e-6)
    parts = np.maximum(1 - r, 0).mean(), np.maximum(1 + f, 0).mean()
    np.testing.assert_allclose(metrics["discriminator_loss_real"], parts[0], rtol=1e-5)
    np.testing.assert_allclose(metrics["discriminator_loss_fake"], parts[1], rtol=1e-5)
    np.testing.assert_allclose(metrics["discriminator_loss"], sum(parts), rtol=1e-5)


def test_second_derivatives_by_the_fakes_are_right():
    """The term has a rule of its own for its derivative, which is differentiated in its turn."""
    critic, state = make(Linear(), tx=optax.sgd(0.0), loss=losses.least_squares, examples=X)
    hessian = jax.hessian(lambda fake: critic.update(state, X, fake[None], 0)[0])
    with pytest.raises(UserError, match=r"^fake: got shape \(1, 2\), expected \(5, 2\)"):
        hessian(Y[0])
    X1 = X[:1]
    hessian = jax.hessian(lambda fake: critic.update(state, X1, fake[None], 0)[0])
    np.testing.assert_allclose(hessian(jnp.asarray(Y[0])), np.outer(W, W), rtol=1e-5)


def test_nothing_but_the_fakes_is_given_gradients():
    critic, state = make(Judge(features=True), feature_weight=1.0, lecam_weight=0.1)

    def term(player, real, fake):
        return critic.update(state.replace(player=player), real, fake, 0)[0]

    grads = jax.jit(jax.grad(term, argnums=(0, 1, 2), allow_int=True))(state.player, REAL, FAKE)
    floats = [x for x in jax.tree.leaves(grads[:2]) if x.dtype == jnp.float32]
    assert not any(np.any(x) for x in floats)
    assert np.all(np.any(grads[2] != 0, axis=(1, 2, 3)))


def test_the_state_that_comes_out_depends_on_no_gradient():
    critic, state = make()

    def total(fake):
        after = critic.update(state, REAL, fake, 0)[1]
        return sum(jnp.sum(x) for x in jax.tree.leaves(after.player.params))

    assert not np.any(jax.jit(jax.grad(total))(jnp.asarray(FAKE)))


# Against the train step, whose discriminator is updated by code of its own.


@pytest.mark.parametrize(
    ("network", "loss", "penalty", "interval"),
    [
        (Judge(), losses.non_saturating, None, 1),
        (Judge(), losses.relativistic, lambda *x: penalties.r1(*x) + penalties.r2(*x), 2),
        (Judge(patches=True), losses.hinge, None, 1),
        (networks.DCGANDiscriminator((2, 4), 3), losses.least_squares, None, 1),
    ],
    ids=["spectral", "penalised", "patches", "batch_norm"],
)
def test_a_loss_of_the_term_alone_is_the_step_of_the_game(network, loss, penalty, interval):
    generator, gen_tx = networks.MLPGenerator((6,), SHAPE[1:]), optax.adam(1e-3)
    options = {"loss": loss, "penalty": penalty, "penalty_interval": interval}
    method = adversarial(generator, network, latent_dim=3, **options)
    batch = {"image": jnp.asarray(REAL)}
    begun = method.init(KEY, batch, gen_tx, TX)
    step = jax.jit(make_train_step(method, gen_tx, TX))
    critic, state = make(network, ema_decay=0.9, **options)
    state = state.replace(player=begun.discriminator.replace(ema_params=begun.discriminator.params))

    @jax.jit
    def own_step(params, opt_state, state, number):
        key = jax.random.fold_in(jax.random.fold_in(begun.key, number), 0)

        def loss_fn(params):
            variables = {"params": params, **begun.generator.model_state}
            fake, _ = method.generate(variables, batch, Context(number, key, None))
            term, after, metrics = critic.update(state, batch["image"], fake, number)
            return term, (after, metrics)

        grads, (state_, metrics) = jax.grad(loss_fn, has_aux=True)(params)
        updates, opt_state = gen_tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, state_, metrics

    expected, params, opt_state = begun, begun.generator.params, begun.generator.opt_state
    average = begun.discriminator.params
    for number in range(3):
        expected, wanted = step(expected, batch)
        params, opt_state, state, metrics = own_step(params, opt_state, state, number)
        kept = min(0.9, (1 + number) / (10 + number))
        average = jax.tree.map(
            lambda a, p, kept=kept: kept * a + (1 - kept) * p, average, state.player.params
        )
        shared = {name: metrics[name] for name in wanted}
        assert tiny.difference(shared, wanted) < 2e-5
    assert tiny.difference(state.player.replace(ema_params=None), expected.discriminator) < 1e-5
    assert tiny.difference(params, expected.generator.params) < 1e-5
    assert tiny.difference(state.player.ema_params, average) < 1e-6
    assert tiny.difference(begun.discriminator.params, state.player.params) > 1e-3


# Start, lazy penalties, LeCam, features, several judges.


def follow(critic, state, steps, fakes=None):
    """(terms, states, metrics) of updates one after another, each with fakes of its own."""

    def body(state, inputs):
        step, fake = inputs
        (term, (state, metrics)), by_fake = jax.value_and_grad(
            lambda fake: (lambda t, *rest: (t, rest))(*critic.update(state, REAL, fake, step)),
            has_aux=True,
        )(fake)
        return state, (term, state, metrics, by_fake)

    fakes = jnp.stack([draw(seed=9 + i) for i in range(len(steps))]) if fakes is None else fakes
    return jax.jit(lambda state: jax.lax.scan(body, state, (jnp.array(steps), fakes)))(state)[1]


def at(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def test_before_the_start_the_term_is_zero_and_nothing_moves():
    options = {"lecam_weight": 0.1, "ema_decay": 0.9, "penalty": penalties.r1}
    options["tx"] = optax.sgd(0.1, momentum=0.9)  # Adam magnifies rounding of small gradients
    critic, state = make(start=2, **options)
    terms, states, metrics, by_fakes = follow(critic, state, range(4))
    assert not np.any(terms[:2])
    assert not np.any(by_fakes[:2])
    for i in range(2):
        assert tiny.difference(at(states, i), state) == 0
        assert {k for k, v in metrics.items() if v[i] != 0} == {"diversity"}
    assert np.all(terms[2:] != 0)
    # From there on it is the critic that begins at once, with the same fakes.
    at_once, again = make(**options)
    fakes = jnp.stack([draw(seed=9 + i) for i in (2, 3)])
    expected = follow(at_once, again, [0, 1], fakes)
    np.testing.assert_allclose(terms[2:], expected[0], rtol=1e-4)
    assert tiny.difference(at(states, 3), at(expected[1], 1)) < 1e-5


def test_a_lazy_penalty_is_paid_in_proportion_at_some_updates_from_the_start_on():
    critic, state = make(penalty=penalties.r1, penalty_interval=3, start=1)
    _, states, metrics, _ = follow(critic, state, range(6))
    assert list(np.flatnonzero(metrics["penalty"])) == [1, 4]
    often, _ = make(penalty=penalties.r1)
    player = at(states, 3)
    every = jax.jit(often.update)(player, REAL, draw(seed=13), 4)[2]
    np.testing.assert_allclose(metrics["penalty"][4], 3 * every["penalty"], rtol=1e-5)


def test_a_penalty_is_by_the_mean_of_the_logits_of_an_example():
    network = Judge(scales=2, patches=True)
    critic, state = make(network, penalty=lambda critic, real, *_: jnp.sum(critic(real)))
    metrics = jax.jit(critic.update)(state, REAL, FAKE, 0)[2]
    _, again = apply(network, state.player.variables, REAL)
    logits, _ = apply(network, again, REAL)
    expected = sum(np.sum(np.mean(x, (1, 2))) for x in logits)
    np.testing.assert_allclose(metrics["penalty"], expected, rtol=1e-4)


def test_lecam_follows_the_logits_as_numpy_does():
    still = optax.sgd(0.0)  # so that all logits are known
    critic, state = make(Linear(), tx=still, lecam_weight=0.5, examples=X)
    fakes = [draw((5, 2), 20 + i) for i in range(4)]
    r = X @ W
    real_sum = fake_sum = weight = 0.0
    for i, fake in enumerate(fakes):
        _, state, metrics = jax.jit(critic.update)(state, X, fake, i)
        f = fake @ W
        real_sum = 0.99 * real_sum + 0.01 * r.mean()
        fake_sum = 0.99 * fake_sum + 0.01 * f.mean()
        weight = 0.99 * weight + 0.01
        a_real, a_fake = real_sum / weight, fake_sum / weight
        expected = np.mean(np.maximum(r - a_fake, 0) ** 2) + np.mean(np.maximum(a_real - f, 0) ** 2)
        np.testing.assert_allclose(metrics["lecam"], expected, rtol=1e-4)
        hinge = np.maximum(1 - r, 0).mean() + np.maximum(1 + f, 0).mean()
        np.testing.assert_allclose(metrics["discriminator_loss"], hinge + 0.5 * expected, rtol=1e-4)
    assert set(state.averages) == {"real", "fake", "weight"}


def test_features_are_matched_in_the_term():
    critic, state = make(Linear(features=True), tx=optax.sgd(0.0), feature_weight=3.0, examples=X)
    plain, _ = make(Linear(features=True), tx=optax.sgd(0.0), examples=X)

    def term(fake, critic):
        value, _, metrics = critic.update(state, X, fake, 0)
        return value, metrics

    (value, metrics), slope = jax.value_and_grad(term, has_aux=True)(jnp.asarray(Y), critic)
    distance = 2 * np.mean(np.abs(X - Y))
    np.testing.assert_allclose(metrics["feature_matching"], distance, rtol=1e-6)
    np.testing.assert_allclose(value, -np.mean(Y @ W) + 3 * distance, rtol=1e-5)
    (without, metrics), _ = jax.value_and_grad(term, has_aux=True)(jnp.asarray(Y), plain)
    np.testing.assert_allclose(without, -np.mean(Y @ W), rtol=1e-5)
    assert "feature_matching" not in metrics
    np.testing.assert_allclose(slope, -W / 5 + 6 * np.sign(Y - X) / 10, rtol=1e-5)


def test_the_losses_of_several_judges_are_added():
    network = Judge(scales=2, patches=True)
    critic, state = make(network, tx=optax.sgd(0.0), loss=losses.non_saturating, lecam_weight=1.0)
    term, after, metrics = jax.jit(critic.update)(state, REAL, FAKE, 0)
    variables, logits = state.player.variables, []
    for x in (REAL, FAKE, FAKE):
        out, variables = apply(network, variables, x)
        logits.append([np.asarray(y, np.float64).ravel() for y in out])

    def softplus(x):
        return np.log1p(np.exp(x)).mean()

    expected = sum(softplus(-x) for x in logits[0])
    np.testing.assert_allclose(metrics["discriminator_loss_real"], expected, rtol=1e-5)
    np.testing.assert_allclose(term, sum(softplus(-x) for x in logits[2]), rtol=1e-4)
    means = [[x.mean() for x in side] for side in logits[:2]]
    np.testing.assert_allclose(after.averages["real"], 0.01 * np.array(means[0]), rtol=1e-4)
    np.testing.assert_allclose(after.averages["fake"], 0.01 * np.array(means[1]), rtol=1e-4)


def test_other_inputs_reach_the_network():
    class Labelled(nn.Module):
        @nn.compact
        def __call__(self, x, labels, train=False):
            return nn.Dense(3)(x)[jnp.arange(len(x)), labels]

    critic = adversarial_critic(Labelled(), TX, loss=losses.hinge)
    labels = jnp.array([0, 1, 2, 0, 1])
    state = critic.init(KEY, X, labels)
    one, other = (
        jax.jit(critic.update)(state, X, Y, 0, given)[0] for given in (labels, 2 - labels)
    )
    assert one != other


# As others run it.


def test_seeds_map_and_steps_scan_as_one_after_another():
    critic, _ = make(Judge(dropout=0.3), penalty=penalties.dragan, lecam_weight=0.1)
    keys = jax.random.split(KEY, 3)
    states = jax.vmap(lambda key: critic.init(key, REAL))(keys)
    mapped, (terms, *_) = jax.jit(
        jax.vmap(
            lambda state: jax.lax.scan(
                lambda s, i: (lambda t, s, m: (s, (t, m)))(*critic.update(s, REAL, FAKE, i)),
                state,
                jnp.arange(2),
            )
        )
    )(states)
    update = jax.jit(critic.update)
    for i, key in enumerate(keys):
        state = critic.init(key, REAL)
        for step in range(2):
            term, state, _ = update(state, REAL, FAKE, step)
            np.testing.assert_allclose(terms[i, step], term, rtol=1e-4)
        assert tiny.difference(at(mapped, i), state) < 1e-5
    assert len({float(x) for x in terms[:, 0]}) == 3


def test_dropout_and_penalties_draw_anew_at_each_step():
    critic, state = make(Judge(dropout=0.5), tx=optax.sgd(0.0))
    update = jax.jit(critic.update)
    terms = [float(update(state, REAL, FAKE, step)[0]) for step in (0, 1, 0)]
    assert terms[0] == terms[2] != terms[1]


def test_four_devices_are_one():
    options = {
        "loss": losses.non_saturating,
        "feature_weight": 2.0,
        "lecam_weight": 0.5,
        "ema_decay": 0.9,
        "start": 1,
        "penalty_interval": 2,
    }

    def build(axis_name=None):
        def penalty(*inputs):
            return penalties.gradient_penalty(*inputs, axis_name=axis_name)

        network = Judge(scales=2, features=True)
        return adversarial_critic(network, TX, penalty=penalty, axis_name=axis_name, **options)

    def own_step(critic, local=lambda x: x, mean=lambda x: x):
        def step(state, scale, real, fake, number):
            def loss_fn(scale):
                term, new, metrics = critic.update(state, real, scale * fake, number)
                return term, (new, metrics)

            grad, (state, metrics) = jax.grad(loss_fn, has_aux=True)(local(scale))
            return state, scale - 0.1 * mean(grad), metrics

        return step

    mapped = jax.shard_map(
        own_step(
            build("data"),
            lambda x: jax.lax.pcast(x, "data", to="varying"),
            lambda x: jax.lax.pmean(x, "data"),
        ),
        mesh=Mesh(np.array(jax.devices()[:4]), ("data",)),
        in_specs=(P(), P(), P("data"), P("data"), P()),
        out_specs=P(),
    )
    results = []
    for step in (own_step(build()), mapped):
        step, state, scale = jax.jit(step), build().init(KEY, REAL), jnp.ones(())
        for number in range(3):
            state, scale, metrics = step(state, scale, REAL, FAKE, number)
        results.append((state, scale, metrics))
    assert tiny.difference(*results) < 1e-5
    assert abs(float(results[0][1]) - 1) > 1e-4


def test_the_state_is_saved_and_restored_by_orbax(tmp_path):
    import orbax.checkpoint as ocp

    critic, state = make(lecam_weight=0.1, ema_decay=0.9)
    state = jax.jit(critic.update)(state, REAL, FAKE, 0)[1]
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "critic", {"critic": state})
        checkpointer.wait_until_finished()
        empty = {"critic": critic.init(jax.random.key(1), REAL)}
        restored = checkpointer.restore(tmp_path / "critic", empty)["critic"]
    assert tiny.difference(restored, state) == 0


# Refusals.


@pytest.mark.parametrize(
    ("real", "fake", "named"),
    [
        (REAL.astype(np.int32), FAKE, "real"),
        (REAL, FAKE.astype(np.complex64), "fake"),
        (REAL, FAKE[:, :4], "fake"),
        (REAL[:, 0, 0, 0], FAKE, "real"),
        (REAL, np.where(FAKE > 2, np.nan, FAKE), "fake"),
        (np.where(REAL > 2, np.nan, REAL), FAKE, "real"),
    ],
)
def test_bad_examples_are_refused_by_name(real, fake, named):
    critic, state = make()
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        critic.update(state, real, fake, 0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"feature_weight": -1.0}, "feature_weight"),
        ({"feature_weight": float("nan")}, "feature_weight"),
        ({"lecam_weight": -0.1}, "lecam_weight"),
        ({"start": -1}, "start"),
        ({"penalty_interval": 0}, "penalty_interval"),
    ],
)
def test_numbers_out_of_range_are_refused(options, named):
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        adversarial_critic(Judge(), TX, loss=losses.hinge, **options)


def test_a_penalty_that_is_no_scalar_is_refused():
    critic, state = make(penalty=lambda critic, real, fake, key: critic(real))
    with pytest.raises(UserError, match=r"^penalty: got shape \(8,\), expected a scalar"):
        jax.eval_shape(critic.update, state, REAL, FAKE, 0)


class Whole(nn.Module):
    """One logit for the whole batch."""

    @nn.compact
    def __call__(self, x, train=False):
        return jnp.mean(nn.Dense(1)(x))


@pytest.mark.parametrize(
    ("network", "options", "named"),
    [(Whole(), {}, "network"), (Judge(), {"feature_weight": 1.0}, "feature_weight")],
)
def test_networks_without_the_outputs_are_refused(network, options, named):
    critic = adversarial_critic(network, TX, loss=losses.hinge, **options)
    with pytest.raises(UserError, match=rf"^{named}: got [^\n]*$"):
        critic.init(KEY, REAL)
    with pytest.raises(UserError, match=r"^examples: got int32 [^\n]*$"):
        critic.init(KEY, REAL.astype(np.int32))


def test_a_critic_may_be_of_any_framework_but_not_impure():
    updates = []
    for network in (Judge(), as_network(Judge())):
        critic = adversarial_critic(network, TX, loss=losses.hinge)
        updates.append(jax.jit(critic.update)(critic.init(KEY, REAL), REAL, FAKE, 0))
    assert updates[0][0] == updates[1][0]
    assert tiny.difference(*(state.player.params for _, state, _ in updates)) == 0

    def init(key, x):
        return {"params": {}}

    def draws(variables, x, *, train, key):
        return jnp.mean(x, (1, 2, 3)) + np.random.default_rng().normal(), {}

    critic = adversarial_critic(from_functions(init, draws), TX, loss=losses.hinge)
    with pytest.raises(UserError, match=r"^network: got draws, apply, which is impure"):
        critic.init(KEY, REAL)
