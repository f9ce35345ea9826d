"""What `critics.py` and the tests give to the critics and terms, of NumPy alone."""

import itertools
from collections import Counter
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from anchor_inputs import draw_emoji

from jaxgan import adversarial_critic, losses
from jaxgan.networks import MultiScaleDiscriminator, UNetDiscriminator, VQAutoencoder

__all__ = [
    "AUTOENCODER",
    "NETWORKS",
    "SOME",
    "autoencoded",
    "autoencoder_variables",
    "balanced_layers",
    "balanced_weight",
    "critic_images",
    "followed_lecam",
    "logit_batches",
    "outputs",
    "singular",
    "to_variables",
]

NETWORKS = {
    "MultiScaleDiscriminator": MultiScaleDiscriminator(features=True),
    "UNetDiscriminator": UNetDiscriminator(),
}
"""As published; narrow ones have an eighth of the channels."""

AUTOENCODER = VQAutoencoder(3, widths=(32, 64), dim=4, codes=16)
"""Of as few channels as the authors' group norm takes."""

SOME = 97
"""Of an image's outputs and gradient, every how manieth number is kept."""

Tensors = Mapping[str, np.ndarray]


def critic_images() -> np.ndarray:
    """Two emoji (2, 64, 64, 3) float32 in [-1, 1]."""
    return 2 * draw_emoji(2) - 1


def to_variables(name: str, tensors: Tensors) -> dict:
    """The authors' tensors, by PyTorch's names, as the variables of one of `NETWORKS`.

    Spectral vectors are those of the singular value decomposition, from which no iteration moves.
    """

    if name == "UNetDiscriminator":
        weights = [tensors[f"conv{i}.weight{'_orig' if 0 < i < 9 else ''}"] for i in range(10)]
        params = {f"Conv_{i}": conv(x, tensors.get(f"conv{i}.bias")) for i, x in enumerate(weights)}
        spectral = {}
        for i, weight in enumerate(weights[1:9]):
            u, _, sigma = singular(weight)
            names = (f"Conv_{i + 1}/kernel/{of}" for of in ("u", "sigma"))
            spectral[f"SpectralNorm_{i}"] = dict(zip(names, (u[None], sigma), strict=True))
        return {"params": params, "spectral": spectral}
    layers = [key.removesuffix(".0.weight") for key in tensors if key.endswith(".0.weight")]
    scales = sorted({layer.split("_")[0] for layer in layers}, reverse=True)  # the largest last
    params = {}
    for i, scale in enumerate(scales):
        own = [layer for layer in layers if layer.startswith(f"{scale}_")]
        params[f"PatchDiscriminator_{i}"] = {
            f"Conv_{j}": conv(tensors[f"{layer}.0.weight"], tensors[f"{layer}.0.bias"])
            for j, layer in enumerate(own)
        }
    return {"params": params}


def conv(weight: np.ndarray, bias: np.ndarray | None = None) -> dict[str, np.ndarray]:
    kernel = {"kernel": np.ascontiguousarray(weight.transpose(2, 3, 1, 0))}
    return kernel if bias is None else {**kernel, "bias": bias}


