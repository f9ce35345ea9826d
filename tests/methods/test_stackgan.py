"""StackGAN's objectives: what is paired with what, what is paid, what stays frozen."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_expit
from tiny import difference

from jaxgan import Context, UserError, losses, make_train_step
from jaxgan.methods import stackgan_stage_one as stage_one_game
from jaxgan.methods import stackgan_stage_two as stage_two_game
from jaxgan.networks import (
    StackGANDiscriminator,
    StackGANStageOne,
    StackGANStageTwo,
    stackgan_stage_one,
    stackgan_stage_two,
)

TX = optax.adam(1e-3, b1=0.5)
E = 6


class Told(nn.Module):
    """A generator of nothing but its caption; its Gaussian has a parameter for a mean."""

    latent_dim: int = 2
    condition_dim: int = 3

    def setup(self):
        self.mean = self.param("mean", nn.initializers.constant(2.0), ())

    def condition(self, embeddings):
        mean = jnp.full((len(embeddings), self.condition_dim), 1.0) * self.mean
        return mean, jnp.zeros_like(mean)

    def __call__(self, latents, embeddings, train=False):
        assert latents.shape[1] == 5
        return embeddings[:, :1, None, None] * self.mean


class Agreement(nn.Module):
    """A logit that is the product of image and caption."""

    @nn.compact
    def __call__(self, images, embeddings, train=False):
        scale = self.param("scale", nn.initializers.ones, ())
        captions = embeddings[..., 0]
        return scale * jnp.broadcast_to(images[:, 0, 0, 0], captions.shape) * captions


EMBEDDINGS = np.array([0.5, -1.0, 2.0, 0.1], np.float32)
# The second entry tells the discriminator nothing, but which caption is near which.
PLANE = np.stack([EMBEDDINGS, np.array([0.5, 2.0, 1.0, 0.14], np.float32)], axis=1)
NEAREST = [3, 3, 0, 0]  # at 45, 117, 27 and 54 degrees
REAL = np.array([1.0, -0.7, 0.3, 2.0], np.float32)
FAKE = np.array([0.2, 0.4, -1.0, 1.5], np.float32)
CONTEXT = Context(jnp.int32(0), jax.random.key(0), None)


def batch_of_four():
    return {"image": REAL.reshape(4, 1, 1, 1), "embedding": PLANE}


def test_the_discriminator_sees_right_wrong_and_generated_pairs():
    game = stage_one_game(Told(), Agreement())
    loss, aux = game.disc_loss(
        {"params": {"scale": jnp.ones(())}}, jnp.asarray(FAKE).reshape(4, 1, 1, 1),
        batch_of_four(), CONTEXT,
    )  # fmt: skip
    right = [REAL[i] * EMBEDDINGS[i] for i in range(4)]
    wrong = [REAL[i] * EMBEDDINGS[NEAREST[i]] for i in range(4)]
    fake = [FAKE[i] * EMBEDDINGS[i] for i in range(4)]
    parts = {
        "real": -np.mean(log_expit(np.float64(right))),
        "wrong": -np.mean(log_expit(-np.float64(wrong))),
        "fake": -np.mean(log_expit(-np.float64(fake))),
    }
    # The authors' weights: real + (wrong + fake) / 2.
    assert float(loss) == pytest.approx(
        parts["real"] + (parts["wrong"] + parts["fake"]) / 2, rel=1e-5
    )
    for name, value in parts.items():
        assert float(aux.metrics[f"discriminator_loss_{name}"]) == pytest.approx(value, rel=1e-5)
    assert float(aux.metrics["accuracy_wrong"]) == np.mean(np.array(wrong) < 0)
    assert float(aux.metrics["d_wrong"]) == pytest.approx(
        np.mean(np.exp(log_expit(np.float64(wrong)))), rel=1e-5
    )


def test_the_same_caption_of_another_image_is_not_wrong():
    data = batch_of_four()
    data["embedding"] = PLANE[[0, 0, 1, 1]]
    _, aux = stage_one_game(Told(), Agreement()).disc_loss(
        {"params": {"scale": jnp.ones(())}}, jnp.asarray(FAKE).reshape(4, 1, 1, 1), data, CONTEXT
    )
    wrong = np.float64(REAL * EMBEDDINGS[[1, 1, 0, 0]])
    assert float(aux.metrics["discriminator_loss_wrong"]) == pytest.approx(
        -np.mean(log_expit(-wrong)), rel=1e-5
    )


def pay_as_discriminator(data, images=FAKE, **options):
    shape = len(images), 1, 1, 1
    data = {**data, "image": data["image"].reshape(shape)}
    return stage_one_game(Told(), Agreement(), **options).disc_loss(
        {"params": {"scale": jnp.ones(())}}, jnp.asarray(images).reshape(shape), data, CONTEXT
    )


def test_where_all_captions_are_equal_no_pair_is_wrong():
    data = {**batch_of_four(), "embedding": PLANE[[1, 1, 1, 1]]}
    loss, aux = pay_as_discriminator(data)
    right, fake = np.float64(REAL * EMBEDDINGS[1]), np.float64(FAKE * EMBEDDINGS[1])
    expected = -np.mean(log_expit(right)) - np.mean(log_expit(-fake))
    assert float(loss) == pytest.approx(expected / 2, rel=1e-5)
    for name in ("discriminator_loss_wrong", "d_wrong", "accuracy_wrong"):
        assert float(aux.metrics[name]) == 0


# In the plane the nearest of each would be 3, 3, 0, 0; the last has no other at all.
PARAPHRASED = {
    "meaning": (np.array([7, 5, 5, 7], np.int32), PLANE, [2, 3, 0, 2]),
    "equal or of one meaning": (
        np.array([7, 5, 5, 5], np.int32), PLANE[[0, 1, 2, 0]], [2, 0, 0, None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAPHRASED)
def test_a_paraphrase_of_the_right_caption_is_not_wrong(name):
    meaning, embeddings, expected = PARAPHRASED[name]
    captions = embeddings[:, 0]
    loss, aux = pay_as_discriminator(
        {**batch_of_four(), "embedding": embeddings, "meaning": meaning}
    )
    pairs = [(REAL[i] * captions[i], REAL[i] * captions[j])
             for i, j in enumerate(expected) if j is not None]  # fmt: skip
    right, wrong = np.float64(pairs).T
    found = {name: float(value) for name, value in aux.metrics.items()}
    assert found["discriminator_loss_wrong"] == pytest.approx(-np.mean(log_expit(-wrong)), rel=1e-5)
    assert found["accuracy_wrong"] == pytest.approx(np.mean(wrong < 0))
    plain = found["discriminator_loss_real"] + found["discriminator_loss_fake"]
    second = -np.mean(log_expit(right)) - np.mean(log_expit(-wrong))
    assert float(loss) == pytest.approx((plain + second) / 2, rel=1e-5)


def test_devices_count_wrong_pairs_together():
    """Two devices of two examples each, of which one of the second's has no wrong caption."""
    meaning, embeddings, _ = PARAPHRASED["equal or of one meaning"]
    data = {**batch_of_four(), "embedding": embeddings, "meaning": meaning}

    def pay(share, fakes):
        loss, aux = pay_as_discriminator(share, fakes, axis_name="data")
        return jax.lax.pmean((loss, aux.metrics), "data")

    mesh = jax.sharding.Mesh(jax.devices()[:2], ("data",))
    specs = {"mesh": mesh, "in_specs": jax.P("data"), "out_specs": jax.P()}
    loss, metrics = jax.jit(jax.shard_map(pay, **specs))(data, FAKE)
    expected, aux = pay_as_discriminator(data)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    for name in ("discriminator_loss_wrong", "accuracy_wrong", "d_wrong"):
        np.testing.assert_allclose(metrics[name], aux.metrics[name], rtol=1e-6)


