"""Flax modules, one file a family, over the shared `layers`.

`mlp`, `dcgan`, `sn_resnet`, `r3gan` and `sgan` return a (generator, discriminator) pair; the
modules themselves take the widths, for pairs of one's own.
"""

from jaxgan.networks.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan
from jaxgan.networks.describe import describe, from_description
from jaxgan.networks.mlp import MLPDiscriminator, MLPGenerator, mlp
from jaxgan.networks.r3gan import R3GANDiscriminator, R3GANGenerator, r3gan
from jaxgan.networks.semi_supervised import SGANDiscriminator, sgan
from jaxgan.networks.sn_resnet import SNResNetDiscriminator, SNResNetGenerator, sn_resnet

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "MLPDiscriminator",
    "MLPGenerator",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "SGANDiscriminator",
    "SNResNetDiscriminator",
    "SNResNetGenerator",
    "dcgan",
    "describe",
    "from_description",
    "mlp",
    "r3gan",
    "sgan",
    "sn_resnet",
]