def autoencoder_variables(tensors: Tensors) -> dict:
    """The tensors of VQGAN's encoder, decoder and codebook as those of a `VQAutoencoder`."""

    def layer(name):
        return conv(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(name):
        return {"scale": tensors[f"{name}.weight"], "bias": tensors[f"{name}.bias"]}

    def residual(name):
        names = ("conv1", "conv2", "nin_shortcut")
        convs = [f"{name}.{of}" for of in names if f"{name}.{of}.weight" in tensors]
        made = {f"Conv_{i}": layer(of) for i, of in enumerate(convs)}
        return {**made, **{f"GroupNorm_{i}": norm(f"{name}.norm{i + 1}") for i in range(2)}}

    def attention(name):
        made = {f"Conv_{i}": layer(f"{name}.{of}") for i, of in enumerate(("q", "k", "v"))}
        return {**made, "Conv_3": layer(f"{name}.proj_out"), "GroupNorm_0": norm(f"{name}.norm")}

    def side(name, stages):
        params, used = {}, Counter()

        def put(kind, value):
            params[f"{kind}_{used[kind]}"] = value
            used[kind] += 1

        put("Conv", layer(f"{name}.conv_in"))
        for stage in stages:
            if stage == "mid":
                put("Residual", residual(f"{name}.mid.block_1"))
                put("Attention", attention(f"{name}.mid.attn_1"))
                put("Residual", residual(f"{name}.mid.block_2"))
                continue
            for block in (f"{name}.{stage}.block.{i}" for i in itertools.count()):
                if f"{block}.conv1.weight" not in tensors:
                    break
                put("Residual", residual(block))
            for kind, resized in (("Conv", "downsample"), ("UpConv", "upsample")):
                if f"{name}.{stage}.{resized}.conv.weight" in tensors:
                    put(kind, layer(f"{name}.{stage}.{resized}.conv"))
        put("GroupNorm", norm(f"{name}.norm_out"))
        put("Conv", layer(f"{name}.conv_out"))
        return params

    params = {
        "encoder": side("encoder", ("down.0", "down.1", "mid")),
        "before": layer("quant_conv"),
        "quantizer": {"codebook": tensors["quantize.embedding.weight"]},
        "after": layer("post_quant_conv"),
        "decoder": side("decoder", ("mid", "up.1", "up.0")),
    }
    return {"params": params}


def autoencoded(variables: dict, images: np.ndarray) -> dict[str, np.ndarray]:
    """What `AUTOENCODER` makes of images, with their tokens, its loss and their vectors."""

    @jax.jit
    def apply(variables, images):
        made, of = AUTOENCODER.apply(variables, images, method="reconstruct")
        return {"images": made, "tokens": of.tokens, "loss": of.loss}

    return {name: np.asarray(x) for name, x in apply(variables, images).items()}


def singular(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.float32]:
    """(u, v, s) of the largest singular value of a kernel, outputs by all else."""
    u, s, v = np.linalg.svd(weight.reshape(len(weight), -1).astype(np.float64), full_matrices=False)
    return u[:, 0].astype(np.float32), v[0].astype(np.float32), np.float32(s[0])


def balanced_layers() -> dict[str, dict[str, np.ndarray]]:
    """A last layer (O, I), what it is given (B, I), and real examples (B, O), by name.

    What it makes is y = layer x; the losses are E|y - real| and -E[slope tanh(y)].
    """
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    cases = {}
    for name, slope in {"strong": 30.0, "like": 1.0, "weak": 1e-2, "none": 0.0}.items():
        layer, given = draw(3, 8), draw(16, 8)
        real = draw(16, 3)
        cases[name] = {"layer": layer, "given": given, "real": real, "slope": np.float32(slope)}
    return cases


def balanced_weight(layer, given, real, slope) -> jax.Array:
    """The adaptive weight of one of `balanced_layers`."""

    def both(layer):
        made = given @ layer.T
        return jnp.mean(jnp.abs(made - real)), -jnp.mean(slope * jnp.tanh(made))

    reconstruction, adversarial = jax.jacrev(both)(layer)
    return losses.adaptive_weight(reconstruction, adversarial)


def logit_batches() -> np.ndarray:
    """Logits of five steps (5, 2, 12) float32, real ones and generated ones, drifting apart."""
    drift = np.array([1.0, -1.0])[:, None] * np.arange(5)[:, None, None]
    return (np.random.default_rng(0).standard_normal((5, 2, 12)) + drift).astype(np.float32)


class Same(nn.Module):
    """Its input as logits."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return x * self.param("one", nn.initializers.ones, ())


def followed_lecam(batches: np.ndarray) -> np.ndarray:
    """LeCam's loss at each step of a critic that gives these logits."""
    tx = optax.sgd(0.0)
    critic = adversarial_critic(Same(), tx, loss=losses.hinge, lecam_weight=1.0)
    state = critic.init(jax.random.key(0), batches[0, 0][:, None])

    def step(state, batch):
        _, state, metrics = critic.update(state, batch[0][:, None], batch[1][:, None], 0)
        return state, metrics["lecam"]

    return np.asarray(jax.lax.scan(step, state, batches)[1])


def outputs(name: str, variables: dict, narrow: int, images: np.ndarray) -> dict[str, np.ndarray]:
    """What one of `NETWORKS` gives, and the gradient of the sum of its squares by the images."""
    network = NETWORKS[name]
    if narrow > 1:
        network = narrowed(network, narrow)
    mutable = [key for key in variables if key != "params"]

    def apply(images):
        given, _ = network.apply(variables, images, train=True, mutable=mutable)
        return jax.tree.leaves(given)

    made, pullback = jax.vjp(jax.jit(apply), images)
    (slope,) = pullback([2 * x for x in made])
    named = {f"output {i}": np.asarray(x) for i, x in enumerate(made)}
    return {**named, "gradient": np.asarray(slope)}


def narrowed(network, factor: int):
    """The network with so many times fewer channels."""
    if isinstance(network, UNetDiscriminator):
        return network.copy(width=network.width // factor)
    return network.copy(widths=tuple(width // factor for width in network.widths))