@pytest.mark.parametrize("name", ["least_squares", "hinge", "wasserstein"])
def test_other_losses_weigh_the_pairs_alike(name):
    loss = getattr(losses, name)
    game = stage_one_game(Told(), Agreement(), loss=loss)
    made, _ = game.disc_loss(
        {"params": {"scale": jnp.ones(())}}, jnp.asarray(FAKE).reshape(4, 1, 1, 1),
        batch_of_four(), CONTEXT,
    )  # fmt: skip
    right, fake = jnp.asarray(REAL * EMBEDDINGS), jnp.asarray(FAKE * EMBEDDINGS)
    wrong = jnp.asarray(REAL * EMBEDDINGS[np.array(NEAREST)])
    real, on_fake = loss.discriminator(right, fake)
    _, on_wrong = loss.discriminator(right, wrong)
    assert float(made) == pytest.approx(float(real + (on_fake + on_wrong) / 2), rel=1e-5)


def test_the_generator_pays_for_its_pairs_and_for_its_gaussians():
    game = stage_one_game(Told(), Agreement(), kl_weight=0.25)
    gen_vars = {"params": {"mean": jnp.float32(2.0)}}
    made, aux = game.gen_loss(
        gen_vars, {"params": {"scale": jnp.ones(())}}, jnp.asarray(FAKE).reshape(4, 1, 1, 1),
        batch_of_four(), CONTEXT,
    )  # fmt: skip
    adversarial = -np.mean(log_expit(np.float64(FAKE * EMBEDDINGS)))
    kl = 3 * 0.5 * 2.0**2  # three entries of mean 2 and sigma 1
    assert float(made) == pytest.approx(adversarial + 0.25 * kl, rel=1e-5)
    assert float(aux.metrics["kl"]) == pytest.approx(kl)
    assert aux.model_state is None

    def paid(mean):
        variables = {"params": {"mean": mean}}
        return game.gen_loss(
            variables, {"params": {"scale": jnp.ones(())}},
            jnp.asarray(FAKE).reshape(4, 1, 1, 1), batch_of_four(), CONTEXT,
        )[0]  # fmt: skip

    assert float(jax.grad(paid)(jnp.float32(2.0))) == pytest.approx(0.25 * 3 * 2.0, rel=1e-5)


