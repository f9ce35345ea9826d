"""Flax modules, one file a family, over the shared `layers`.

`mlp` and `dcgan` return a (generator, discriminator) pair; the modules themselves take the
widths, for pairs of one's own.
"""

from jaxgan.networks.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan
from jaxgan.networks.describe import describe, from_description
from jaxgan.networks.mlp import MLPDiscriminator, MLPGenerator, mlp

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "MLPDiscriminator",
    "MLPGenerator",
    "dcgan",
    "describe",
    "from_description",
    "mlp",
]
