"""The residual pair under spectral norm: against NumPy, its classes, its bounds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import abstract, every_dtype, flat

from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import guided_backpropagation, last_features
from jaxgan.losses.penalties import r1
from jaxgan.networks import (
    SNResNetDiscriminator,
    SNResNetGenerator,
    describe,
    from_description,
    sn_resnet,
)
from jaxgan.step import apply_train

KEY = jax.random.key(0, impl="rbg")
CLASSES = 3
LABELS = np.array([2, 0, 2, 1, 0, 2], np.int32)
GENERATOR = SNResNetGenerator(2, 6, 2, 3)
DISCRIMINATOR = SNResNetDiscriminator(5)
every_num_classes = pytest.mark.parametrize("num_classes", [None, CLASSES])


# Compiles several times as fast, which is where the time of these tests goes.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def call(module, inputs, labels=LABELS):
    return (inputs,) if module.num_classes is None else (inputs, labels[: len(inputs)])


@functools.cache
def filled(module):
    """Inputs, and variables of which every one is random, so that each counts."""
    rng = np.random.default_rng(1)
    shape = (6, 4) if isinstance(module, SNResNetGenerator) else (6, 8, 8, 2)
    inputs = draw(*shape)
    variables = dict(jit(module.init)(KEY, *call(module, inputs)))
    for name in set(variables) - {"spectral"}:
        variables[name] = jax.tree_util.tree_map_with_path(
            lambda path, leaf: np.asarray(
                0.5 + rng.standard_normal(leaf.shape) ** 2
                if path[-1].key in ("scale", "var")
                else rng.standard_normal(leaf.shape) * (0.3 if leaf.ndim > 1 else 1),
                leaf.dtype,
            ),
            variables[name],
        )
    return inputs, variables


@functools.partial(jit, static_argnums=0, static_argnames="train")
def apply(module, variables, *inputs, train=False):
    """(output, changed collections)."""
    return module.apply(variables, *inputs, train=train, mutable=["batch_stats"])


# NumPy, in float64 and straight from the papers: nothing folded or exchanged.


def conv(params, x, xp=np):
    kernel, bias = params["kernel"], params["bias"]
    k, (h, w) = kernel.shape[0], x.shape[1:3]
    x = xp.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    taps = [x[:, a : a + h, b : b + w] @ kernel[a, b] for a in range(k) for b in range(k)]
    return sum(taps) + bias.reshape(1, 1, 1, -1)


def up(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def down(x):
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def relu(x):
    return x * (x > 0)


def standardised(x, statistics, train):
    mean, var = (
        (x.mean((0, 1, 2)), x.var((0, 1, 2)))
        if train
        else (np.asarray(statistics["norm"][name], np.float64) for name in ("mean", "var"))
    )
    return (x - mean) / np.sqrt(var + 1e-5)


def numpy_generator(module, variables, latents, labels, train):
    statistics = variables["batch_stats"]
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def norm(i, x):
        if module.num_classes is None or i == 2 * module.blocks:
            name = f"BatchNorm_{i if module.num_classes is None else 0}"
            own = params[name]["norm"]
            return standardised(x, statistics[name], train) * own["scale"] + own["bias"]
        name = f"ConditionalBatchNorm_{i}"
        x = standardised(x, statistics[name]["BatchNorm_0"], train)
        return np.stack(
            [
                row * params[name]["gain"][y] + params[name]["bias"][y]
                for row, y in zip(x, labels, strict=True)
            ]
        )

    first = params["Dense_0"]
    x = np.asarray(latents, np.float64) @ first["kernel"] + first["bias"]
    x = x.reshape(len(x), module.base_size, module.base_size, -1)
    for i in range(module.blocks):
        y = conv(params[f"UpConv_{i}"], up(relu(norm(2 * i, x))))
        y = conv(params[f"Conv_{2 * i}"], relu(norm(2 * i + 1, y)))
        x = y + conv(params[f"Conv_{2 * i + 1}"], up(x))
    return np.tanh(conv(params[f"Conv_{2 * module.blocks}"], relu(norm(2 * module.blocks, x))))


def divided(variables):
    """Each kernel over its largest singular value, as the power iteration has it after a pass.

    The vectors are constants: it can be differentiated by the kernels.
    """
    params = dict(variables["params"])
    for group in variables["spectral"].values():
        for name, u in group.items():
            layer, leaf, kind = name.split("/")
            if kind == "u":
                kernel = params[layer][leaf]
                value = np.asarray(variables["constant"][layer][leaf], np.float64)
                value = value.reshape(-1, value.shape[-1])
                v = value @ np.asarray(u, np.float64)[0]
                v /= np.linalg.norm(v)
                u = value.T @ v
                u /= np.linalg.norm(u)
                sigma = v @ kernel.reshape(value.shape) @ u
                params[layer] = {**params[layer], leaf: kernel / sigma}
    return params


def features_of(params, x, xp=np):
    """phi, by the layers' names in the order of their making."""
    y = down(conv(params["ConvDown_0"], relu(conv(params["Conv_0"], x, xp)), xp))
    x = y + conv(params["Conv_1"], down(x), xp)
    halvings = sum(name.startswith("ConvDown") for name in params)
    for i in range(1, halvings):
        first, shortcut = params[f"Conv_{2 * i}"], params[f"Conv_{2 * i + 1}"]
        y = down(conv(params[f"ConvDown_{i}"], relu(conv(first, relu(x), xp)), xp))
        x = y + down(conv(shortcut, x, xp))
    for i in range(2 * halvings, sum(name.startswith("Conv_") for name in params), 2):
        first, second = params[f"Conv_{i}"], params[f"Conv_{i + 1}"]
        x = x + conv(second, relu(conv(first, relu(x), xp)), xp)
    return relu(x).sum((1, 2))


