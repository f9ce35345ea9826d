"""The games that are timed: their sizes, which every side reads."""

from typing import NamedTuple

__all__ = ["GAMES", "LEARNING_RATE", "OF_CPU", "SMALL", "Game"]

LEARNING_RATE = 2e-4


class Game(NamedTuple):
    """One game.

    Attributes:
      name: a key of `GAMES`.
      batch: images of an update, of either domain in CycleGAN.
      latent_dim: size of the latents; 0 where images are made of images.
      image_shape: (H, W, C).
      widths: channels of the feature maps of the generator, from the latents on; for an SN-ResNet
        one for each of its blocks, for CycleGAN that of the first layer.
      blocks: residual blocks, of each width in R3GAN.
      b1, b2: of Adam.
    """

    name: str
    batch: int
    latent_dim: int
    image_shape: tuple[int, int, int]
    widths: tuple[int, ...]
    blocks: int = 0
    b1: float = 0.5
    b2: float = 0.999


GAMES = {
    game.name: game
    for game in (
        Game("mlp", 100, 64, (28, 28, 1), (256, 256), b1=0.9),
        Game("dcgan28", 100, 100, (28, 28, 1), (128, 64, 32)),
        Game("dcgan64", 64, 100, (64, 64, 3), (512, 256, 128, 64)),
        Game("sn_resnet", 64, 128, (32, 32, 3), (256, 256, 256), b1=0.0, b2=0.9),
        Game("r3gan", 512, 64, (32, 32, 3), (768, 768, 768, 768), 2, b1=0.0, b2=0.99),
        Game("cyclegan", 1, 0, (256, 256, 3), (64,), 9),
    )
}
OF_CPU = ("mlp", "dcgan28", "dcgan64")
"""Those of the table for CPUs; accelerators are given all but the first of them, which they would
only be waited for in."""

SMALL = {
    game.name: game
    for game in (
        GAMES["dcgan28"]._replace(batch=4, image_shape=(8, 8, 1), widths=(8, 4)),
        GAMES["dcgan64"]._replace(batch=4, image_shape=(16, 16, 3), widths=(8, 4)),
        GAMES["sn_resnet"]._replace(batch=4, image_shape=(8, 8, 3), widths=(8,)),
        GAMES["r3gan"]._replace(batch=4, image_shape=(8, 8, 3), widths=(16, 16), blocks=1),
        GAMES["cyclegan"]._replace(image_shape=(32, 32, 3), widths=(4,), blocks=1),
    )
}
"""The games of accelerators, so small that the whole table is made on a CPU in minutes."""
