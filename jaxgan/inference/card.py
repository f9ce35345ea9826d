"""The card of an exported generator: what it is, of which data, how good, and how it is loaded."""

from collections.abc import Mapping
from typing import Any

import jax

from jaxgan.inference.load import LoadedGenerator
from jaxgan.inputs import Classes, Images, Inputs, Latents
from jaxgan.network import name_of

__all__ = ["FILES", "model_card"]

FILES = {
    "safetensors": "generator.safetensors",
    "program": "generator.jax",
    "onnx": "generator.onnx",
}
"""The formats of `inference.export`, and the file of each in the folder of an export."""

_LOAD = {
    "safetensors": """In Python, with jaxgan (`pip install 'jaxgan[export]'`):

```python
from jaxgan.inference.export import load_safetensors

generate = load_safetensors("{file}")
images = generate({arguments})
```""",
    "program": """With JAX alone, as one program:

```python
import jax.export

generate = jax.export.deserialize(bytearray(open("{file}", "rb").read())).call
images = generate({arguments})
```""",
    "onnx": """With ONNX Runtime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
(images,) = session.run(None, {{{feed}}})
```""",
}


def model_card(
    generate: LoadedGenerator,
    *,
    formats: tuple[str, ...],
    summary: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, float]],
    licence: str | None = None,
    samples: str | None = None,
) -> str:
    """Writes the card, Markdown that model hubs show as it is.

    Args:
      generate: of `load_generator` or `load_translator`.
      formats: of the exported files, some of `FILES`.
      summary: of the run, as `summary.json` has it; may be empty.
      metrics: head of a column -> {name: value}.
      licence: of the data; None where it is not known.
      samples: the picture's file name.

    Returns:
      The text.

    Examples:
      >>> text = model_card(  # doctest: +SKIP
      ...     load_generator("runs/"), formats=("program",), summary={}, metrics={}
      ... )
    """
    config = generate.config
    count = sum(leaf.size for leaf in jax.tree.leaves(generate.variables["params"]))
    arguments = ", ".join(generate.inputs)
    feed = ", ".join(f'"{name}": {name}' for name in generate.inputs)
    title = summary.get("title") or name_of(generate.generator)
    parts = [
        "---\nlibrary_name: jaxgan\ntags: [gan, jax, flax]\n---",
        f"# {title}",
        *([f"![Samples]({samples})"] if samples else []),
        f"A generator of images, {name_of(generate.generator)} of jaxgan, with {count:,} "
        f"parameters, from step {generate.step:,} of its training.",
        "It takes " + "; ".join(_take(generate.inputs, config)) + ". It gives images (B, H, W, C) "
        "float32 in [0, 1].",
        "## Data",
        f"`{config.get('dataset', 'unknown')}`"
        + (f": {licence}." if licence else "; its licence is not known here."),
        "## Training",
        f"```bash\n{summary.get('command', '# not known')}\n```",
        _versions(summary),
        "## Metrics",
        _table(metrics) if metrics else "None were measured at this step.",
        "## Loading",
        *(_LOAD[name].format(file=FILES[name], arguments=arguments, feed=feed) for name in formats),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _take(inputs: Inputs, config: Mapping[str, Any]) -> list[str]:
    """A phrase for each input."""
    phrases = []
    for name, of in inputs.items():
        if isinstance(of, Latents):
            prior = "normal" if of.prior == "normal" else "uniform in [-1, 1]"
            phrases.append(f"`{name}` (B, {of.dim}) float32, {prior}")
        elif isinstance(of, Classes):
            phrases.append(f"`{name}` (B,) int32, 0 to {of.count - 1}")
        elif isinstance(of, Images):
            size = config.get("image_size", "H")
            phrases.append(f"`{name}` (B, {size}, {size}, {of.channels}) float32 in [0, 1]")
        else:
            phrases.append(f"`{name}` (B, {of.dim}) float32")
    return phrases


def _versions(summary: Mapping[str, Any]) -> str:
    versions = summary.get("versions") or {}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    commit = summary.get("commit")
    return told + (f"; jaxgan at {commit[:12]}" if commit else "") + ("." if told else "")


def _table(columns: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = ["| metric | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for name in names:
        cells = (f"{column[name]:.4g}" if name in column else "" for column in columns.values())
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)