def test_by_default_a_gaussian_of_128_entries_weighs_what_the_authors_code_gives_it():
    """There it is the mean over examples and entries, times 2."""
    game = stage_one_game(Told(condition_dim=128), Agreement())

    def paid(mean):
        return game.gen_loss(
            {"params": {"mean": jnp.float32(mean)}}, {"params": {"scale": jnp.ones(())}},
            jnp.asarray(FAKE).reshape(4, 1, 1, 1), batch_of_four(), CONTEXT,
        )[0]  # fmt: skip

    assert float(paid(3.0) - paid(0.0)) == pytest.approx(2 * 0.5 * 3.0**2, rel=1e-5)


def test_the_generator_pays_for_images_that_a_frozen_encoder_does_not_find():
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((4, 2)).astype(np.float32)
    fakes = rng.standard_normal((4, 1, 1, 2)).astype(np.float32)
    context = CONTEXT._replace(extra={"scale": jnp.array([1.0, 3.0])})
    given = {"params": {"mean": jnp.float32(2.0)}}, {"params": {"scale": jnp.ones(())}}
    batch = {"image": fakes, "embedding": texts}

    def encode(extra, images):
        return extra["scale"][None] * images[:, 0, 0]

    def pay(**options):
        objective = stage_one_game(Told(), Agreement(), **options)
        return objective.gen_loss(*given, jnp.asarray(fakes), batch, context)

    plain, matched = pay(), pay(encode=encode, matching_weight=5.0)
    found = np.float64([1.0, 3.0]) * fakes[:, 0, 0]
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(texts, axis=1)
    cosine = np.mean(np.sum(found * texts, axis=1) / lengths)
    assert float(matched[0] - plain[0]) == pytest.approx(5 * (1 - cosine), rel=1e-5)
    assert float(matched[1].metrics["matching"]) == pytest.approx(cosine, rel=1e-5)
    assert "matching" not in plain[1].metrics
    with pytest.raises(UserError, match=r"^matching_weight: got 5.0 without encode"):
        pay(matching_weight=5.0)


# Both stages with networks of convolutions and batch norm, small.

ONE = StackGANStageOne((6, 4), 3, 3, 4), StackGANDiscriminator((4, 6), (), 3)
TWO = StackGANStageTwo((4,), 1, (4,), 3, 4), StackGANDiscriminator((4, 6), (4,), 3)


def batch(stage, size=16, seed=0):
    rng = np.random.default_rng(seed)
    side = {1: 16, 2: 32}[stage]
    return {
        "image": rng.uniform(-1, 1, (size, side, side, 3)).astype(np.float32),
        "embedding": rng.standard_normal((size, E)).astype(np.float32),
    }


@functools.cache
def start(stage):
    return game(stage).init(jax.random.key(stage - 1), batch(stage), TX, TX, ema=True)


def game(stage):
    if stage == 1:
        return stage_one_game(*ONE)
    return stage_two_game(ONE[0], *TWO, stage_one_variables=start(1).generator.ema_variables)


def step(stage):
    return make_train_step(game(stage), TX, TX, ema_decay=0.9)


def test_stage_two_starts_with_a_copy_of_stage_one():
    assert difference(start(2).extra["stage_one"], start(1).generator.ema_variables) == 0


@functools.cache
def generate(stage):
    return jax.jit(game(stage).generate)


@pytest.fixture(params=[1, 2])
def stage(request):
    return request.param


def finite(tree):
    leaves = jax.tree.leaves(tree)
    return all(
        np.isfinite(leaf).all() for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)
    )


