"""Flax modules, one file a family, over the shared `layers`.

`mlp`, `dcgan`, `dcgan_paper`, `sn_resnet`, `r3gan`, `sgan`, `stackgan_stage_one` and
`stackgan_stage_two` return a (generator, discriminator) pair; the modules themselves take the
widths, for pairs of one's own.
`cyclegan`, `discogan` and `pix2pix` do as well, for pairs that translate images into images: each
direction takes such a pair. `FastGANGenerator` and `ProjectedDiscriminator` are a pair, too: the
latter is handed the fixed features that it sees images by. `MultiScaleDiscriminator` and
`UNetDiscriminator` judge images of other trainings, for `adversarial_critic`.
"""

from jaxgan.networks.cyclegan import PatchDiscriminator, ResNetGenerator, cyclegan
from jaxgan.networks.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan, dcgan_paper
from jaxgan.networks.describe import describe, from_description
from jaxgan.networks.discogan import DiscoGANDiscriminator, DiscoGANGenerator, discogan
from jaxgan.networks.fastgan import FastGANGenerator
from jaxgan.networks.mlp import MLPDiscriminator, MLPGenerator, mlp
from jaxgan.networks.pix2pix import UNetGenerator, pix2pix
from jaxgan.networks.pix2pixhd import MultiScaleDiscriminator
from jaxgan.networks.projected import ProjectedDiscriminator
from jaxgan.networks.r3gan import R3GANDiscriminator, R3GANGenerator, r3gan
from jaxgan.networks.real_esrgan import UNetDiscriminator
from jaxgan.networks.semi_supervised import SGANDiscriminator, sgan
from jaxgan.networks.sn_resnet import SNResNetDiscriminator, SNResNetGenerator, sn_resnet
from jaxgan.networks.srvgg import SRVGGNet
from jaxgan.networks.stackgan import (
    StackGANDiscriminator,
    StackGANStageOne,
    StackGANStageTwo,
    stackgan_stage_one,
    stackgan_stage_two,
)
from jaxgan.networks.text import ImageEncoder, TextEncoder
from jaxgan.networks.velocity import OneStepUNet, VelocityCritic, VelocityUNet
from jaxgan.networks.vq import VectorQuantizer, VQAutoencoder

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiscoGANDiscriminator",
    "DiscoGANGenerator",
    "FastGANGenerator",
    "ImageEncoder",
    "MLPDiscriminator",
    "MLPGenerator",
    "MultiScaleDiscriminator",
    "OneStepUNet",
    "PatchDiscriminator",
    "ProjectedDiscriminator",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "ResNetGenerator",
    "SGANDiscriminator",
    "SNResNetDiscriminator",
    "SNResNetGenerator",
    "SRVGGNet",
    "StackGANDiscriminator",
    "StackGANStageOne",
    "StackGANStageTwo",
    "TextEncoder",
    "UNetDiscriminator",
    "UNetGenerator",
    "VQAutoencoder",
    "VectorQuantizer",
    "VelocityCritic",
    "VelocityUNet",
    "cyclegan",
    "dcgan",
    "dcgan_paper",
    "describe",
    "discogan",
    "from_description",
    "mlp",
    "pix2pix",
    "r3gan",
    "sgan",
    "sn_resnet",
    "stackgan_stage_one",
    "stackgan_stage_two",
]
