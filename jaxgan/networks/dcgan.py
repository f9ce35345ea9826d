"""Deep convolutional GANs for 28, 32, 64 and 128 pixels."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.labels import check_labels
from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU, Upsample, dcgan_init, to_logits

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "dcgan", "dcgan_paper"]

Dtype = Any


class DCGANGenerator(nn.Module):
    """Latents (B, D) -> float32 images in [-1, 1], (B, S, S, channels).

    A dense layer makes base_size x base_size x widths[0]; each further width doubles the side;
    batch norm and ReLU stand between, tanh at the end.

    Attributes:
      base_size: side of the first feature map.
      widths: channels of the feature maps.
      channels: of the image.
      kernel: side of the kernels.
      last_doubles: the layer to pixels doubles the side once more; else it has stride 1.
      upsampling: "transpose" or "resize", as in `layers.Upsample`.
      num_classes: K; the class of each image is then an input, one-hot beside its latent, which
        is how ACGAN comes to 110 inputs for 10 classes. None where there are no classes.
      use_bias: of the layer to pixels; the others, which batch norm follows, have none.
      norm_units: the first batch norm has statistics and a scale for each of the base_size x
        base_size x widths[0] numbers, in place of each of widths[0] channels.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    base_size: int
    widths: tuple[int, ...]
    channels: int
    kernel: int
    last_doubles: bool
    upsampling: str = "transpose"
    num_classes: int | None = None
    use_bias: bool = True
    norm_units: bool = False
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(
        self, latents: jax.Array, labels: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """Latents (B, D), with classes labels (B,) int -> images (B, S, S, channels)."""
        check_labels(labels, self.num_classes, latents.shape[0])
        if labels is not None:
            # Rows of the identity, NaN where a label is no class, which `one_hot` would pass over.
            classes = jnp.take(jnp.eye(self.num_classes, dtype=latents.dtype), labels, axis=0)
            latents = jnp.concatenate([latents, classes], axis=1)
        up = {"method": self.upsampling, "kernel": self.kernel, "dtype": self.dtype}
        side = self.base_size
        # The biases of layers that batch norm follows would be subtracted again.
        x = nn.Dense(
            side * side * self.widths[0], use_bias=False, kernel_init=dcgan_init, dtype=self.dtype
        )(latents)
        shape = -1, side, side, self.widths[0]
        if not self.norm_units:
            x = x.reshape(shape)
        x = nn.relu(BatchNorm(train, self.axis_name, self.dtype)(x)).reshape(shape)
        for width in self.widths[1:]:
            x = Upsample(width, use_bias=False, **up)(x)
            x = nn.relu(BatchNorm(train, self.axis_name, self.dtype)(x))
        if self.last_doubles:
            x = Upsample(self.channels, use_bias=self.use_bias, **up)(x)
        else:
            size = (self.kernel, self.kernel)
            x = Conv(self.channels, size, use_bias=self.use_bias, dtype=self.dtype)(x)
        return jnp.tanh(x.astype(jnp.float32))


class DCGANDiscriminator(nn.Module):
    """Images (B, S, S, C) -> logits (B,), by convolutions of stride 2.

    LeakyReLU 0.2 throughout, batch norm on all but the first layer, one dense layer to the logit;
    with classes another one beside it, to (logits (B,), class logits (B, K)).

    Attributes:
      widths: channels of the feature maps; each halves the side.
      kernel: side of the kernels.
      batch_norm: False leaves it out, as gradient penalties ask for.
      num_classes: K; None for the one logit alone.
      use_bias: of the layers that no batch norm follows; the others have none.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.
    """

    widths: tuple[int, ...]
    kernel: int
    batch_norm: bool = True
    num_classes: int | None = None
    use_bias: bool = True
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Images (B, S, S, C) -> float32 logits (B,), with classes also class logits (B, K)."""
        x = images
        for i, width in enumerate(self.widths):
            normalised = self.batch_norm and i > 0
            use_bias = self.use_bias and not normalised
            x = Conv(width, (self.kernel, self.kernel), 2, use_bias=use_bias, dtype=self.dtype)(x)
            if normalised:
                x = BatchNorm(train, self.axis_name, self.dtype)(x)
            x = LeakyReLU(0.2)(x)
        logits = to_logits(x, use_bias=self.use_bias, dtype=self.dtype)
        if self.num_classes is None:
            return logits
        head = nn.Dense(
            self.num_classes, kernel_init=dcgan_init, name="class_logits", dtype=self.dtype
        )
        return logits, head(x.reshape(x.shape[0], -1)).astype(jnp.float32)


def dcgan(
    image_size: int = 28,
    channels: int = 1,
    *,
    upsampling: str = "transpose",
    disc_batch_norm: bool = True,
    num_classes: int | None = None,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """The DCGAN pair for a side of 28, or of 32, 64 or 128 in the widths of PyTorch's tutorial.

    At 28 pixels: 7x7x128, then 5x5 kernels to 64 and 32 channels, and 5x5 of stride 1 to the
    image; the discriminator has 32, 64 and 128 channels. At 32, 64 and 128 pixels: from 4x4 with
    4x4 kernels, the widths halving down to 64 at half the image's side; the discriminator mirrors
    it. Weights are drawn from N(0, 0.02), batch norm scales from N(1, 0.02).

    At 64 pixels that is the network of PyTorch's DCGAN tutorial, a fifth of the size of the
    paper's, which is `dcgan_paper`. Differs from the tutorial's code: the layers that no batch
    norm follows have biases, 3 of the generator's 3,576,707 parameters with three channels and 65
    of the discriminator's 2,765,633.

    Args:
      image_size: 28, 32, 64 or 128 pixels.
      channels: 1 or 3.
      upsampling: "transpose", or "resize" against checkerboards.
      disc_batch_norm: False for a discriminator that judges each image alone.
      num_classes: K, for the pair of ACGAN: the generator is given the class, and the
        discriminator tells it, in a second output (B, K).
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: another image size, or an unknown upsampling.

    Examples:
      >>> generator, discriminator = dcgan(image_size=64, channels=3)
      >>> generator.widths
      (512, 256, 128, 64)

    Source: Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks", section 3, for the layers; `dcgan/main.py` of
    github.com/pytorch/examples for the widths at 64 pixels; on classes Odena et al. 2017,
    "Conditional Image Synthesis with Auxiliary Classifier GANs", section 3 and appendix A.
    """
    if upsampling not in ("transpose", "resize"):
        raise UserError(f"upsampling: got {upsampling!r}, expected 'transpose' or 'resize'")
    if image_size == 28:
        base_size, widths, kernel = 7, (128, 64, 32), 5
    elif image_size in (32, 64, 128):
        doublings = (image_size // 8).bit_length()
        widths = tuple(64 * 2**i for i in reversed(range(doublings)))
        base_size, kernel = 4, 4
    else:
        raise UserError(f"image_size: got {image_size}, expected 28, 32, 64 or 128 for a DCGAN")
    options: dict[str, Any] = {
        "kernel": kernel,
        "num_classes": num_classes,
        "axis_name": axis_name,
        "dtype": dtype,
    }
    generator = DCGANGenerator(
        base_size=base_size,
        widths=widths,
        last_doubles=base_size == 4,
        channels=channels,
        upsampling=upsampling,
        **options,
    )
    discriminator = DCGANDiscriminator(widths=widths[::-1], batch_norm=disc_batch_norm, **options)
    return generator, discriminator


def dcgan_paper(
    channels: int = 3,
    *,
    axis_name: str | None = None,
    dtype: Dtype = jnp.float32,
) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """The DCGAN pair of the paper's figure 1, for 64 pixels: five times the size of `dcgan(64)`.

    4x4x1024, then 5x5 kernels to 512, 256 and 128 channels and to the image; the discriminator
    mirrors it. No layer has a bias, and the generator's first batch norm is over units: 18,885,760
    and 17,232,768 parameters with three channels and latents of 100, as in the authors' code.

    Differs from the authors' code: batch norm adds 1e-5 to the variance (1e-8) and is given
    running statistics outside of training (those of the batch of samples). Kernels of 5 and stride
    2 are padded by 1 and 2 pixels (2 and, of what is used, 1), which is their network for images
    seen in a mirror. Of their training: latents are uniform in [-1, 1], a batch trains either the
    one network or the other, and 1e-5 times the parameters is added to the gradients.

    Args:
      channels: 1 or 3.
      axis_name: mapped axis over which batch statistics are averaged.
      dtype: of the computation; parameters are float32.

    Returns:
      (generator, discriminator).

    Examples:
      >>> generator, discriminator = dcgan_paper()
      >>> generator.widths, generator.kernel
      ((1024, 512, 256, 128), 5)

    Source: Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks", figure 1; `faces/train_uncond_dcgan.py` of
    github.com/Newmu/dcgan_code.
    """
    widths = (1024, 512, 256, 128)
    options = {
        "kernel": 5,
        "use_bias": False,
        "axis_name": axis_name,
        "dtype": dtype,
    }
    generator = DCGANGenerator(
        base_size=4, widths=widths, channels=channels, last_doubles=True, norm_units=True, **options
    )
    return generator, DCGANDiscriminator(widths=widths[::-1], **options)
