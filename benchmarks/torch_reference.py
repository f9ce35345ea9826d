"""The games in PyTorch: the step as its users write it, tuned, and compiled."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import parity
import torch
import torch_networks
import torch_weights
from games import GAMES, LEARNING_RATE, Game
from torch import nn
from torch.nn.functional import relu, softplus
from torch.optim.swa_utils import AveragedModel

__all__ = ["SIDES", "GraphedStep", "Options", "average", "make_players", "make_step"]

PENALTY_WEIGHT = 0.5
POOL = 50


class Options(NamedTuple):
    """How a side is run.

    Attributes:
      tuned: channels-last, no gradients that are not used, the fused Adam.
      compiled: what computes losses goes through `torch.compile`, and on a GPU the whole step into
        a CUDA graph.
      device: "cpu" or "cuda".
      dtype: "float32", "tf32" or "bfloat16".
    """

    tuned: bool = False
    compiled: bool = False
    device: str = "cpu"
    dtype: str = "float32"

    def precision(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.dtype == "bfloat16")


PLAIN = Options()
SIDES = {
    "torch": PLAIN,
    "torch_tuned": Options(tuned=True),
    "torch_compiled": Options(tuned=True, compiled=True),
}


class Pool(nn.Module):
    """Past fakes of CycleGAN, kept where the step runs; gives back about half of them."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(POOL, *image_shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        shown = []
        for image in images:
            filling = self.count < POOL
            swap = (torch.rand((), device=image.device) < 0.5) & ~filling
            drawn = torch.randint(POOL, (), device=image.device)
            place = torch.where(filling, self.count, drawn)[None]
            past = self.images.index_select(0, place)[0]
            shown.append(torch.where(swap, past, image))
            kept = torch.where(filling | swap, image, past)
            self.images.index_copy_(0, place, kept[None])
            self.count += filling
        return torch.stack(shown)