def logits_of(params, x, labels, xp=np):
    phi = features_of(params, x, xp)
    logits = (phi @ params["logits"]["kernel"])[:, 0]
    if labels is not None:
        logits = logits + (phi * params["embed"]["embedding"][labels]).sum(1)
    return logits


def wide(images, variables):
    """For NumPy: float64."""
    as_float64 = functools.partial(jax.tree.map, lambda leaf: np.asarray(leaf, np.float64))
    params = as_float64(variables["params"])
    return np.asarray(images, np.float64), divided(
        {**variables, "params": params, "constant": params}
    )


@every_num_classes
@pytest.mark.parametrize("width", [6, (8, 6, 4)])
@pytest.mark.parametrize("train", [False, True])
def test_the_generator_is_numpys(num_classes, width, train):
    module = GENERATOR.clone(num_classes=num_classes, width=width)
    latents, variables = filled(module)
    output, changed = apply(module, variables, *call(module, latents), train=train)
    expected = numpy_generator(module, variables, latents, LABELS, train)
    assert output.shape == (6, 8, 8, 3)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)
    before, after = (flat(v["batch_stats"]) for v in (variables, changed))
    assert len(before) == 2 * 5
    for name in before:
        assert np.any(np.asarray(before[name]) != after[name]) == train


@every_num_classes
@pytest.mark.parametrize(("width", "halvings"), [(5, 2), ((3, 5, 7, 7), 3)])
def test_the_discriminator_is_numpys(num_classes, width, halvings):
    module = DISCRIMINATOR.clone(num_classes=num_classes, width=width, halvings=halvings)
    images, variables = filled(module)
    logits, _ = apply(module, variables, *call(module, images))
    pixels, params = wide(images, variables)
    expected = logits_of(params, pixels, LABELS if num_classes else None)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_two_labels_differ_by_the_projection_on_the_difference_of_their_embeddings():
    module = DISCRIMINATOR.clone(num_classes=CLASSES)
    images, variables = filled(module)
    first, second = (
        apply(module, variables, images, np.full(6, label, np.int32))[0] for label in (0, 2)
    )
    pixels, params = wide(images, variables)
    table = params["embed"]["embedding"]
    expected = features_of(params, pixels) @ (table[0] - table[2])
    assert np.abs(expected).min() > 1e-3
    np.testing.assert_allclose(first - second, expected, rtol=1e-3, atol=1e-4)


