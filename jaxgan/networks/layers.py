"""Layers that the network families share."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan.errors import UserError
from jaxgan.networks.convolution import Padding, conv, conv_transpose
from jaxgan.networks.grouped import grouped_conv
from jaxgan.networks.labels import check_labels

__all__ = [
    "BatchNorm",
    "ConditionalBatchNorm",
    "Conv",
    "ConvDown",
    "ConvTranspose",
    "GroupedConv",
    "InstanceNorm",
    "LeakyReLU",
    "UpConv",
    "Upsample",
    "dcgan_init",
    "to_logits",
    "uniform_init",
]

Dtype = Any

dcgan_init = nn.initializers.normal(0.02)
"""Weights from N(0, 0.02), Radford et al. 2015, section 4."""

uniform_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Uniform weights of variance 1 / (3 fan_in), as PyTorch's layers begin."""


def _scale_init(key: jax.Array, shape: tuple[int, ...], dtype: Dtype) -> jax.Array:
    return 1 + dcgan_init(key, shape, dtype)


class Conv(nn.Module):
    """A convolution with Flax's parameters (`kernel`, `bias`), computed by `jaxgan`'s own maps.

    Attributes:
      features: output channels.
      kernel_size: (h, w).
      stride: of both axes.
      padding: as `convolution.conv` takes it, or `conv_transpose` for a transposed one.
      use_bias: add a bias.
      dtype: of the computation; parameters are float32.
      kernel_init: initialiser.
    """

    features: int
    kernel_size: tuple[int, int]
    stride: int = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: Dtype = jnp.float32
    kernel_init: Callable = dcgan_init

    function: ClassVar[Callable[..., jax.Array]] = staticmethod(conv)
    group_size = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, h, w, features); SAME gives h = ceil(H / stride)."""
        shape = (*self.kernel_size, self.group_size or x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x = self.function(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=self.stride,
            padding=self.padding,
        )
        if self.use_bias:
            zeros = nn.initializers.zeros_init()
            bias = self.param("bias", zeros, (self.features,), jnp.float32)
            x = x + jnp.reshape(bias, (1, 1, 1, -1)).astype(self.dtype)
        return x


class ConvTranspose(Conv):
    """A transposed convolution, with SAME (B, H, W, C) -> (B, H stride, W stride, features)."""

    function = staticmethod(conv_transpose)


class UpConv(Conv):
    """Doubles the side by nearest neighbour, then convolves by 3x3; both in one.

    Each tap of the kernel falls on the 2x2 pixels that a pixel becomes: a transposed convolution of
    stride 2 by 4x4, which is the same at 4 products for each pixel in place of 9.
    """

    function = staticmethod(
        lambda x, kernel, **_: conv_transpose(x, _spread(kernel), strides=2, padding="SAME")
    )


class ConvDown(Conv):
    """Convolves by 3x3, then halves the side by the mean of 2x2 pixels; both in one, as above."""

    function = staticmethod(
        lambda x, kernel, **_: conv(x, _spread(kernel) / 4, strides=2, padding="SAME")
    )


def _spread(kernel: jax.Array) -> jax.Array:
    """(3, 3, C, O) -> (4, 4, C, O), the sum of the kernel at the four places of a 2x2 block."""
    places = [
        jnp.pad(kernel, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)
    ]
    return functools.reduce(jnp.add, places)


class GroupedConv(Conv):
    """A convolution in groups of channels, each of which sees its own inputs alone.

    Attributes:
      group_size: input channels of a group.
    """

    group_size: int = 16  # type: ignore[assignment]  # a field, which Conv has not

    function = staticmethod(grouped_conv)


class LeakyReLU(nn.Module):
    """max(x, slope x), as a module, which `nn.intercept_methods` can see.

    So `jaxgan.evaluation.saliency` reads the features of a network and changes its gradients;
    `nn.leaky_relu` is hidden from it.

    Attributes:
      slope: of negative values; 0 is ReLU.
    """

    slope: float = 0.2

    def __call__(self, x: jax.Array) -> jax.Array:
        """Any shape."""
        return nn.leaky_relu(x, self.slope)


class Upsample(nn.Module):
    """Doubles height and width: by transposed convolution, or by resizing and convolving.

    Attributes:
      features: output channels.
      method: "transpose", a transposed convolution of stride 2, whose overlapping kernels can
        leave a checkerboard; or "resize", nearest neighbour and then a 3x3 convolution, which
        cannot (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts").
      kernel: side of the transposed convolution's kernel.
      use_bias, dtype: as in `Conv`.
    """

    features: int
    method: str = "transpose"
    kernel: int = 4
    use_bias: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, 2 H, 2 W, features)."""
        options = {"use_bias": self.use_bias, "dtype": self.dtype}
        if self.method == "transpose":
            size = (self.kernel, self.kernel)
            return ConvTranspose(self.features, size, 2, **options)(x)
        if self.method != "resize":
            raise UserError(f"upsampling: got {self.method!r}, expected 'transpose' or 'resize'")
        x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        return Conv(self.features, (3, 3), **options)(x)


class BatchNorm(nn.Module):
    """Flax's batch norm, with DCGAN's scales from N(1, 0.02) and a momentum for short runs.

    Attributes:
      train: normalise by the batch's own statistics and update the running ones.
      axis_name: average the statistics over this mapped axis.
      dtype: of the computation; parameters are float32.
      affine: scale and shift the result by parameters.
      scale_init: initialiser of the scales.
    """

    train: bool
    axis_name: str | None = None
    dtype: Dtype = jnp.float32
    affine: bool = True
    scale_init: Callable = _scale_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, ..., C) -> the same shape."""
        return nn.BatchNorm(
            use_running_average=not self.train,
            momentum=0.9,
            epsilon=1e-5,
            axis_name=self.axis_name,
            dtype=self.dtype,
            use_scale=self.affine,
            use_bias=self.affine,
            scale_init=self.scale_init,
            name="norm",
        )(x)


class ConditionalBatchNorm(nn.Module):
    """Batch norm with a gain and a bias of each class.

        out = gain[y] (x - mean) / sqrt(var + 1e-5) + bias[y]

    Mean and variance are those of the whole batch, whatever its classes. Gains start at 1, biases
    at 0.

    Attributes:
      train: normalise by the batch's own statistics and update the running ones.
      num_classes: number of classes.
      axis_name: average the statistics over this mapped axis.
      dtype: of the computation; parameters are float32.

    Source: Dumoulin et al. 2017, "A Learned Representation For Artistic Style", section 2.2;
    Miyato & Koyama 2018, "cGANs with Projection Discriminator", section 4.
    """

    train: bool
    num_classes: int
    axis_name: str | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array) -> jax.Array:
        """(B, ..., C) and integers (B,) -> the shape of x; NaN where a label is no class."""
        check_labels(labels, self.num_classes, x.shape[0])
        x = BatchNorm(self.train, self.axis_name, self.dtype, affine=False)(x)
        shape = (self.num_classes, x.shape[-1])
        gain = self.param("gain", nn.initializers.ones_init(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), shape, jnp.float32)

        def of_each(table):
            rows = jnp.take(table, labels, axis=0).astype(x.dtype)
            return rows.reshape(x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])

        return of_each(gain) * x + of_each(bias)


class InstanceNorm(nn.Module):
    """Normalises each channel of each image by its own mean and variance over the pixels.

        (x - E[x]) / sqrt(Var[x] + 1e-5)

    Without scale and bias, as the authors of CycleGAN have it: the convolution before it keeps a
    bias, which it subtracts again. It has no parameters and no running statistics, and does in
    training what it does otherwise.

    Source: Ulyanov et al. 2016, "Instance Normalization: The Missing Ingredient for Fast
    Stylization", equation 2.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> the same shape and dtype."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centred = wide - jnp.mean(wide, axis=(1, 2), keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=(1, 2), keepdims=True)
        return (centred * jax.lax.rsqrt(variance + 1e-5)).astype(x.dtype)


def to_logits(
    x: jax.Array,
    *,
    dtype: Dtype,
    kernel_init: Callable = dcgan_init,
    use_bias: bool = True,
) -> jax.Array:
    """Flattens features (B, ...) and maps them to one float32 logit each, (B,).

    Called inside a compact `__call__`; its parameters stand under `logits`.
    """
    x = x.reshape(x.shape[0], -1)
    dense = nn.Dense(
        1,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=kernel_init,
        name="logits",
    )
    return dense(x)[:, 0].astype(jnp.float32)
