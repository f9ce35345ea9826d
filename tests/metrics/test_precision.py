"""The networks that judge compute at the highest precision, so that platforms give one figure.

On CPU every precision is the same: the programs are read in place of their results.
"""

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxgan.metrics import efficientnet, inception
from jaxgan.metrics.lenet import LeNet, load_lenet
from jaxgan.training.reports.scene_reader import SceneReader

HIGHEST = jax.lax.Precision.HIGHEST


def equations(jaxpr):
    """All equations of a program, those of programs within it too."""
    for equation in jaxpr.eqns:
        yield equation
        for part in jax.tree.leaves(
            equation.params, is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr)
        ):
            if isinstance(part, ClosedJaxpr):
                part = part.jaxpr
            if isinstance(part, Jaxpr):
                yield from equations(part)


def precisions(function, *inputs):
    """The precision of every product of matrices and of every convolution."""
    return [
        equation.params["precision"]
        for equation in equations(jax.make_jaxpr(function)(*inputs).jaxpr)
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
    ]


def applying(module, side, channels):
    """(a function of variables and images, their shapes)"""
    images = jax.ShapeDtypeStruct((2, side, side, channels), jnp.float32)
    return module.apply, jax.eval_shape(module.init, jax.random.key(0), images), images


# With how many products and convolutions they have at least.
JUDGES = {
    "digits": (lambda: (load_lenet(), jnp.zeros((2, 28, 28, 1))), 5),
    "digits, in classifier.py": (lambda: applying(LeNet(10), 28, 1), 5),
    "inception": (lambda: applying(inception.InceptionV3(), 75, 3), 95),
    "inception's resize": (lambda: (inception.prepare_images, jnp.zeros((2, 28, 28, 1))), 2),
    "pictures": (lambda: applying(efficientnet.EfficientNetLite((1,) * 7), 64, 3), 23),
    "scenes": (lambda: applying(SceneReader(), 64, 3), 10),
}


@pytest.mark.parametrize(("make", "least"), JUDGES.values(), ids=JUDGES.keys())
def test_every_product_asks_for_the_highest_precision(make, least):
    found = precisions(*make())
    assert len(found) >= least
    assert set(found) == {(HIGHEST, HIGHEST)}


def test_a_product_deep_within_a_program_is_found():
    @jax.jit
    def function(x):
        def body(x, _):
            return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: x, x), None

        return jax.lax.scan(body, x, length=2)[0]

    assert precisions(function, jnp.ones((2, 2))) == [None]
