"""What a GPU's compiler is told, as far as it is seen without one."""

import jax
import pytest
import tiny

from jaxgan import cpu, gpu
from jaxgan.errors import UserError
from jaxgan.training import config, experiment, sharding


def test_a_cpu_is_told_nothing():
    assert gpu.deterministic_options() == {}


def test_this_xla_knows_the_options(monkeypatch):
    """It takes those of any device, so that a CPU tells."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    options = gpu.deterministic_options()
    assert list(options) == ["xla_gpu_deterministic_ops"]
    assert cpu.known({"xla_gpu_undeterministic_ops": "True"}) == {}


def test_an_xla_without_them_is_no_silent_break_of_a_promise(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(cpu, "known", lambda options: {})
    with pytest.raises(UserError, match="deterministic: got True"):
        gpu.deterministic_options()


class Compiling(Exception):
    pass


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_config_says_whether_a_run_is_told(deterministic, monkeypatch):
    told = []

    def stop(*_, compiler_options, **__):
        told.append(compiler_options)
        raise Compiling

    mesh, state = sharding.make_mesh(), tiny.state()
    cpu.compiler_options()  # which asks once, by compiling
    monkeypatch.setattr(gpu, "deterministic_options", lambda: {"told": "True"})
    monkeypatch.setattr(jax, "jit", stop)
    settings = config.base_config()
    assert not settings.deterministic
    settings.deterministic = deterministic
    names = ("sample", "evaluate", "real", "images_per_step", "description", "use")
    with pytest.raises(Compiling):
        experiment.fit_images(
            settings, state, None, None, None, mesh, arrays=None, **dict.fromkeys(names)
        )
    assert [("told" in options) for options in told] == [deterministic]
