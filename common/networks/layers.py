"""Layers of operations, cells and heads, on images float[B, H, W, C].

Each takes a `Style`, which holds the differences between families. Activations have the style's dtype; parameters and
running statistics are float32.
"""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common.networks import initializers, styles
from common.networks.kernels import convolution, depthwise


def window_padding(size: int, stride: int, kernel: int, *, dilation: int = 1, padding: str) -> tuple[int, int]:
    """Returns the padding before and after an axis of `size` pixels, so that ceil(size / stride) windows fit.

    "symmetric" is half a window at both ends, "same" the least padding; an odd pixel is at the end.
    """
    extent = (kernel - 1) * dilation
    if padding == "symmetric":
        return extent // 2, extent - extent // 2
    missing = max((-(-size // stride) - 1) * stride + extent + 1 - size, 0)
    return missing // 2, missing - missing // 2


class Convolution(nn.Module):
    """Convolution without bias."""

    features: int  # output channels; for a depthwise convolution, equal to the input channels
    kernel: tuple[int, int]  # height and width
    style: styles.Style
    strides: tuple[int, int] = (1, 1)  # vertical and horizontal; equal for a depthwise convolution
    dilation: int = 1  # of a depthwise convolution
    is_depthwise: bool = False  # whether each channel is convolved separately
    is_standardized: bool = False  # whether weights are standardized per output (LaNet), see `standardize`
    is_padded: bool = True  # whether the image is padded, so that only strides reduce its size

    @nn.compact
    def __call__(self, images: chex.Array) -> chex.Array:
        """Returns float[B, H', W', features]."""
        inputs = images.shape[-1]
        init = initializers.weights(self.style.initializer, is_depthwise=self.is_depthwise)
        weights = self.param("kernel", init, (*self.kernel, 1 if self.is_depthwise else inputs, self.features))
        if self.is_standardized:
            weights = standardize(weights)
        dtype = styles.DTYPES[self.style.dtype]
        images, weights = images.astype(dtype), weights.astype(dtype)
        if self.kernel == (1, 1) and not self.is_depthwise:
            return pointwise(images, weights[0, 0], self.strides)
        padding = [
            window_padding(size, stride, kernel, dilation=self.dilation, padding=self.style.padding)
            for size, stride, kernel in zip(images.shape[1:3], self.strides, self.kernel)
        ]
        if self.is_depthwise:
            settings = {"stride": self.strides[0], "dilation": self.dilation}
            return depthwise.convolve(images, weights, **settings, paddings=tuple(padding))
        if self.dilation != 1:
            raise ValueError(f"only depthwise convolutions have a dilation; got {self.dilation}")
        paddings = tuple(padding) if self.is_padded else ((0, 0), (0, 0))
        return convolution.convolve(images, weights, strides=self.strides, paddings=paddings)


def pointwise(images: chex.Array, weights: chex.Array, strides: tuple[int, int] = (1, 1)) -> chex.Array:
    """Returns float[B, H', W', O], the 1x1 convolution with weights float[I, O].

    As a matrix product: the gradient of an XLA convolution takes three times as long on CPU, within a loop or a
    conditional thirty times (jax 0.10.2).
    """
    images = images[:, :: strides[0], :: strides[1]]
    return (images.reshape(-1, images.shape[-1]) @ weights).reshape(*images.shape[:-1], weights.shape[-1])


def standardize(weights: chex.Array) -> chex.Array:
    """Returns float32[..., I, O] with mean 0 and standard deviation 1 for each output (LaNet).

    As in PyTorch, the deviation is unbiased, and 1e-5 is added to it.
    """
    axes = tuple(range(weights.ndim - 1))
    centered = weights - jnp.mean(weights, axis=axes, keepdims=True)
    number = max(weights.size // weights.shape[-1] - 1, 1)
    # The root has no derivative at zero, which a single weight per output gives.
    variance = jnp.sum(centered**2, axis=axes, keepdims=True) / number
    return centered / (jnp.sqrt(jnp.maximum(variance, 1e-24)) + 1e-5)


class Norm(nn.Module):
    """Batch normalization with the statistics that `style.statistics` names.

    Running variances are biased; those of PyTorch are multiplied by n / (n - 1).
    """

    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool, mask: chex.Array | None = None) -> chex.Array:
        """Returns images of the same shape.

        Args:
          images: float[B, H, W, C].
          train: whether statistics are those of the batch, if the style says "running".
          mask: float32[H, W], zero for pixels outside the image, which have no part in the statistics of a network with
            shared weights, and become zero; None: there are none.
        """
        style = self.style
        if style.statistics == "none":
            return images if mask is None else images * _broadcast(mask, images)
        if style.statistics != "running":
            return _BatchNorm(style, name="batch_norm")(images, mask)
        if mask is not None:
            raise ValueError(
                "a mask of pixels is for networks with shared weights, whose norms have no running statistics"
            )
        settings = {"momentum": style.momentum, "epsilon": style.epsilon, "dtype": styles.DTYPES[style.dtype]}
        affine = {"use_scale": style.is_affine, "use_bias": style.is_affine}
        return nn.BatchNorm(use_running_average=not train, **settings, **affine, name="batch_norm")(images)


class _BatchNorm(nn.Module):
    """Batch normalization without running statistics, for shared weights; parameters as in `nn.BatchNorm`."""

    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, mask: chex.Array | None) -> chex.Array:
        """Returns images of the same shape."""
        style, shape = self.style, images.shape[-1:]
        values = images.astype(jnp.float32)
        if style.statistics == "given":
            mean, variance = (self.get_variable("batch_stats", name) for name in ("mean", "var"))
        else:
            mean = mean_of_pixels(values, (0, 1, 2), mask)
            variance = jnp.maximum(mean_of_pixels(values**2, (0, 1, 2), mask) - mean**2, 0.0)
        if style.statistics == "collect":
            self.put_variable("batch_stats", "mean", mean)
            self.put_variable("batch_stats", "var", variance)
        scale = jax.lax.rsqrt(variance + style.epsilon)
        if style.is_affine:
            scale *= self.param("scale", nn.initializers.ones, shape)
        normalized = (values - mean[None, None, None]) * scale[None, None, None]
        if style.is_affine:
            normalized += self.param("bias", nn.initializers.zeros, shape)[None, None, None]
        if mask is not None:
            normalized *= _broadcast(mask, normalized)
        return normalized.astype(styles.DTYPES[style.dtype])


def mean_of_pixels(images: chex.Array, axes: tuple[int, ...], mask: chex.Array | None = None) -> chex.Array:
    """Returns the mean of float32[B, H, W, C] over axes that include 1 and 2, of the pixels in a mask float32[H, W]."""
    if mask is None:
        return jnp.mean(images, axis=axes)
    return jnp.mean(images * _broadcast(mask, images), axis=axes) * (mask.size / jnp.sum(mask))


def _broadcast(mask, images):
    """Returns a mask float32[H, W] as [1, H, W, 1], in the type of images [B, H, W, C]."""
    return mask[None, :, :, None].astype(images.dtype)


class ReluConvolution(nn.Module):
    """ReLU, convolution, norm."""

    features: int
    kernel: tuple[int, int]
    style: styles.Style
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns float[B, H', W', features]."""
        settings = {"strides": self.strides, "is_standardized": self.style.is_standardized}
        convolution = Convolution(self.features, self.kernel, self.style, **settings, name="convolution")
        return Norm(self.style, name="norm")(convolution(jax.nn.relu(images)), train)


class FactorizedReduction(nn.Module):
    """Halves the image: two strided pointwise convolutions, concatenated, then a norm; no ReLU.

    The second convolution reads the image shifted by one pixel, with zeros at the end of an odd side.
    """

    features: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns float[B, ceil(H / 2), ceil(W / 2), features]."""
        half = self.features // 2
        moved = jnp.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1::2, 1::2]
        first = Convolution(half, (1, 1), self.style, name="first")(images[:, ::2, ::2])
        second = Convolution(self.features - half, (1, 1), self.style, name="second")(moved)
        return Norm(self.style, name="norm")(jnp.concatenate([first, second], axis=-1), train)


class Linear(nn.Module):
    """Linear layer in float32."""

    features: int
    style: styles.Style
    has_bias: bool = True

    @nn.compact
    def __call__(self, inputs: chex.Array) -> chex.Array:
        """Returns float32[B, features] of float[B, F]."""
        fan_in = inputs.shape[-1]
        weights = self.param("kernel", initializers.weights(self.style.initializer), (fan_in, self.features))
        outputs = inputs.astype(jnp.float32) @ weights
        if self.has_bias:
            init = initializers.biases(self.style.initializer, fan_in=fan_in)
            outputs += self.param("bias", init, (self.features,))[None]
        return outputs


def average_pool(
    images: chex.Array, size: int, stride: int, paddings: list[tuple[int, int]], *, counts_padding: bool = False
) -> chex.Array:
    """Returns the mean of each window of `size` x `size`, with or without the zeros of the padding."""
    zero = np.zeros((), images.dtype)
    windows, strides = (1, size, size, 1), (1, stride, stride, 1)
    sums = lax.reduce_window(images, zero, lax.add, windows, strides, ((0, 0), *paddings, (0, 0)))
    if counts_padding:
        return sums / size**2
    counts = []  # of the pixels of each window that lie inside the image, by axis
    for length, (before, _), number in zip(images.shape[1:3], paddings, sums.shape[1:3]):
        starts = np.arange(number) * stride - before
        counts.append(np.minimum(starts + size, length) - np.maximum(starts, 0.0))
    return sums / np.outer(*counts)[None, :, :, None].astype(images.dtype)
