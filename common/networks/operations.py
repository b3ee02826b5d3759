"""Operations of all convolutional spaces, by name.

`OPERATIONS[name](features=..., stride=..., style=..., name=...)` is a module; called with images float[B, H, W, C] and
whether in training mode, it returns float[B, ceil(H / stride), ceil(W / stride), features].

Identity, zero and pools keep the number of channels. If the input has another one than the cell, which happens only in
the first cell of NAO in TensorFlow, a pointwise convolution with a norm follows (for identity: ReLU first).
"""

import functools
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.networks import layers, styles
from common.networks.kernels import max_pooling


class Zero(nn.Module):
    """Zeros."""

    features: int
    stride: int
    style: styles.Style

    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns zeros."""
        del train
        batch, height, width, _ = images.shape
        sides = (-(-side // self.stride) for side in (height, width))
        return jnp.zeros((batch, *sides, self.features), images.dtype)


class Identity(nn.Module):
    """Identity; at stride 2, see `Style.strided_identity`."""

    features: int
    stride: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns the input, at stride 2 at half its size."""
        if self.stride == 1 and images.shape[-1] == self.features:
            return images
        kind = self.style.strided_identity
        if self.stride == 1 or kind == "relu_convolution":
            return _relu_convolution(self, (1, 1), (self.stride,) * 2, "projection")(images, train)
        if kind == "relu_reduction":
            images = jax.nn.relu(images)
        return layers.FactorizedReduction(self.features, self.style, name="reduction")(images, train)


class Pool(nn.Module):
    """Max, average or min pooling."""

    features: int
    stride: int
    style: styles.Style
    kind: str  # "max", "avg" or "min"
    size: int  # height and width of the windows

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns the pooled images."""
        pooled = self._pool(images)
        is_projected = pooled.shape[-1] != self.features
        if is_projected:
            pooled = layers.Convolution(self.features, (1, 1), self.style, name="projection")(pooled)
        if is_projected or self.style.normalizes_pools:
            pooled = layers.Norm(self.style, name="norm")(pooled, train)
        return pooled

    def _pool(self, images):
        style, size = self.style, self.size
        paddings = [layers.window_padding(side, self.stride, size, padding=style.padding) for side in images.shape[1:3]]
        if size == 2 and style.pads_2x2_with_zeros:
            images, paddings = jnp.pad(images, ((0, 0), *paddings, (0, 0))), [(0, 0)] * 2
        if self.kind == "avg":
            counts_padding = style.counts_padding and size > 2
            return layers.average_pool(images, size, self.stride, paddings, counts_padding=counts_padding)
        pool = functools.partial(max_pooling.pool, size=size, stride=self.stride, paddings=tuple(paddings))
        return -pool(-images) if self.kind == "min" else pool(images)


class Convolution(nn.Module):
    """ReLU, convolution, norm."""

    features: int
    stride: int
    style: styles.Style
    size: int

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns the convolved images."""
        return _relu_convolution(self, (self.size,) * 2, (self.stride,) * 2, "convolution")(images, train)


class FactorizedConvolution(nn.Module):
    """A 1xk and a kx1 convolution, each with a ReLU and a norm, or with one of each for both (DARTS)."""

    features: int
    stride: int
    style: styles.Style
    size: int  # k
    has_middle: bool = True  # whether a norm and a ReLU separate the two

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns the convolved images."""
        is_split = self.style.factorized_strides == "split"
        first = (1, self.stride) if is_split else (self.stride,) * 2
        second = (self.stride, 1) if is_split else (1, 1)
        if self.has_middle:
            images = _relu_convolution(self, (1, self.size), first, "wide")(images, train)
            return _relu_convolution(self, (self.size, 1), second, "high")(images, train)
        images = jax.nn.relu(images)
        images = layers.Convolution(self.features, (1, self.size), self.style, strides=first, name="wide")(images)
        images = layers.Convolution(self.features, (self.size, 1), self.style, strides=second, name="high")(images)
        return layers.Norm(self.style, name="norm")(images, train)


class SeparableConvolution(nn.Module):
    """ReLU, depthwise, pointwise, norm: twice, or if dilated `style.dilated_repeats` times; strided once."""

    features: int
    stride: int
    style: styles.Style
    size: int  # height and width of the depthwise kernel
    dilation: int = 1  # of the depthwise convolution

    @nn.compact
    def __call__(self, images: chex.Array, train: bool) -> chex.Array:
        """Returns the convolved images."""
        style = self.style
        for at in range(2 if self.dilation == 1 else style.dilated_repeats):
            settings = {
                "strides": (self.stride if at == 0 else 1,) * 2,
                "dilation": self.dilation,
                "is_depthwise": True,
            }
            depthwise = layers.Convolution(
                images.shape[-1], (self.size,) * 2, style, **settings, name=f"depthwise_{at}"
            )
            pointwise = layers.Convolution(
                self.features, (1, 1), style, is_standardized=style.is_standardized, name=f"pointwise_{at}"
            )
            images = layers.Norm(style, name=f"norm_{at}")(pointwise(depthwise(jax.nn.relu(images))), train)
        return images


def _relu_convolution(operation, kernel, strides, name):
    return layers.ReluConvolution(operation.features, kernel, operation.style, strides=strides, name=name)


def _operations() -> dict[str, Callable[..., nn.Module]]:
    found = {"zero": Zero, "identity": Identity, "min_pool_2x2": functools.partial(Pool, kind="min", size=2)}
    for size in (2, 3, 5, 7):
        for kind in ("avg", "max"):
            found[f"{kind}_pool_{size}x{size}"] = functools.partial(Pool, kind=kind, size=size)
    for size in (1, 3, 5):
        found[f"conv_{size}x{size}"] = functools.partial(Convolution, size=size)
    for size in (3, 7):
        found[f"conv_1x{size}_{size}x1"] = functools.partial(FactorizedConvolution, size=size)
    found["conv_7x1_1x7"] = functools.partial(FactorizedConvolution, size=7, has_middle=False)
    for size in (3, 5, 7):
        found[f"sep_conv_{size}x{size}"] = functools.partial(SeparableConvolution, size=size)
        found[f"dil_sep_conv_{size}x{size}"] = functools.partial(SeparableConvolution, size=size, dilation=2)
    return found | {
        "none": found["zero"],
        "skip_connect": found["identity"],
        **{f"dil_conv_{size}x{size}": found[f"dil_sep_conv_{size}x{size}"] for size in (3, 5, 7)},  # names of DARTS
    }


OPERATIONS = _operations()
IDENTITIES = ("identity", "skip_connect")
