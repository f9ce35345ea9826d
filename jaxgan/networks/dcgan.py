"""Deep convolutional GANs for 28, 32, 64 and 128 pixels."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.labels import check_labels
from jaxgan.networks.layers import BatchNorm, Conv, LeakyReLU, Upsample, dcgan_init, to_logits

__all__ = ["DCGANDiscriminator", "DCGANGenerator", "dcgan"]

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
      axis_name: mapped axis over which batch statistics are averaged.
      dtype, param_dtype: of the computation and of the parameters.
    """

    base_size: int
    widths: tuple[int, ...]
    channels: int
    kernel: int
    last_doubles: bool
    upsampling: str = "transpose"
    num_classes: int | None = None
    axis_name: str | None = None
    dtype: Dtype = jnp.float32
    param_dtype: Dtype = jnp.float32

    value_range = (-1.0, 1.0)

    @nn.compact
    def __call__(
        self, latents: jax.Array, labels: jax.Array | None = None, train: bool = False
    ) -> jax.Array:
        """Latents (B, D), with classes labels (B,) int -> images (B, S, S, channels)."""
        check_labels(labels, self.num_classes, latents.shape[0])
        if self.num_classes is not None:
            # Rows of the identity, NaN where a label is no class, which `one_hot` would pass over.
            classes = jnp.take(jnp.eye(self.num_classes, dtype=latents.dtype), labels, axis=0)
            latents = jnp.concatenate([latents, classes], axis=1)
        options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        up = {"method": self.upsampling, "kernel": self.kernel, **options}
        side = self.base_size
        # The biases of layers that batch norm follows would be subtracted again.
        x = nn.Dense(
            side * side * self.widths[0], use_bias=False, kernel_init=dcgan_init, **options
        )(latents)
        x = x.reshape(-1, side, side, self.widths[0])
        x = nn.relu(BatchNorm(train, self.axis_name, **options)(x))
        for width in self.widths[1:]:
            x = Upsample(width, use_bias=False, **up)(x)
            x = nn.relu(BatchNorm(train, self.axis_name, **options)(x))
        if self.last_doubles:
            x = Upsample(self.channels, **up)(x)
        else:
            x = Conv(self.channels, (self.kernel, self.kernel), **options)(x)
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
      axis_name: mapped axis over which batch statistics are averaged.
      dtype, param_dtype: of the computation and of the parameters.
    """

    widths: tuple[int, ...]
    kernel: int
    batch_norm: bool = True
    num_classes: int | None = None
    axis_name: str | None = None
    dtype: Dtype = jnp.float32
    param_dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool = False
    ) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Images (B, S, S, C) -> float32 logits (B,), with classes also class logits (B, K)."""
        options = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = images
        for i, width in enumerate(self.widths):
            normalised = self.batch_norm and i > 0
            x = Conv(width, (self.kernel, self.kernel), 2, use_bias=not normalised, **options)(x)
            if normalised:
                x = BatchNorm(train, self.axis_name, **options)(x)
            x = LeakyReLU(0.2)(x)
        logits = to_logits(x, **options)
        if self.num_classes is None:
            return logits
        head = nn.Dense(self.num_classes, kernel_init=dcgan_init, name="class_logits", **options)
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
    param_dtype: Dtype = jnp.float32,
) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """The DCGAN pair for a side of 28, or of 32, 64 or 128 as the paper has it.

    At 28 pixels: 7x7x128, then 5x5 kernels to 64 and 32 channels, and 5x5 of stride 1 to the
    image; the discriminator has 32, 64 and 128 channels. At 32, 64 and 128 pixels: from 4x4 with
    4x4 kernels, the widths halving down to 64 at half the image's side; the discriminator mirrors
    it. Weights are drawn from N(0, 0.02), batch norm scales from N(1, 0.02).

    Args:
      image_size: 28, 32, 64 or 128 pixels.
      channels: 1 or 3.
      upsampling: "transpose", or "resize" against checkerboards.
      disc_batch_norm: False for a discriminator that judges each image alone.
      num_classes: K, for the pair of ACGAN: the generator is given the class, and the
        discriminator tells it, in a second output (B, K).
      axis_name: mapped axis over which batch statistics are averaged.
      dtype, param_dtype: of the computation and of the parameters.

    Returns:
      (generator, discriminator).

    Raises:
      UserError: another image size, or an unknown upsampling.

    Example:
      >>> generator, discriminator = dcgan(image_size=64, channels=3)
      >>> generator.widths
      (512, 256, 128, 64)

    Source: Radford et al. 2015, "Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks", sections 3 and 4; on classes Odena et al. 2017, "Conditional
    Image Synthesis with Auxiliary Classifier GANs", section 3 and appendix A.
    """
    if upsampling not in ("transpose", "resize"):
        raise UserError(f"upsampling: got {upsampling!r}, expected 'transpose' or 'resize'")
    if image_size == 28:
        shape = {"base_size": 7, "widths": (128, 64, 32), "last_doubles": False}
        kernel = 5
    elif image_size in (32, 64, 128):
        doublings = (image_size // 8).bit_length()
        widths = tuple(64 * 2**i for i in reversed(range(doublings)))
        shape = {"base_size": 4, "widths": widths, "last_doubles": True}
        kernel = 4
    else:
        raise UserError(f"image_size: got {image_size}, expected 28, 32, 64 or 128 for a DCGAN")
    options = {
        "kernel": kernel,
        "num_classes": num_classes,
        "axis_name": axis_name,
        "dtype": dtype,
        "param_dtype": param_dtype,
    }
    generator = DCGANGenerator(channels=channels, upsampling=upsampling, **shape, **options)
    discriminator = DCGANDiscriminator(
        widths=shape["widths"][::-1], batch_norm=disc_batch_norm, **options
    )
    return generator, discriminator
