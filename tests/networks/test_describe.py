"""A network as JSON and back."""

import json

import flax.linen as nn
import pytest
from network_tables import DTYPES, PAIRS, TINY

from jaxgan import networks
from jaxgan.errors import UserError
from jaxgan.networks import (
    DCGANDiscriminator,
    MLPDiscriminator,
    SGANDiscriminator,
    describe,
    from_description,
)


def modules():
    for name, pair in PAIRS.items():
        for dtype_name, dtype in DTYPES.items():
            for side, module in zip(("G", "D"), pair.make(dtype=dtype), strict=True):
                yield f"{name} {side} {dtype_name}", module
    yield from TINY.items()
    yield "sgan discriminator", SGANDiscriminator(3)
    yield "srvgg", networks.SRVGGNet(1, 8, 2)
    yield "fastgan", networks.FastGANGenerator(64, 16, lite=False)
    unet = {"width": 8, "channels": 3, "blocks": 2}
    yield "velocity", networks.VelocityUNet(**unet)
    yield "velocity critic", networks.VelocityCritic(**unet)
    yield "one step", networks.OneStepUNet(**unet, image_size=32, time=0.8)
    for name, pair in (
        ("cyclegan", networks.cyclegan(28)),
        ("discogan", networks.discogan(28)),
        ("pix2pix", networks.pix2pix(28)),
        ("stage one", networks.stackgan_stage_one(16)),
        ("stage two", networks.stackgan_stage_two(32, 16)),
        ("encoders", (networks.TextEncoder(7), networks.ImageEncoder(5))),
        ("critics", (networks.MultiScaleDiscriminator(2), networks.UNetDiscriminator(8))),
        ("vq", (networks.VQAutoencoder(), networks.VectorQuantizer(8))),
    ):
        for number, module in enumerate(pair):
            yield f"{name} {number}", module


@pytest.mark.parametrize("module", dict(modules()).values(), ids=dict(modules()).keys())
def test_describe_and_back(module):
    again = from_description(json.loads(json.dumps(describe(module))))
    assert again == module
    assert hash(again) == hash(module)


def test_a_description_tells_networks_apart_and_leaves_the_mapped_axis_out():
    described = [json.dumps(describe(module), sort_keys=True) for _, module in modules()]
    pairs = [module for _, module in modules()]
    for i, module in enumerate(pairs):
        assert [described[i] == other for other in described] == [
            module == other for other in pairs
        ]
    mapped, plain = (DCGANDiscriminator((4, 6), 5, axis_name=name) for name in ("data", None))
    assert describe(mapped) == describe(plain)
    assert from_description(describe(mapped)) == plain


def test_a_dcgan_saved_before_its_biases_were_a_field_is_rebuilt():
    for module in networks.dcgan(28):
        old = describe(module)
        for name in ("use_bias", "norm_units"):
            old.pop(name, None)
        assert from_description(old) == module


def test_a_network_saved_when_the_parameters_dtype_was_a_field_is_rebuilt():
    module = MLPDiscriminator((3,))
    old = {**describe(module), "param_dtype": "float32"}
    assert from_description(old) == module
    assert old["param_dtype"] == "float32"


HOLD_A_FUNCTION = {"ProjectedDiscriminator"}


def test_of_a_module_that_holds_a_function_all_else_is_described():
    module = networks.ProjectedDiscriminator(lambda images: [images], width=8)
    described = describe(module)
    assert json.loads(json.dumps(described)) == {
        "module": "ProjectedDiscriminator", "width": 8, "pixel_width": 0, "dtype": "float32"
    }  # fmt: skip
    with pytest.raises(
        UserError, match=r"^ProjectedDiscriminator: [^\n]*passed as an argument[^\n]*'features'$"
    ):
        from_description(described)


def test_every_module_of_the_package_is_described_above():
    classes = {
        name
        for name in networks.__all__
        if isinstance(getattr(networks, name), type)
        and issubclass(getattr(networks, name), nn.Module)
    }
    assert {type(module).__name__ for _, module in modules()} == classes - HOLD_A_FUNCTION


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"module": "VisionTransformer"}, "module: got 'VisionTransformer'"),
        ({"module": "mlp"}, "module: got 'mlp'"),  # a name of the package, but no module
        ({"module": "__all__"}, "module: got '__all__'"),
        ({"module": None}, "module: got None"),
        ({"colour": "red"}, "MLPDiscriminator: .*'colour'"),
        ({"hidden": ...}, "MLPDiscriminator: .*'hidden'"),
        ({"dtype": "float7"}, "MLPDiscriminator: .*float7"),
        ({"param_dtype": "bfloat16"}, "param_dtype: got 'bfloat16', expected 'float32'"),
    ],
)
def test_a_description_of_something_else_is_refused(change, named):
    description = {**describe(MLPDiscriminator((3,))), **change}
    description = {key: value for key, value in description.items() if value is not ...}
    with pytest.raises(UserError, match=rf"^{named}[^\n]*$"):
        from_description(description)
