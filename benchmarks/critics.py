"""What trains with an adversarial term beside its authors' code; see results/critics.json.

    pip install -e '.[bench,tensorflow]'
    mkdir authors && cd authors && for name in NVIDIA/pix2pixHD xinntao/Real-ESRGAN \
        CompVis/taming-transformers google/lecam-gan; do git clone https://github.com/$name; done
    python benchmarks/critics.py --authors authors

Networks are given the same random weights and the same two emoji. The tests compare jaxgan with the
figures in the file, without PyTorch.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
from anchor_inputs import random_tensors
from critic_inputs import (
    AUTOENCODER,
    NETWORKS,
    SOME,
    autoencoded,
    autoencoder_variables,
    balanced_layers,
    balanced_weight,
    critic_images,
    followed_lecam,
    logit_batches,
    outputs,
    singular,
    to_variables,
)

from jaxgan.runs.provenance import provenance

ROOT = Path(__file__).parent.parent
TOLERANCE = 1e-4
"""Of `difference`, in float32."""
NARROW = 8


def load(path: Path) -> types.ModuleType:
    """A file of the authors' as a module; a mark that no Python takes is left out."""
    module = types.ModuleType(path.stem)
    exec(compile(path.read_text().replace("\ufeff", ""), str(path), "exec"), module.__dict__)
    return module


def stub(name: str, **names) -> None:
    """Stands for a module that the authors' files import and what is called here does not need."""
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(names)