def test_stage_two_draws_upon_stage_one_as_images_are_drawn():
    """By running statistics, and from the frozen variables: of others the fakes are others."""
    state, data = start(2), batch(2)
    context = Context(jnp.int32(0), jax.random.key(3), state.extra)
    fakes, _ = generate(2)(state.generator.variables, data, context)
    assert fakes.shape == (16, 32, 32, 3)
    alone = {name: value[:2] for name, value in data.items()}
    seen = []

    class Spy(nn.Module):
        condition_dim: int = 4

        @nn.compact
        def __call__(self, images, noise, embeddings, train=False):
            seen.append(images)
            return images

    spied = stage_two_game(ONE[0], Spy(), TWO[1])
    for extra in (state.extra, jax.tree.map(lambda x: x + 0.1, state.extra)):
        spied.generate({"params": {}}, alone, context._replace(extra=extra))
    assert difference(seen[0], seen[1]) > 1e-3
    # Its first image does not depend on what else is in the batch.
    latent_key, _ = jax.random.split(context.key)
    latents = jax.random.normal(latent_key, (2, 3 + 4 + 4))[:1, :7]
    one = ONE[0].apply(state.extra["stage_one"], latents, data["embedding"][:1])
    np.testing.assert_allclose(seen[0][:1], one, atol=1e-5)


def test_captions_matter_to_both(stage):
    state, data = start(stage), batch(stage)
    context = Context(jnp.int32(0), jax.random.key(3), state.extra)
    fakes, _ = generate(stage)(state.generator.variables, data, context)
    other = {**data, "embedding": -data["embedding"]}
    changed, _ = generate(stage)(state.generator.variables, other, context)
    assert difference(fakes, changed) > 1e-4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"image": np.zeros((4, 16, 16, 3))}, "batch: got entries image, expected 'embed"),
        (np.zeros((4, 16, 16, 3)), "batch: got DynamicJaxprTracer, expected"),
        (
            {"image": np.zeros((4, 16, 16, 3)), "embedding": np.zeros((3, E))},
            f"embedding: got shape (3, {E}) for 4 images, expected (B, E) for two images or more",
        ),
        (
            {"image": np.zeros((1, 16, 16, 3)), "embedding": np.zeros((1, E))},
            f"embedding: got shape (1, {E}) for 1 images, expected (B, E) for two",
        ),
        (
            {"image": np.zeros((4, 8, 8, 3)), "embedding": np.zeros((4, E))},
            "image: got a batch of shape (4, 8, 8, 3), expected (4, 16, 16, 3)",
        ),
        (
            {
                "image": np.zeros((4, 16, 16, 3)),
                "embedding": np.zeros((4, E)),
                "meaning": np.zeros(3, int),
            },
            "meaning: got shape (3,), expected (4,)",
        ),
    ],
)
def test_bad_batches_are_refused_while_tracing(data, message):
    with pytest.raises(UserError) as error:
        jax.eval_shape(step(1), start(1), data)
    assert str(error.value).startswith(message)


def test_stage_two_without_stage_one():
    with pytest.raises(UserError, match=r"^stage_one: got none in the state's extra, expected"):
        jax.eval_shape(step(2), start(2).replace(extra=None), batch(2))
    for variables, got in (
        (None, "none"),
        (start(1).discriminator.variables, "those of another network"),
        ({"params": start(1).generator.params}, "those of another network"),
    ):
        with pytest.raises(UserError, match=rf"^stage_one_variables: got {got}, expected the"):
            stage_two_game(ONE[0], *TWO, stage_one_variables=variables).init(
                jax.random.key(1), batch(2), TX, TX
            )


def test_other_errors():
    with pytest.raises(UserError, match=r"^loss: got one that shows the generator real images"):
        stage_one_game(*ONE, loss=losses.relativistic)
    small = {"image": np.zeros((4, 8, 8, 3)), "embedding": np.zeros((4, E))}
    with pytest.raises(UserError, match=r"^image_size, channels: got data of shape \(8, 8, 3\)"):
        stage_one_game(*ONE).init(jax.random.key(0), small, TX, TX)


@pytest.mark.long
def test_the_published_sizes_take_a_step():
    text, count = 1024, 2
    first, first_judge = stackgan_stage_one()
    data = {
        "image": jnp.zeros((count, 64, 64, 3)),
        "embedding": jax.random.normal(jax.random.key(1), (count, text)),
    }
    method = stage_one_game(first, first_judge)
    state = method.init(jax.random.key(0), data, TX, TX)
    step = jax.jit(make_train_step(method, TX, TX), donate_argnums=0)
    state, metrics = step(state, data)
    assert finite((state.generator.params, metrics))
    pair = stackgan_stage_two()
    data["image"] = jnp.zeros((count, 256, 256, 3))
    method = stage_two_game(first, *pair, stage_one_variables=state.generator.variables)
    state = method.init(jax.random.key(0), data, TX, TX)
    step = jax.jit(make_train_step(method, TX, TX), donate_argnums=0)
    state, metrics = step(state, data)
    assert finite((state.generator.params, metrics))
