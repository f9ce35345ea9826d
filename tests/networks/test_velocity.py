"""The U-Net of velocities, and the generator and the critic that have its parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_tables import flat, random_leaves

from jaxgan import UserError
from jaxgan.networks import OneStepUNet, VelocityCritic, VelocityUNet
from jaxgan.networks.velocity import _fold, _unfold

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 8, 12, 2)).astype(np.float32)
T = np.float32([0.1, 0.5, 0.9])
SMALL = {"width": 4, "channels": 2}


def filled(module, *inputs):
    """Variables of which every one is random, so that each counts."""
    return random_leaves(jax.eval_shape(module.init, KEY, *inputs), 1)


def test_blocks_of_pixels_are_channels_and_back():
    folded = _fold(X)
    assert folded.shape == (3, 4, 6, 8)
    np.testing.assert_array_equal(folded[1, 2, 3], X[1, 4:6, 6:8].ravel())
    np.testing.assert_array_equal(_unfold(folded), X)


def test_it_begins_with_no_velocity():
    velocity, _ = jax.jit(VelocityUNet(**SMALL).init_with_output)(KEY, X, T)
    assert velocity.shape == X.shape
    assert not np.any(velocity)


@pytest.mark.parametrize("blocks", [1, 2])
def test_each_image_and_its_time_are_seen_alone_and_all_parameters_count(blocks):
    network = VelocityUNet(**SMALL, blocks=blocks)
    variables = filled(network, X, T)
    apply = jax.jit(network.apply)
    whole = apply(variables, X, T)
    np.testing.assert_allclose(whole[1:2], apply(variables, X[1:2], T[1:2]), rtol=1e-4, atol=1e-5)
    other = apply(variables, X, np.float32([0.1, 0.6, 0.9]))
    moved = np.max(np.abs(other - whole), axis=(1, 2, 3))
    assert moved[1] > 1e-3 > 1e-6 > max(moved[0], moved[2])
    grads = jax.jit(jax.grad(lambda v: jnp.sum(network.apply(v, X, T) ** 2)))(variables)
    assert all(np.any(leaf) for leaf in flat(grads).values())


def test_student_and_critic_are_the_teacher_where_they_have_its_parameters():
    square = RNG.standard_normal((3, 8, 8, 2)).astype(np.float32)
    teacher = VelocityUNet(**SMALL)
    variables = filled(teacher, square, T)
    critic = VelocityCritic(**SMALL)
    own = filled(critic, square, T)
    velocity, logits = critic.apply({"params": {**own["params"], **variables["params"]}}, square, T)
    np.testing.assert_allclose(velocity, teacher.apply(variables, square, T), rtol=1e-5, atol=1e-6)
    assert logits.shape == (3,)
    student = OneStepUNet(**SMALL, image_size=8, time=0.7)
    assert {*flat(student.init(KEY, np.zeros((1, 128))))} == {*flat(variables)}
    made = student.apply(variables, square.reshape(3, -1))
    expected = 0.7 * (square - teacher.apply(variables, 0.7 * square, np.full(3, np.float32(0.7))))
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_what_comes_out_is_float32():
    critic = VelocityCritic(**SMALL, dtype=jnp.bfloat16)
    shown = X[:1], T[:1]
    outputs, variables = jax.eval_shape(critic.init_with_output, KEY, *shown)
    assert {x.dtype for x in jax.tree.leaves((outputs, variables))} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VelocityUNet(**SMALL).init(KEY, X[:, :6], T), r"x: got shape \(3, 6, 12, 2\)"),
        (lambda: VelocityUNet(width=4).init(KEY, X, T), r"expected images \(B, H, W, 1\)"),
        (lambda: VelocityUNet(**SMALL).init(KEY, X, T[:2]), r"t: got shape \(2,\)"),
        (lambda: OneStepUNet(width=4).init(KEY, np.zeros((1, 7))), r"latents: got shape \(1, 7\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
