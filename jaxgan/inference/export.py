"""A generator for others: as weights, as a program of JAX, as ONNX.

All three make of the same inputs the same images in [0, 1] as the generator that was saved.
"""

import importlib
import json
import logging
import os
from types import ModuleType
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jaxgan import networks
from jaxgan.errors import UserError
from jaxgan.files import write_atomically
from jaxgan.inference.load import LoadedGenerator, make_generate
from jaxgan.inputs import Classes, Images, Inputs, describe_inputs, inputs_from_description
from jaxgan.network import NetworkLike, as_network, name_of
from jaxgan.networks.convolution import force_formulation

__all__ = ["load_safetensors", "save_onnx", "save_program", "save_safetensors"]

PLATFORMS = ("cpu", "cuda", "tpu")
"""Which a saved program runs on."""
_KEY = "jaxgan"  # of the file's metadata


def save_safetensors(path: str | os.PathLike, generate: LoadedGenerator) -> None:
    """Saves a generator's variables as safetensors, and in the file's metadata what they are of.

    A tensor's name is that of its Flax collection, its modules and itself, as
    `params.Dense_0.kernel`. Of averaged parameters the batch statistics are their own, as
    `load_generator` has measured them.

    Args:
      path: the file to write.
      generate: of `load_generator`, `load_translator` or `make_generate`.

    Raises:
      UserError: the package safetensors is not installed.

    Examples:
      >>> save_safetensors("digits.safetensors", load_generator("runs/"))  # doctest: +SKIP
    """
    safetensors = _need("safetensors.numpy", "export")
    flat = traverse_util.flatten_dict(generate.variables, sep=".")
    description = {
        "generator": networks.describe(generate.generator),
        "inputs": describe_inputs(generate.inputs),
        "step": getattr(generate, "step", None),
        "config": getattr(generate, "config", {}),
    }
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in flat.items()}
    write_atomically(path, safetensors.save(tensors, {_KEY: json.dumps(description)}))


def load_safetensors(
    path: str | os.PathLike, *, generator: NetworkLike | None = None
) -> LoadedGenerator:
    """Loads what `save_safetensors` has saved; nothing else of the run is needed.

    Args:
      path: the file.
      generator: the network, where it is not one of `jaxgan.networks`.

    Returns:
      As `load_generator`.

    Raises:
      UserError: the file cannot be read, is damaged or of another program; its tensors are not
        those of the generator; the package safetensors is not installed.

    Examples:
      >>> generate = load_safetensors("digits.safetensors")  # doctest: +SKIP
      >>> images = generate(jax.random.normal(jax.random.key(0), (64, 100)))  # doctest: +SKIP
    """
    tensors, description = _read(path)
    if generator is None:
        generator = networks.from_description(description["generator"])
    inputs, config = inputs_from_description(description["inputs"]), description["config"]
    arguments = _arguments(inputs, config, 2)
    made = jax.eval_shape(as_network(generator).init, jax.random.key(0), *arguments)
    expected = traverse_util.flatten_dict(made, sep=".")
    for name in sorted(tensors.keys() | expected.keys()):
        got, wanted = (of[name].shape if name in of else "none" for of in (tensors, expected))
        if got != wanted:
            raise UserError(
                f"path: {os.fspath(path)} is not of this {name_of(generator)}: {name} is "
                f"{got}, expected {wanted}"
            )
    variables = traverse_util.unflatten_dict(tensors, sep=".")
    generate = make_generate(
        generator, jax.tree.map(jnp.asarray, variables), inputs, averaged=False
    )
    generate.step, generate.config = description["step"], config
    return generate


def save_program(path: str | os.PathLike, generate: LoadedGenerator) -> None:
    """Saves a generator, its weights included, as a program of `jax.export`.

    It takes batches of any size, on CPU, GPU and TPU, and needs neither jaxgan nor Flax:
    `jax.export.deserialize(bytearray(Path(path).read_bytes())).call(latents)`. JAX promises to read
    it for at least six months of later releases. A class that there is not is not refused.

    Args:
      path: the file to write.
      generate: as for `save_safetensors`.

    Raises:
      UserError: a generator of images whose size no config tells.

    Examples:
      >>> save_program("digits.jax", load_generator("runs/"))  # doctest: +SKIP

    Source: the JAX documentation, "Exporting and serializing staged-out computations".
    """
    (batch,) = jax.export.symbolic_shape("batch")
    arguments = _arguments(generate.inputs, getattr(generate, "config", {}), batch)
    exported = jax.export.export(jax.jit(generate), platforms=PLATFORMS)(*arguments)
    write_atomically(path, bytes(exported.serialize()))


def save_onnx(path: str | os.PathLike, generate: LoadedGenerator) -> None:
    """Saves a generator, its weights included, as ONNX.

    Its inputs have the names of `generate.inputs`, its output is `generated`; batches are of any
    size:
    `onnxruntime.InferenceSession(path).run(None, {"latents": latents})`.

    Args:
      path: the file to write.
      generate: as for `save_safetensors`.

    Raises:
      UserError: a generator of images whose size no config tells; the package jax2onnx is not
        installed, or does not know this JAX: 0.17 works under JAX 0.10, not under 0.12.

    Examples:
      >>> save_onnx("digits.onnx", load_generator("runs/"))  # doctest: +SKIP
    """
    jax2onnx = _need("jax2onnx", "onnx")
    arguments = _arguments(generate.inputs, getattr(generate, "config", {}), "batch")
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)  # dozens of lines on values inside the graph
    try:
        # One formulation for every machine: ONNX knows no choice by platform.
        with force_formulation("onnx"):
            model = jax2onnx.to_onnx(
                generate,
                arguments,
                model_name="generator",
                input_names=list(generate.inputs),
                output_names=["generated"],
            )
    # It knows JAX's inner parts, which change from release to release.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"onnx: jax2onnx does not convert {name_of(generate.generator)} under JAX "
            f"{jax.__version__} ({reason}), expected a version of JAX that it knows, such as 0.10"
        ) from error
    finally:
        logger.setLevel(level)
    # Shapes inside the graph, which some have with their axes in another order.
    del model.graph.value_info[:]
    write_atomically(path, model.SerializeToString())


def _arguments(inputs: Inputs, config: dict[str, Any], batch: Any) -> list[jax.ShapeDtypeStruct]:
    """The shapes of what a generator takes, for a batch of this size."""
    arguments = []
    for name, of in inputs.items():
        shape: tuple[int, ...]
        if isinstance(of, Classes):
            shape = ()
        elif isinstance(of, Images):
            if "image_size" not in config:
                raise UserError(
                    f"{name}: no size of images is known, expected image_size in config"
                )
            shape = (config["image_size"], config["image_size"], of.channels)
        else:
            shape = (of.dim,)
        dtype = jnp.int32 if isinstance(of, Classes) else jnp.float32
        arguments.append(jax.ShapeDtypeStruct((batch, *shape), dtype))
    return arguments


def _read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the description of a file that `save_safetensors` has written."""
    safetensors = _need("safetensors", "export")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            description = json.loads((file.metadata() or {})[_KEY])
    except KeyError:
        raise UserError(
            f"path: {os.fspath(path)} holds no generator, expected a file of save_safetensors"
        ) from None
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(
            f"path: cannot read {os.fspath(path)} ({error}), expected a file of save_safetensors"
        ) from None
    return tensors, description


def _need(module: str, extra: str) -> ModuleType:
    """A module that only an extra brings."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise UserError(
            f"{package} is not installed, expected pip install 'jaxgan[{extra}]'"
        ) from None