def make_players(game: Game, options: Options = PLAIN) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator), weights from N(0, 0.02) as DCGAN's are.

    Of CycleGAN, {"ab", "ba"} and {"a", "b"}.
    """
    if game.name == "cyclegan":
        players = (
            nn.ModuleDict({name: torch_networks.generator(game) for name in ("ab", "ba")}),
            nn.ModuleDict({name: torch_networks.discriminator(game) for name in ("a", "b")}),
        )
    else:
        players = torch_networks.generator(game), torch_networks.discriminator(game)
    for player in players:
        for layer in player.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(layer.weight, 0.0, 0.02)
        player.to(options.device)
    if options.tuned:
        return tuple(player.to(memory_format=torch.channels_last) for player in players)
    return players


def make_step(
    game: Game,
    gen: nn.Module,
    disc: nn.Module,
    options: Options = PLAIN,
    learning_rate: float = LEARNING_RATE,
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """(images, latents), of CycleGAN (a, b) -> the losses (real, fake, generator), detached.

    R3GAN's have the penalty before the last.

    Tuned differs in three things: parameters and images are channels-last, which is the caller's,
    the generator's update computes no gradients of the discriminator's parameters, and Adam is the
    fused one.
    """
    on_graph = options.compiled and options.device == "cuda"
    adam = {
        "lr": torch.tensor(learning_rate, device="cuda") if on_graph else learning_rate,
        "betas": (game.b1, game.b2),
        "fused": options.tuned,
        "capturable": on_graph,
    }
    gen_optimizer = torch.optim.Adam(gen.parameters(), **adam)
    disc_optimizer = torch.optim.Adam(disc.parameters(), **adam)
    wrap = torch.compile if options.compiled else (lambda function: function)
    parts = _cyclegan_parts if game.name == "cyclegan" else _adversarial_parts
    generate, disc_losses, gen_loss = parts(game, gen, disc, wrap)

    def step(*inputs):
        disc_optimizer.zero_grad()
        with options.precision():
            fakes = generate(inputs)
        parts = []
        for loss in disc_losses:
            with options.precision():
                total, *shown = loss(inputs, fakes)
            total.backward()
            parts += shown
        disc_optimizer.step()

        gen_optimizer.zero_grad()
        with _fixed(disc, options.tuned):
            with options.precision():
                loss = gen_loss(inputs, fakes)
            loss.backward()
        gen_optimizer.step()
        return *(part.detach() for part in parts), loss.detach()

    return step


@contextlib.contextmanager
def _fixed(disc: nn.Module, tuned: bool) -> Iterator[None]:
    """The discriminator judges for the generator: its spectral vectors stay as they are."""
    norms = [m for m in disc.modules() if isinstance(m, torch_networks.SpectralNorm)]
    for norm in norms:
        norm.keep = False
    if tuned:
        disc.requires_grad_(False)
    yield
    for norm in norms:
        norm.keep = True
    if tuned:
        disc.requires_grad_(True)


def _adversarial_parts(game: Game, gen: nn.Module, disc: nn.Module, wrap: Callable):
    """(generate, losses of the discriminator, loss of the generator).

    Those of the discriminator are computed and differentiated one after the other; beside each is
    what is shown of it.
    """
    generate = wrap(lambda latents: gen(latents))
    if game.name == "r3gan":

        def pairs(images, fakes):
            real_logits, real_penalty = _with_penalty(disc, images)
            fake_logits, fake_penalty = _with_penalty(disc, fakes)
            half = 0.5 * softplus(fake_logits - real_logits).mean()
            penalty = PENALTY_WEIGHT * (real_penalty + fake_penalty)
            return 2 * half + penalty, half, half, penalty

        def against(images, fakes):
            return softplus(disc(images) - disc(fakes)).mean()

        return (
            lambda inputs: generate(inputs[1]),
            [lambda inputs, fakes: pairs(inputs[0], fakes.detach())],
            lambda inputs, fakes: against(inputs[0], fakes),
        )
    hinge = game.name == "sn_resnet"

    @wrap
    def real(images):
        logits = disc(images).float()
        return (relu(1 - logits) if hinge else softplus(-logits)).mean()

    @wrap
    def fake(fakes):
        logits = disc(fakes).float()
        return (relu(1 + logits) if hinge else softplus(logits)).mean()

    @wrap
    def for_generator(fakes):
        logits = disc(fakes).float()
        return (-logits if hinge else softplus(-logits)).mean()

    return (
        lambda inputs: generate(inputs[1]),
        [
            lambda inputs, fakes: (real(inputs[0]),) * 2,
            lambda inputs, fakes: (fake(fakes.detach()),) * 2,
        ],
        lambda inputs, fakes: for_generator(fakes),
    )


def _with_penalty(disc: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits (B,), the mean squared norm of their gradients)."""
    images = images.detach().requires_grad_()
    logits = disc(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return logits, gradient.float().square().sum((1, 2, 3)).mean()


def _cyclegan_parts(game: Game, gen: nn.ModuleDict, disc: nn.ModuleDict, wrap: Callable):
    """As `_adversarial_parts`; the losses of both domains together."""
    height, width, channels = game.image_shape
    device = next(gen.parameters()).device
    pools = [Pool((channels, height, width)).to(device) for _ in "ab"]

    @wrap
    def generate(a, b):
        return gen["ab"](a).float(), gen["ba"](b).float()

    @wrap
    def disc_loss(a, b, fake_a, fake_b):
        real = 0.5 * ((disc["a"](a).float() - 1) ** 2).mean()
        real = real + 0.5 * ((disc["b"](b).float() - 1) ** 2).mean()
        fake = 0.5 * (disc["a"](fake_a).float() ** 2).mean()
        fake = fake + 0.5 * (disc["b"](fake_b).float() ** 2).mean()
        return real + fake, real, fake

    @wrap
    def gen_loss(a, b, fake_a, fake_b):
        loss = ((disc["a"](fake_a).float() - 1) ** 2).mean()
        loss = loss + ((disc["b"](fake_b).float() - 1) ** 2).mean()
        cycle = (gen["ba"](fake_b) - a).abs().mean() + (gen["ab"](fake_a) - b).abs().mean()
        same = (gen["ba"](a) - a).abs().mean() + (gen["ab"](b) - b).abs().mean()
        return loss + 10 * cycle + 5 * same

    def shown(fakes):
        fake_b, fake_a = (fake.detach() for fake in fakes)
        return pools[0](fake_a), pools[1](fake_b)

    return (
        lambda inputs: generate(*inputs),
        [lambda inputs, fakes: disc_loss(*inputs, *shown(fakes))],
        lambda inputs, fakes: gen_loss(*inputs, *reversed(fakes)),
    )


class GraphedStep:
    """A step as a CUDA graph: three calls warm it up, the fourth records it."""

    def __init__(self, step: Callable, inputs: tuple[torch.Tensor, ...]) -> None:
        self.step, self.inputs = step, tuple(torch.empty_like(x) for x in inputs)
        self.calls, self.graph, self.losses = 0, torch.cuda.CUDAGraph(), None
        self.stream = torch.cuda.Stream()

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As the step."""
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        self.calls += 1
        if self.calls <= 3:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                losses = self.step(*self.inputs)
            torch.cuda.current_stream().wait_stream(self.stream)
            return losses
        if self.losses is None:
            with torch.cuda.graph(self.graph):
                self.losses = self.step(*self.inputs)
        self.graph.replay()
        return self.losses


def average(gen: nn.Sequential, decay: float) -> AveragedModel:
    """The average of a generator's parameters from now on, by the rule of jaxgan's train step.

    After each step `update_parameters(gen)` is to be called; step t, from 0 on, keeps
    min(decay, (1 + t) / (10 + t)) of the average.
    """

    def keep(averaged, trained, count):
        # Before step 0 the start itself has been counted.
        kept = min(decay, int(count) / (9 + int(count)))
        return kept * averaged + (1 - kept) * trained

    averaged = AveragedModel(gen, avg_fn=keep)
    averaged.update_parameters(gen)  # which takes the start as it is
    return averaged


def prepare(side: str, dtype: str, start: parity.Start) -> tuple[Callable, Callable]:
    """(does one step, waits for it).

    The step is given a number, and takes that of the inputs and gives its losses; without a number,
    new latents are drawn.
    """
    game, device = start.game, "cuda" if start.platform == "gpu" else "cpu"
    options = SIDES[side]._replace(device=device, dtype=dtype)
    if device == "cpu":
        # Steps of a small game are over before a second thread is awake.
        small = game != GAMES[game.name]
        torch.set_num_threads(1 if small else len(os.sched_getaffinity(0)))
    # Both flags: convolutions are in TF32 by default, matrix products are not.
    torch.backends.cudnn.allow_tf32 = dtype != "float32"
    torch.backends.cuda.matmul.allow_tf32 = dtype != "float32"
    torch.backends.cudnn.benchmark = options.tuned
    players = make_players(game, options)
    torch_weights.load(start, players)

    def inputs(number):
        on_device = (x.to(device) for x in torch_weights.inputs(start, number))
        if options.tuned:
            return tuple(
                x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in on_device
            )
        return tuple(on_device)

    first = inputs(0)
    step = make_step(game, *players, options, parity.LEARNING_RATE)
    if options.compiled and device == "cuda":
        step = GraphedStep(step, first)

    def numbered(number: int | None = None):
        if number is not None:
            return step(*inputs(number))
        images, other = first
        return step(images, other if game.name == "cyclegan" else torch.randn_like(other))

    return numbered, torch.cuda.synchronize if device == "cuda" else lambda: None