def multi_scale(authors: Path, narrow: int):
    """(their network, what it gives in our order)"""
    stub("torchvision", models=None)
    networks = load(authors / "pix2pixHD" / "models" / "networks.py")
    with contextlib.redirect_stdout(None):  # it is printed
        network = networks.define_D(3, 64 // narrow, 3, num_D=3, getIntermFeat=True)

    def apply(images):
        scales = network(images)
        return [s[-1] for s in scales] + [x for s in scales for x in s[:-1]]

    return network, apply


def u_net(authors: Path, narrow: int):
    registry = types.SimpleNamespace(register=lambda: lambda kind: kind)
    stub("basicsr.utils.registry", ARCH_REGISTRY=registry)
    module = load(authors / "Real-ESRGAN" / "realesrgan" / "archs" / "discriminator_arch.py")
    network = module.UNetDiscriminatorSN(3, 64 // narrow)
    return network, lambda images: [network(images)]


THEIRS = {
    "MultiScaleDiscriminator": ("pix2pixHD", multi_scale),
    "UNetDiscriminator": ("Real-ESRGAN", u_net),
}


def compare_network(name: str, authors: Path, narrow: int) -> dict:
    """How far ours is from theirs, and, of narrow ones, what theirs gives."""
    _, make = THEIRS[name]
    network, apply = make(authors, narrow)
    shapes = {
        key: tuple(x.shape)
        for key, x in network.state_dict().items()
        if not key.endswith(("_u", "_v"))
    }
    tensors = random_tensors({key.removesuffix("_orig"): shape for key, shape in shapes.items()})
    tensors = {key: tensors[key.removesuffix("_orig")] for key in shapes}
    state = dict(tensors)
    for key in shapes:
        if key.endswith("_orig"):
            u, v, _ = singular(tensors[key])
            state |= {f"{key.removesuffix('_orig')}_{of}": x for of, x in (("u", u), ("v", v))}
    network.load_state_dict({key: torch.tensor(x) for key, x in state.items()})
    images = critic_images()
    given = torch.tensor(images.transpose(0, 3, 1, 2), requires_grad=True)
    made = apply(given)
    (slope,) = torch.autograd.grad(sum(x.square().sum() for x in made), given)
    made = [x.permute(0, 2, 3, 1).detach().numpy() for x in (*made, slope)]
    ours = outputs(name, to_variables(name, tensors), narrow, images)
    figures = {"parameters": sum(x.numel() for x in network.parameters())}
    for (key, mine), theirs in zip(ours.items(), made, strict=True):
        kept = theirs.reshape(2, -1)[:, ::SOME].tolist()
        figures[key] = {
            "difference": difference(key, mine.reshape(theirs.shape), theirs),
            "deviation": float(np.std(theirs)),
            "values": [[float(f"{x:.7g}") for x in row] for row in kept],
        }
        if narrow == 1:
            del figures[key]["values"]
    return figures if narrow == 1 else {**figures, "shapes": shapes}


def difference(name: str, made: np.ndarray, expected: np.ndarray) -> float:
    """The largest, in standard deviations; of a gradient that of the norms.

    Where a unit lies so near to 0 that rounding decides on its side, a gradient jumps.
    """
    off = made - expected
    if name == "gradient":
        return float(np.linalg.norm(off) / np.linalg.norm(expected))
    return float(np.max(np.abs(off)) / np.std(expected))


def compare_autoencoder() -> dict:
    """VQGAN's autoencoder, without attention but at the smallest size."""
    stub("einops", rearrange=rearrange)
    from taming.modules.diffusionmodules.model import Decoder, Encoder
    from taming.modules.vqvae.quantize import VectorQuantizer2

    widths, dim = AUTOENCODER.widths, AUTOENCODER.dim
    sizes = {
        "ch": widths[0],
        "out_ch": 3,
        "ch_mult": [width // widths[0] for width in widths],
        "num_res_blocks": AUTOENCODER.blocks,
        "attn_resolutions": [],
        "in_channels": 3,
        "resolution": 64,
        "z_channels": dim,
        "double_z": False,
    }
    with contextlib.redirect_stdout(None):
        network = torch.nn.ModuleDict(
            {
                "encoder": Encoder(**sizes),
                "quant_conv": torch.nn.Conv2d(dim, dim, 1),
                "quantize": VectorQuantizer2(AUTOENCODER.codes, dim, 0.25, legacy=False),
                "post_quant_conv": torch.nn.Conv2d(dim, dim, 1),
                "decoder": Decoder(**sizes),
            }
        )
    shapes = {key: tuple(x.shape) for key, x in network.state_dict().items()}
    tensors = random_tensors(shapes)
    network.load_state_dict({key: torch.tensor(x) for key, x in tensors.items()})
    images = critic_images()
    with torch.no_grad():
        vectors = network["quant_conv"](
            network["encoder"](torch.tensor(images.transpose(0, 3, 1, 2)))
        )
        vectors, loss, (_, _, tokens) = network["quantize"](vectors)
        made = network["decoder"](network["post_quant_conv"](vectors))
    made, ours = (
        made.permute(0, 2, 3, 1).numpy(),
        autoencoded(autoencoder_variables(tensors), images),
    )
    if not np.array_equal(ours["tokens"].ravel(), tokens.numpy().ravel()):
        raise SystemExit("VQAutoencoder: other tokens than the authors' code has")
    return {
        "parameters": sum(x.numel() for x in network.parameters()),
        "shapes": shapes,
        "tokens": sorted(set(tokens.tolist())),
        "loss": {"difference": abs(float(ours["loss"]) / loss.item() - 1), "value": loss.item()},
        "images": {
            "difference": difference("images", ours["images"], made),
            "deviation": float(np.std(made)),
            "values": [[float(f"{x:.7g}") for x in row] for row in made.reshape(2, -1)[:, ::SOME]],
        },
    }


def rearrange(x: torch.Tensor, pattern: str) -> torch.Tensor:
    """What the authors need of einops: another order of the axes."""
    before, after = (side.split() for side in pattern.split("->"))
    return x.permute([before.index(name) for name in after])


def compare_weights() -> dict:
    """The adaptive weight of several last layers."""
    stub("taming.modules.losses.lpips", LPIPS=object)
    from taming.modules.losses.vqperceptual import VQLPIPSWithDiscriminator

    figures = {}
    for name, case in balanced_layers().items():
        layer, given, real, slope = (torch.tensor(x) for x in case.values())
        layer.requires_grad_()
        made = given @ layer.T
        losses = torch.abs(made - real).mean(), -(slope * torch.tanh(made)).mean()
        theirs = VQLPIPSWithDiscriminator.calculate_adaptive_weight(
            types.SimpleNamespace(discriminator_weight=1.0), *losses, last_layer=layer
        )
        value, ours = float(theirs), float(balanced_weight(**case))
        figures[name] = {"difference": abs(ours - value) / value, "value": value}
    return figures


def compare_lecam(authors: Path) -> dict:
    """LeCam's losses over five steps, of the averages that their StyleGAN2 keeps; and of BigGAN's
    formula with these averages."""
    batches = logit_batches()
    module = load(authors / "lecam-gan" / "stylegan2" / "lecam_loss.py")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        sides = [tf.compat.v1.placeholder(tf.float32, batches.shape[2:]) for _ in range(2)]
        loss = module.lecamreg(*(types.SimpleNamespace(scores=x) for x in sides))
        session.run(tf.compat.v1.global_variables_initializer())
        values = [
            float(session.run(loss, dict(zip(sides, batch, strict=True)))) for batch in batches
        ]
    biggan = load(authors / "lecam-gan" / "biggan_cifar" / "losses.py")
    decays = 0.99 ** np.arange(5)[::-1]
    averages = [np.sum(decays * x.mean(-1)) / decays.sum() for x in batches.transpose(1, 0, 2)]
    ema = types.SimpleNamespace(D_real=averages[0], D_fake=averages[1])
    last = float(biggan.lecam_reg(*map(torch.tensor, batches[-1]), ema))
    ours = followed_lecam(batches)
    return {
        "difference": float(np.max(np.abs(ours / np.array(values) - 1))),
        "values": values,
        "biggan": {"difference": abs(float(ours[-1]) / last - 1), "value": last},
    }


def commits(authors: Path) -> dict[str, str]:
    """Of the checkouts compared with."""
    command = ["git", "rev-parse", "HEAD"]
    return {
        folder: subprocess.run(
            command, cwd=authors / folder, check=True, capture_output=True, text=True
        ).stdout.strip()
        for folder in ("pix2pixHD", "Real-ESRGAN", "taming-transformers", "lecam-gan")
    }


def differences(tree, path=()):
    """(name, difference) of all figures."""
    for name, value in tree.items():
        if name == "difference":
            yield " ".join(path), value
        elif isinstance(value, dict):
            yield from differences(value, (*path, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--authors", type=Path, required=True, help="folder of the checkouts")
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "critics.json")
    options = parser.parse_args()
    figures = {
        name: {
            "published": compare_network(name, options.authors, 1),
            "narrow": compare_network(name, options.authors, NARROW),
        }
        for name in NETWORKS
    }
    sys.path.insert(0, str(options.authors / "taming-transformers"))
    figures["VQAutoencoder"] = compare_autoencoder()
    figures["adaptive_weight"] = compare_weights()
    figures["lecam"] = compare_lecam(options.authors)
    result = {
        "command": "python benchmarks/critics.py --authors authors",
        "authors": commits(options.authors),
        **provenance("torch"),
        "figures": figures,
    }
    result["versions"]["tensorflow"] = tf.__version__  # of a distribution that has several names
    text = json.dumps(result, indent=1)
    # A list of numbers on one line.
    text = re.sub(r"\[[^][{}]*\]", lambda found: json.dumps(json.loads(found[0])), text)
    options.json.write_text(text + "\n")
    worst = 0.0
    for name, value in differences(figures):
        worst = max(worst, value)
        print(f"{name:40} differs by {value:.1e}")
    if not worst < TOLERANCE:
        sys.exit(1)


if __name__ == "__main__":
    main()
