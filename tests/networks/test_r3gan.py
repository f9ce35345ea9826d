"""The modern baseline: against NumPy, its resampling, its initial weights."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import flat

from jaxgan.errors import UserError
from jaxgan.evaluation.saliency import guided_backpropagation, last_features
from jaxgan.losses.penalties import r1, r2
from jaxgan.networks import (
    R3GANDiscriminator,
    R3GANGenerator,
    describe,
    from_description,
    r3gan,
)
from jaxgan.networks.r3gan import ResidualBlock, downsample, upsample
from jaxgan.step import apply_train

KEY = jax.random.key(0, impl="rbg")
CLASSES = 3
LABELS = np.array([2, 0, 2, 1], np.int32)
GENERATOR = R3GANGenerator(3, (6, 4), 2, 3, group_size=4)
DISCRIMINATOR = R3GANDiscriminator((4, 6), 2, group_size=4)
every_module = pytest.mark.parametrize("module", [GENERATOR, DISCRIMINATOR], ids=["G", "D"])
every_num_classes = pytest.mark.parametrize("num_classes", [None, CLASSES])

# Compiles several times as fast, which is where the time of these tests goes.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def call(module, inputs):
    return (inputs,) if module.num_classes is None else (inputs, LABELS[: len(inputs)])


@functools.partial(jit, static_argnums=0)
def apply(module, variables, *inputs):
    return module.apply(variables, *inputs)


@functools.cache
def filled(module):
    """Inputs, and variables of which every one is random: the last kernels of blocks too."""
    rng = np.random.default_rng(1)
    inputs = draw(4, 5) if isinstance(module, R3GANGenerator) else draw(4, 6, 6, 2)
    shapes = jax.eval_shape(module.init, KEY, *call(module, inputs))
    variables = jax.tree.map(
        lambda leaf: (rng.standard_normal(leaf.shape) / math.sqrt(leaf.shape[-1])).astype(
            leaf.dtype
        ),
        shapes,
    )
    assert set(variables) == {"params"}
    return inputs, variables


# NumPy, in float64 and straight from the paper; JAX's where it is differentiated.


def pointwise(params, x):
    return x @ params["kernel"][0, 0]


def leaky(x):
    return x * (0.2 + 0.8 * (x > 0))


def block(params, x, group, xp=np):
    y = leaky(pointwise(params["Conv_0"], x) + params["Conv_0"]["bias"].reshape(1, 1, 1, -1))
    kernel, (h, w) = params["GroupedConv_0"]["kernel"], x.shape[1:3]
    y = xp.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = xp.concatenate(
        [
            sum(
                y[:, a : a + h, b : b + w, g : g + group] @ kernel[a, b, :, g : g + group]
                for a in range(3)
                for b in range(3)
            )
            for g in range(0, y.shape[-1], group)
        ],
        axis=3,
    )
    y = leaky(y + params["GroupedConv_0"]["bias"].reshape(1, 1, 1, -1))
    return x + pointwise(params["Conv_1"], y)


def filtered(size, transposed):
    """The resampling of one axis as a matrix: [1, 3, 3, 1] / 8 at stride 2, a zero beside."""
    matrix = np.zeros((size // 2, size + 2))
    for i in range(size // 2):
        matrix[i, 2 * i : 2 * i + 4] = np.array([1, 3, 3, 1]) / 8
    matrix = matrix[:, 1:-1]
    return 2 * matrix.T if transposed else matrix


def resampled(x, transposed, xp=np):
    h, w = (filtered(n * (2 if transposed else 1), transposed) for n in x.shape[1:3])
    return xp.einsum("ih,bhwc,jw->bijc", h, x, w)


def numpy_generator(module, params, latents, labels):
    if labels is not None:
        latents = np.concatenate([latents, params["embed"]["embedding"][labels]], axis=1)
    weights = latents @ params["Dense_0"]["kernel"]
    x = weights[:, None, None] * params["basis"]
    x = block(params["ResidualBlock_0"], x, module.group_size)
    x = block(params["ResidualBlock_1"], x, module.group_size)
    x = resampled(pointwise(params["Conv_0"], x), transposed=True)
    x = block(params["ResidualBlock_2"], x, module.group_size)
    x = block(params["ResidualBlock_3"], x, module.group_size)
    return pointwise(params["Conv_1"], x)


def discriminator(module, params, x, labels, xp=np):
    x = pointwise(params["Conv_0"], x)
    x = block(params["ResidualBlock_0"], x, module.group_size, xp)
    x = block(params["ResidualBlock_1"], x, module.group_size, xp)
    x = pointwise(params["Conv_1"], resampled(x, False, xp))
    x = block(params["ResidualBlock_2"], x, module.group_size, xp)
    x = block(params["ResidualBlock_3"], x, module.group_size, xp)
    x = (x * params["basis"][None]).sum((1, 2)) @ params["Dense_0"]["kernel"]
    return x[:, 0] if labels is None else (x * params["embed"]["embedding"][labels]).sum(1)


def wide(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


@every_module
@every_num_classes
def test_the_forward_pass_is_numpys(module, num_classes):
    module = module.clone(num_classes=num_classes)
    inputs, variables = filled(module)
    output = apply(module, variables, *call(module, inputs))
    reference = numpy_generator if hasattr(module, "base_size") else discriminator
    labels = LABELS if num_classes else None
    expected = reference(module, wide(variables["params"]), wide(inputs), labels)
    assert output.shape == ((4, 6, 6, 3) if hasattr(module, "base_size") else (4,))
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_two_labels_differ_by_the_projection_on_the_difference_of_their_embeddings():
    module = DISCRIMINATOR.clone(num_classes=CLASSES)
    images, variables = filled(module)
    first, second = (
        apply(module, variables, images, np.full(4, label, np.int32)) for label in (0, 2)
    )
    params = wide(variables["params"])
    table = params["embed"]["embedding"]
    # An embedding of 1 in one place reads one feature after another.
    read = {**params, "embed": {"embedding": np.eye(len(table[0]))}}
    features = np.stack(
        [discriminator(module, read, wide(images), np.full(4, i)) for i in range(len(table[0]))],
        axis=1,
    )
    np.testing.assert_allclose(first - second, features @ (table[0] - table[2]), rtol=1e-3)


def test_penalties_differentiate_it_twice():
    images, variables = filled(DISCRIMINATOR)

    def loss(params):
        def critic(x):
            return apply_train(DISCRIMINATOR, {"params": params}, x, key=KEY)[0]

        return r1(critic, images[:2]) + r2(critic, None, images[2:])

    def reference(params):
        def total(x):
            return jnp.sum(discriminator(DISCRIMINATOR, params, x, None, jnp))

        return jnp.sum(jax.grad(total)(jnp.asarray(images)) ** 2) / 2

    value, slope = jit(jax.value_and_grad(loss))(variables["params"])
    expected, expected_slope = jit(jax.value_and_grad(reference))(variables["params"])
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    slope, expected_slope = flat(slope), flat(expected_slope)
    for name in slope:
        largest = np.abs(expected_slope[name]).max()
        np.testing.assert_allclose(
            slope[name], expected_slope[name], rtol=1e-3, atol=1e-3 * largest, err_msg=name
        )


@every_module
@every_num_classes
def test_bfloat16_stays_near_float32(module, num_classes):
    module = module.clone(num_classes=num_classes)
    inputs, variables = filled(module)
    exact = apply(module, variables, *call(module, inputs))
    narrow = module.clone(dtype=jnp.bfloat16)
    coarse = apply(narrow, variables, *call(module, inputs))
    assert coarse.dtype == jnp.float32
    error = np.linalg.norm(exact - coarse) / np.linalg.norm(exact)
    assert 1e-4 < error < 0.05
    _, seen = jax.eval_shape(
        lambda: narrow.apply(
            variables, *call(module, inputs), mutable=["intermediates"], capture_intermediates=True
        )
    )
    layers = {
        name: leaf.dtype
        for name, leaf in flat_outputs(seen["intermediates"])
        if name != "/__call__"
    }
    assert len(layers) > 10
    assert set(layers.values()) == {jnp.dtype("bfloat16")}


def flat_outputs(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat_outputs(value, f"{path}/{key}")
        else:
            yield f"{path}/{key}", value[0]


@every_module
def test_every_residual_branch_begins_as_zero(module):
    module = module.clone(num_classes=CLASSES)
    inputs, _ = filled(module)

    @jit
    def through(inputs):
        variables = module.init(KEY, *call(module, inputs))
        entered, left = [], []

        def interceptor(method, args, kwargs, context):
            y = method(*args, **kwargs)
            if isinstance(context.module, ResidualBlock):
                entered.append(args[0])
                left.append(y)
            return y

        with nn.intercept_methods(interceptor):
            module.apply(variables, *call(module, inputs))
        return entered, left

    entered, left = through(inputs)
    assert len(entered) == 4
    for x, y in zip(entered, left, strict=True):
        assert np.any(x)
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("blocks", [1, 2])
def test_initial_weights_are_drawn_as_published(blocks):
    width, depth = 32, 2 * blocks
    generator = R3GANGenerator(4, (width, width // 2), blocks, 3, num_classes=50)
    disc = R3GANDiscriminator((width // 2, width), blocks, num_classes=50)
    fixup = math.sqrt(2 / 1.04) * depth**-0.25
    for module, shape in ((generator, (2, 40)), (disc, (2, 8, 8, 3))):
        params = jit(module.init)(KEY, jnp.zeros(shape), jnp.zeros(2, jnp.int32))["params"]
        params = {name: np.asarray(leaf, np.float64) for name, leaf in flat(params).items()}
        assert len(params) == 5 * depth + 5
        for name, leaf in params.items():
            if name.endswith("bias") or (
                name.startswith("ResidualBlock") and name.endswith("Conv_1/kernel")
            ):
                assert not np.any(leaf), name
                continue
            if name == "basis":
                std = 1 if module is generator else 1 / 4  # of 4x4 pixels
            elif name == "embed/embedding":
                std = 1 / math.sqrt(50) if module is generator else 1 / math.sqrt(50 * width)
            else:
                std = 1 / math.sqrt(math.prod(leaf.shape[:-1]))
                std *= fixup if name.startswith("ResidualBlock") else 1
            assert abs(leaf.mean()) < 5 * std / math.sqrt(leaf.size), name
            assert abs(leaf.std() / std - 1) < 5 / math.sqrt(2 * leaf.size), name


IMAGENET = {"width": 1536, "blocks": 2, "group_size": 32, "narrowing": False, "num_classes": 1000}


@pytest.mark.parametrize(
    ("image_size", "options", "expected"),
    [
        (32, {"width": 768, "blocks": 2}, (20_732_160, 20_683_776)),
        (32, {"width": 768, "blocks": 2, "num_classes": 10}, (20_781_952, 21_280_512)),
        (64, {"width": 768, "blocks": 2}, (22_429_824, 22_381_440)),
        (256, {"width": 768, "blocks": 2}, (23_057_952, 23_009_568)),
        (32, IMAGENET, (82_914_304, 86_548_992)),
        (64, IMAGENET, (103_570_432, 107_205_120)),
    ],
    ids=["CIFAR-10", "CIFAR-10, classes", "FFHQ-64", "FFHQ-256", "ImageNet-32", "ImageNet-64"],
)
def test_presets_have_as_many_parameters_as_the_authors_code_allocates(
    image_size, options, expected
):
    for module, shape, count in zip(
        r3gan(image_size, 3, **options),
        ((2, 64), (2, image_size, image_size, 3)),
        expected,
        strict=True,
    ):
        labels = () if module.num_classes is None else (LABELS[:2],)
        inputs = jax.ShapeDtypeStruct(shape, jnp.float32)
        made, variables = jax.eval_shape(module.init_with_output, KEY, inputs, *labels)
        images = hasattr(module, "base_size")
        assert made.shape == ((2, image_size, image_size, 3) if images else (2,))
        assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize(
    ("image_size", "narrow"),
    [(28, {14, 28}), (32, {8, 16, 32}), (64, {8, 16, 32, 64}), (256, {32, 64, 128, 256})],
)
def test_bfloat16_is_for_the_largest_four_sides_as_published(image_size, narrow):
    for module, shape in zip(
        r3gan(image_size, 3, num_classes=CLASSES, dtype=jnp.bfloat16),
        ((2, 5), (2, image_size, image_size, 3)),
        strict=True,
    ):
        found: dict[str, set[int]] = {"bfloat16": set(), "float32": set()}

        def interceptor(method, args, kwargs, context, found=found):
            y = method(*args, **kwargs)
            if isinstance(context.module, ResidualBlock):
                assert args[0].dtype == y.dtype
                found[y.dtype.name].add(y.shape[1])
            elif isinstance(context.module, nn.Dense):
                assert y.dtype == jnp.float32
            return y

        with nn.intercept_methods(interceptor):
            inputs = jax.ShapeDtypeStruct(shape, jnp.float32)
            made, _ = jax.eval_shape(module.init_with_output, KEY, inputs, LABELS[:2])
        assert made.dtype == jnp.float32
        assert found["bfloat16"] == narrow
        base = 7 if image_size == 28 else 4
        assert found["float32"] == {base << i for i in range(10) if base << i < min(narrow)}


def test_resampling_is_the_filter_s():
    x = draw(2, 4, 6, 3)
    for function, transposed in ((upsample, True), (downsample, False)):
        expected = resampled(wide(x), transposed)
        actual = jit(function)(x)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        assert jax.eval_shape(function, jnp.asarray(x, jnp.bfloat16)).dtype == jnp.bfloat16


def test_upsampling_is_bilinear_but_for_the_border():
    x = jnp.asarray(draw(1, 5, 6, 2))
    expected = jax.image.resize(x, (1, 10, 12, 2), "bilinear")
    inside = np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose(jit(upsample)(x)[inside], expected[inside], rtol=1e-5, atol=1e-6)


def test_saliency_sees_its_nonlinearities():
    images, variables = filled(DISCRIMINATOR)

    def function(x):
        return DISCRIMINATOR.apply(variables, x)

    features = jit(lambda x: last_features(function, x))(images)
    assert features.shape == (4, 3, 3, 12)
    guided = jit(lambda x: guided_backpropagation(function, x))(images)
    assert guided.shape == images.shape
    assert np.any(guided)


def test_a_conditional_pair_describes_itself():
    for module in r3gan(28, 1, num_classes=10, dtype=jnp.bfloat16):
        assert from_description(describe(module)) == module


@every_module
def test_wrong_labels_are_refused(module):
    inputs, _ = filled(module)
    with pytest.raises(UserError, match=r"^labels: got None, expected integers"):
        module.clone(num_classes=CLASSES).init(KEY, inputs)
    with pytest.raises(UserError, match=r"^labels: got some, expected none"):
        module.init(KEY, inputs, LABELS)


@pytest.mark.parametrize(
    ("run", "named"),
    [
        (lambda: r3gan(512), "image_size: got 512, expected 28, 32, 64, 128 or 256 for an R3GAN"),
        (lambda: r3gan(28, width=80), "width: got 80, .* to be a multiple of group_size=16"),
        (lambda: r3gan(64, width=24), "width: got 24, .* to be a multiple of group_size=16"),
        (lambda: r3gan(28, group_size=0), "group_size: got 0, expected 1 or more"),
        (
            lambda: DISCRIMINATOR.init(KEY, jnp.zeros((1, 6, 5, 1))),
            r"images: got shape \(1, 6, 5, 1\), expected sides in multiples of 2",
        ),
        (
            lambda: downsample(jnp.zeros((1, 6, 5, 1))),
            r"x: got shape \(1, 6, 5, 1\), expected even",
        ),
    ],
)
def test_errors(run, named):
    with pytest.raises(UserError, match=rf"^{named}"):
        run()
