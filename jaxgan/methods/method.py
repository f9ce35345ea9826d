"""What training, evaluation, sampling and loading need to know of a method, in one place."""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import jax

from jaxgan.inputs import Inputs
from jaxgan.state import PyTree, TrainState
from jaxgan.step import Metrics

__all__ = ["Method"]


class Method(NamedTuple):
    """An `Objective`, how its state begins, and what is known of its generator.

        method = methods.adversarial(*networks.dcgan(28), latent_dim=100, loss=losses.hinge)
        state = method.init(jax.random.key(0), batch, gen_tx, disc_tx, ema=True)
        step = make_train_step(method, gen_tx, disc_tx, ema_decay=0.999)

    A method of your own is a function that returns one. `make_train_step` asks for the first three
    alone, and takes any `Objective` as well.

    Attributes:
      generate, disc_loss, gen_loss: as those of `Objective`.
      init: (key, batch, gen_tx, disc_tx, *, ema=False) -> the `TrainState` at step 0. Of the batch,
        an example, the shapes alone are used. It refuses networks that do not fit it.
      evaluate: (state, batch, key) -> sums over a batch of held-out examples, and their "count";
        the batch has a "mask" (B,) besides, 0 where it was filled up. None where nothing is tested.
      inputs: name -> what the generator takes, in the order in which it does.
      disc_inputs: the same of the discriminator, besides images.
    """

    generate: Callable[..., tuple[PyTree, PyTree]]
    disc_loss: Callable
    gen_loss: Callable
    init: Callable[..., TrainState]
    evaluate: Callable[[TrainState, PyTree, jax.Array], Metrics] | None = None
    inputs: Inputs = MappingProxyType({})
    disc_inputs: Inputs = MappingProxyType({})
