"""DMD2: its gradient beside scores that are known, both losses in NumPy, and how it begins."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

from jaxgan import Context, UserError, losses, make_train_step
from jaxgan.methods import distribution_matching, dmd2
from jaxgan.methods.flow_matching import add_noise

KEY, TX = jax.random.key(0), optax.sgd(0.1)
SHAPE, DIM = (2, 2, 1), 4
RNG = np.random.default_rng(0)


def log_density(x, t, mean, sigma):
    """Of x_t, of a number from N(mean, sigma^2)."""
    return norm.logpdf(x, (1 - t) * mean, np.sqrt(((1 - t) * sigma) ** 2 + t**2))


def velocity(x, t, mean, sigma):
    """E[e - x | x_t] of it, from E[x | x_t] by the rule of two Gaussians."""
    gain = (1 - t) * sigma**2 / (((1 - t) * sigma) ** 2 + t**2)
    of_data = mean + gain * (x - (1 - t) * mean)
    return (x - of_data) / t


def test_the_gradient_is_the_difference_of_scores():
    """Those by finite differences of the densities; and scaled alike in each image."""
    real, fake, h = (0.5, 0.4), (-0.2, 0.9), 1e-4
    images, noise = RNG.standard_normal((2, 3, *SHAPE))
    t = np.array([0.1, 0.5, 0.9])
    of_each = t[:, None, None, None]
    x = (1 - of_each) * images + of_each * noise
    velocities = [velocity(x, of_each, *of) for of in (real, fake)]
    given = [np.float32(a) for a in (images, x, t, *velocities)]
    found = distribution_matching(*given)
    scores = [
        (log_density(x + h, of_each, *of) - log_density(x - h, of_each, *of)) / (2 * h)
        for of in (real, fake)
    ]
    taken = np.abs(images - (x - of_each * velocities[0])).mean((1, 2, 3), keepdims=True)
    expected = of_each**2 / (1 - of_each) * (scores[1] - scores[0]) / taken
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert not np.any(jax.grad(lambda *a: jnp.sum(distribution_matching(*a)))(*given))


class Teacher(nn.Module):
    @nn.compact
    def __call__(self, x, t, train=False):
        return nn.Dense(1, name="velocity")(x) + t[:, None, None, None]


class Student(nn.Module):
    @nn.compact
    def __call__(self, latents, train=False):
        return nn.Dense(1, name="velocity")(latents.reshape(-1, *SHAPE))


class Critic(nn.Module):
    logits: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x, t, train=False):
        h = x.reshape(len(x), -1)
        logits = nn.Dense(1, name="judge")(h).reshape(-1, *self.logits)
        return nn.Dense(1, name="velocity")(x) - t[:, None, None, None], logits


SHOWN = jnp.zeros((1, *SHAPE)), jnp.zeros(1)
OF_TEACHER = Teacher().init(jax.random.key(7), *SHOWN)
BATCH = {"image": RNG.uniform(-1, 1, (6, *SHAPE)).astype(np.float32)}
CONTEXT = Context(jnp.int32(0), jax.random.key(1), {"teacher": OF_TEACHER})


def method(student=None, critic=None, **options):
    players = student or Student(), critic or Critic(), Teacher()
    return dmd2(*players, teacher_variables=OF_TEACHER, latent_dim=DIM, **options)


def begin(**options):
    """A method, its state with a critic that is no longer the teacher, and its fakes."""
    made = method(**options)
    state = made.init(KEY, BATCH, TX, TX, ema=True)
    critic = jax.tree.map(lambda x: x + 0.3, state.discriminator.params)
    state = state.replace(discriminator=state.discriminator.replace(params=critic))
    fakes, _ = made.generate(state.generator.variables, BATCH, CONTEXT)
    return made, state, fakes


def judged(variables, images, key, times=(0.0, 1.0)):
    """Noisy images and what the critic says of them, in float64."""
    noised = add_noise(images, jax.random.split(key)[0], times)
    x, t, e = (np.float64(a) for a in noised)
    of = jax.tree.map(np.float64, variables["params"])
    logits = x.reshape(len(x), -1) @ of["judge"]["kernel"] + of["judge"]["bias"]
    t = t[:, None, None, None]
    return x, t, e, x @ of["velocity"]["kernel"] + of["velocity"]["bias"] - t, logits[:, 0]


def test_the_critic_follows_the_fakes_and_tells_them_from_images():
    made, state, fakes = begin(critic_gan_weight=0.4)
    variables = state.discriminator.variables
    loss, aux = made.disc_loss(variables, fakes, BATCH, CONTEXT)
    real_key, fake_key = jax.random.split(CONTEXT.key)
    _, _, e, v, fake = judged(variables, fakes, fake_key)
    _, _, _, _, real = judged(variables, BATCH["image"], real_key)
    flow = np.mean((v - (e - np.float64(fakes))) ** 2)
    gan = np.mean(np.logaddexp(0, -real)) + np.mean(np.logaddexp(0, fake))
    assert loss == pytest.approx(flow + 0.4 * gan, rel=1e-5)
    assert aux.metrics["flow_matching_loss"] == pytest.approx(flow, rel=1e-5)
    assert aux.metrics["discriminator_loss_gan"] == pytest.approx(gan, rel=1e-5)


def test_the_student_goes_where_teacher_and_critic_differ():
    made, state, fakes = begin(gan_weight=0.2, times=(0.3, 0.6))
    generator, variables = state.generator.variables, state.discriminator.variables

    def loss_of(fakes):
        return made.gen_loss(generator, variables, fakes, BATCH, CONTEXT)

    (loss, aux), slope = jax.value_and_grad(loss_of, has_aux=True)(fakes)
    x, t, _, v, logits = judged(variables, fakes, CONTEXT.key, (0.3, 0.6))
    assert 0.3 <= t.min() < t.max() <= 0.6
    of = jax.tree.map(np.float64, OF_TEACHER["params"]["velocity"])
    real = x - t * (x @ of["kernel"] + of["bias"] + t)
    taken = np.abs(np.float64(fakes) - real).mean((1, 2, 3), keepdims=True)
    direction = (x - t * v - real) / taken
    gan = np.mean(np.logaddexp(0, -logits))
    assert aux.metrics["distribution_matching"] == pytest.approx(
        np.mean(direction**2) / 2, rel=1e-4
    )
    assert aux.metrics["generator_loss_gan"] == pytest.approx(gan, rel=1e-5)
    assert loss == pytest.approx(np.mean(direction**2) / 2 + 0.2 * gan, rel=1e-4)
    # Of the logit by the image, through x_t = (1 - t) x + t e.
    kernel = np.float64(variables["params"]["judge"]["kernel"])[:, 0].reshape(SHAPE)
    by_logit = -1 / (1 + np.exp(logits)[:, None, None, None]) / len(fakes)
    expected = direction / direction.size + 0.2 * by_logit * (1 - t) * kernel
    np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-6)


def test_without_weight_there_is_no_adversarial_term():
    made, state, fakes = begin(gan_weight=0.0)
    variables = state.discriminator.variables
    grads, aux = jax.grad(
        lambda params: made.disc_loss({"params": params}, fakes, BATCH, CONTEXT), has_aux=True
    )(variables["params"])
    assert not np.any(grads["judge"]["kernel"])
    assert np.all(grads["velocity"]["kernel"])
    assert {*aux.metrics} == {"flow_matching_loss", "diversity"}
    _, aux = made.gen_loss(state.generator.variables, variables, fakes, BATCH, CONTEXT)
    assert {*aux.metrics} == {"distribution_matching"}


def test_both_players_begin_as_the_teacher():
    state = method().init(KEY, BATCH, TX, TX, ema=True)
    known = OF_TEACHER["params"]["velocity"]
    for params in (state.generator.params, state.generator.ema_params, state.discriminator.params):
        jax.tree.map(np.testing.assert_array_equal, params["velocity"], known)
    assert np.any(state.discriminator.params["judge"]["kernel"])
    jax.tree.map(np.testing.assert_array_equal, state.extra["teacher"], OF_TEACHER)


class Gaussian(nn.Module):
    """The velocities of numbers from N(mean, sigma^2), which are learnt or given."""

    known: tuple[float, float] | None = None

    @nn.compact
    def __call__(self, x, t, train=False):
        given = jnp.zeros(2) if self.known is None else jnp.array(self.known)
        mean, log_sigma = given if self.known else self.param("of", lambda key: given)
        t = t[:, None, None, None]
        variance = ((1 - t) * jnp.exp(log_sigma)) ** 2 + t**2
        gain = (t - (1 - t) * jnp.exp(2 * log_sigma)) / variance
        velocity = gain * (x - (1 - t) * mean) - mean
        return velocity if self.known else (velocity, jnp.zeros(len(x)))


class Line(nn.Module):
    @nn.compact
    def __call__(self, latents, train=False):
        a, b = self.param("of", lambda key: jnp.array([1.0, 0.0]))
        return a * latents.reshape(-1, *SHAPE) + b


def test_a_student_comes_to_the_distribution_of_its_teacher():
    """Without a real image: from N(0, 1) to the teacher's N(0.7, 0.3^2)."""
    teacher, txs = Gaussian((0.7, np.log(0.3))), (optax.adam(3e-3), optax.adam(1e-2))
    made = dmd2(
        Line(), Gaussian(), teacher, teacher_variables={"params": {}}, latent_dim=DIM, gan_weight=0
    )
    batch = {"image": jnp.zeros((64, *SHAPE))}
    state = made.init(KEY, batch, *txs, ema=True)
    step = make_train_step(made, *txs, ema_decay=0.99)
    run = jax.jit(lambda s: jax.lax.scan(lambda s, _: step(s, batch), s, length=1_500)[0])
    state = run(state)
    found = state.generator.ema_params["of"], state.discriminator.params["of"]
    np.testing.assert_allclose(abs(found[0][0]), 0.3, atol=0.05)
    np.testing.assert_allclose(found[0][1], 0.7, atol=0.05)
    np.testing.assert_allclose(found[1], [0.7, np.log(0.3)], atol=0.15)


class Stranger(nn.Module):
    @nn.compact
    def __call__(self, latents, train=False):
        return nn.Dense(DIM)(latents).reshape(-1, *SHAPE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gan_weight": -1.0}, r"gan_weight: got -1\.0"),
        ({"critic_gan_weight": float("nan")}, "critic_gan_weight: got nan"),
        ({"times": (0.0, 0.5)}, r"times: got \(0\.0, 0\.5\)"),
        ({"loss": losses.relativistic}, "loss: got one that shows"),
        ({"student": Stranger()}, "student: got none for velocity/"),
        ({"critic": Critic((1, 1))}, "discriminator: got logits"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        method(**options).init(KEY, BATCH, TX, TX)
