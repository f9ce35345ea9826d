"""PyTorch's side of the quality benchmark averages as jaxgan does; where there is PyTorch."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgan.state import create_player
from jaxgan.step import update_average


@pytest.fixture
def torch():
    """Imported here, since it takes seconds in each process that collects tests."""
    return pytest.importorskip("torch")


@pytest.fixture
def torch_reference(torch):
    import torch_reference

    return torch_reference


def test_both_averages_are_the_same_after_many_steps(torch, torch_reference):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(60, 3, 2)).astype(np.float32)
    module = torch.nn.Linear(2, 3, bias=False)

    def put(value):
        with torch.no_grad():
            module.weight.copy_(torch.tensor(value))

    put(weights[0])
    averaged = torch_reference.average(module, 0.8)
    player = create_player({"params": {"kernel": jnp.asarray(weights[0])}}, tiny.TX, ema=True)
    for step, value in enumerate(weights[1:]):
        put(value)
        averaged.update_parameters(module)
        player = player.replace(params={"kernel": jnp.asarray(value)})
        player = player.replace(ema_params=update_average(player, jnp.int32(step), 0.8))
        np.testing.assert_allclose(
            averaged.module.weight.detach().numpy(),
            player.ema_params["kernel"],
            rtol=1e-5,
            atol=1e-6,
        )


def test_the_average_has_batch_statistics_of_its_own(torch, torch_reference):
    norm = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    averaged = torch_reference.average(norm, 0.5)
    latents = torch.tensor(np.random.default_rng(1).normal(size=(10, 64, 2)).astype(np.float32))
    torch.optim.swa_utils.update_bn(latents, averaged)
    with torch.no_grad():
        expected = norm[0](latents.reshape(-1, 2)).mean(0)
    np.testing.assert_allclose(averaged.module[1].running_mean.numpy(), expected.numpy(), atol=1e-5)