def test_every_layer_of_the_discriminator_has_singular_values_of_at_most_one():
    module = DISCRIMINATOR.clone(num_classes=CLASSES)
    images, variables = filled(module)

    def body(state, _):
        return apply_train(module, {**variables, **state}, *call(module, images), key=KEY)[1], None

    state = {"spectral": variables["spectral"]}
    state, _ = jax.jit(lambda state: jax.lax.scan(body, state, length=300))(state)
    vectors = {**variables, **state}
    _, params = wide(images, vectors)
    matrices = {
        name: leaf for name, leaf in flat(params).items() if not name.endswith("bias")
    }  # every one, that of the embedding too
    assert len(matrices) == 12
    for name, leaf in matrices.items():
        values = np.linalg.svd(np.asarray(leaf).reshape(-1, leaf.shape[-1]), compute_uv=False)
        assert values[0] == pytest.approx(1, rel=1e-3), name


def test_a_penalty_differentiates_it_twice():
    module = DISCRIMINATOR.clone(num_classes=CLASSES)
    images, variables = filled(module)
    images, labels = images[:2], LABELS[:2]

    def loss(params):
        def critic(x):
            given = {**variables, "params": params}
            return apply_train(module, given, x, labels, key=KEY)[0]

        return r1(critic, images)

    def reference(params):
        given = divided({**variables, "params": params, "constant": variables["params"]})
        slopes = jax.grad(lambda x: jnp.sum(logits_of(given, x, labels, jnp)))(jnp.asarray(images))
        return jnp.sum(slopes**2) / 2

    value, slope = jit(jax.value_and_grad(loss))(variables["params"])
    expected, expected_slope = jit(jax.value_and_grad(reference))(variables["params"])
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    slope, expected_slope = flat(slope), flat(expected_slope)
    assert set(slope) == set(expected_slope)
    for name in slope:
        largest = np.abs(expected_slope[name]).max()
        np.testing.assert_allclose(
            slope[name], expected_slope[name], rtol=1e-3, atol=1e-3 * largest, err_msg=name
        )


@pytest.mark.parametrize("module", [GENERATOR, DISCRIMINATOR])
@every_num_classes
def test_bfloat16_stays_near_float32(module, num_classes):
    module = module.clone(num_classes=num_classes)
    inputs, variables = filled(module)
    exact, _ = apply(module, variables, *call(module, inputs))
    narrow = module.clone(dtype=jnp.bfloat16)
    coarse, _ = apply(narrow, variables, *call(module, inputs))
    assert coarse.dtype == jnp.float32
    error = np.linalg.norm(exact - coarse) / np.linalg.norm(exact)
    assert 1e-4 < error < 0.1
    _, seen = jax.eval_shape(
        lambda: narrow.apply(
            variables, *call(module, inputs), mutable=["intermediates"], capture_intermediates=True
        )
    )
    dtypes = {
        layer: outputs["__call__"][0].dtype
        for layer, outputs in seen["intermediates"].items()
        if "Conv" in layer
    }
    assert len(dtypes) >= 7
    assert set(dtypes.values()) == {jnp.dtype("bfloat16")}


@every_num_classes
def test_initial_weights_are_drawn_as_published(num_classes):
    generator, discriminator = (
        module.clone(num_classes=num_classes, width=32) for module in (GENERATOR, DISCRIMINATOR)
    )
    for module, shape in ((generator, (2, 40)), (discriminator, (2, 8, 8, 3))):
        params = jit(module.init)(KEY, *call(module, jnp.zeros(shape)))["params"]
        for name, leaf in flat(params).items():
            kind = name.rpartition("/")[2]
            if kind in ("gain", "scale"):
                assert np.all(leaf == 1), name
            elif kind == "bias":
                assert not np.any(leaf), name
            else:
                taps = int(np.prod(leaf.shape[:-2]))
                gain = 2 if taps == 9 and leaf.shape[-1] == 32 else 1
                limit = np.sqrt(6 * gain / (taps * sum(leaf.shape[-2:])))
                assert np.abs(leaf).max() <= limit, name
                # Uniform: the largest of n falls short of the limit by one part in n.
                assert np.abs(leaf).max() > limit * (1 - 20 / leaf.size), name


def test_saliency_sees_its_nonlinearities():
    images, variables = filled(DISCRIMINATOR)

    def function(x):
        return DISCRIMINATOR.apply(variables, x)

    features = jit(lambda x: last_features(function, x))(images)
    assert features.shape == (6, 2, 2, 5)
    pixels, params = wide(images, variables)
    expected = features_of(params, pixels)
    np.testing.assert_allclose(features.sum((1, 2)), expected, rtol=1e-3, atol=1e-3)
    guided = jit(lambda x: guided_backpropagation(function, x))(images)
    assert guided.shape == images.shape
    assert np.any(guided)


@every_dtype
@pytest.mark.parametrize("size", [28, 128])
def test_a_conditional_pair_describes_itself(size, dtype):
    for module in sn_resnet(size, 1, num_classes=10, axis_name="data", dtype=dtype):
        again = from_description(describe(module))
        assert again == (module.clone(axis_name=None) if hasattr(module, "axis_name") else module)


def test_the_sizes_with_classes():
    generator, discriminator = sn_resnet(32, 3, num_classes=10)
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)
    counts = []
    for module, shape in ((generator, (2, 128)), (discriminator, (2, 32, 32, 3))):
        inputs = jax.ShapeDtypeStruct(shape, jnp.float32)
        _, variables = jax.eval_shape(module.init_with_output, KEY, inputs, labels)
        plain = abstract(module.clone(num_classes=None), shape)[1]
        counts.append(
            [sum(leaf.size for leaf in jax.tree.leaves(v["params"])) for v in (plain, variables)]
        )
    # Six norms of 256 channels have 10 gains and biases in place of one; an embedding of 128.
    assert counts[0][1] - counts[0][0] == 6 * 9 * 2 * 256
    assert counts[1][1] - counts[1][0] == 10 * 128


@pytest.mark.parametrize(
    ("num_classes", "labels", "named"),
    [
        (None, LABELS, "labels: got some, expected none"),
        (3, None, r"labels: got None, expected integers \(6,\), each below 3"),
        (3, LABELS[:4], r"labels: got int32 of shape \(4,\), expected integers \(6,\)"),
        (3, LABELS[:, None], r"labels: got int32 of shape \(6, 1\)"),
        (3, LABELS.astype(np.float32), r"labels: got float32 of shape \(6,\)"),
        (3, True, r"labels: got bool of shape \(\)"),
    ],
)
def test_wrong_labels_are_refused(num_classes, labels, named):
    for module in (GENERATOR, DISCRIMINATOR):
        inputs, _ = filled(module)
        with pytest.raises(UserError, match=rf"^{named}"):
            module.clone(num_classes=num_classes).init(KEY, inputs, labels)


@pytest.mark.parametrize(
    ("run", "named"),
    [
        (lambda: sn_resnet(48), "image_size: got 48, expected 28, 32, 64 or 128"),
        (
            lambda: GENERATOR.clone(width=(4, 2)).init(KEY, jnp.zeros((1, 4))),
            "width: got 2 numbers, expected one or 3",
        ),
        (lambda: sn_resnet(32, width=7), "width: got 7, expected an even number"),
        (lambda: sn_resnet(32, width=0), "width: got 0, expected an even number"),
        (
            lambda: DISCRIMINATOR.init(KEY, jnp.zeros((1, 8, 6, 1))),
            r"images: got shape \(1, 8, 6, 1\), expected sides in multiples of 4",
        ),
    ],
)
def test_errors(run, named):
    with pytest.raises(UserError, match=rf"^{named}"):
        run()
