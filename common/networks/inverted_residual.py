"""Inverted residual block (arXiv:1801.04381) with the additions of MobileNetV3 (arXiv:1905.02244)."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.networks import layers, styles

ACTIVATIONS = {"relu": jax.nn.relu, "relu6": jax.nn.relu6, "hard_swish": jax.nn.hard_swish}
SQUEEZE = 4  # ratio of channels to those of the squeeze


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: scales each channel by a function of all channel means (arXiv:1709.01507)."""

    divisor: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array, mask: chex.Array | None = None) -> chex.Array:
        """Returns images of the same shape; the means are of the pixels in a mask, see `layers.Norm`."""
        channels = images.shape[-1]
        squeezed = make_divisible(channels // SQUEEZE, self.divisor)
        means = layers.mean_of_pixels(images.astype(jnp.float32), (1, 2), mask)
        hidden = jax.nn.relu(layers.Linear(squeezed, self.style, name="squeeze")(means))
        scales = jax.nn.hard_sigmoid(layers.Linear(channels, self.style, name="excite")(hidden))
        return images * scales[:, None, None].astype(images.dtype)


class Block(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise, 1x1 projection; the input is added where shapes allow."""

    features: int  # output channels
    expansion: int  # ratio of inner to input channels; 1: no expansion
    size: int  # height and width of the depthwise kernel
    stride: int  # of the depthwise convolution
    activation: str  # of the first two convolutions, a key of `ACTIVATIONS`
    style: styles.Style
    has_squeeze: bool = False  # whether squeeze-and-excitation follows the depthwise convolution
    has_residual: bool = True  # whether the input is added if the stride is 1 and widths are equal
    divisor: int = 1  # inner widths are multiples of it

    @nn.compact
    def __call__(
        self, images: chex.Array, scales: chex.Array | None, train: bool, mask: chex.Array | None = None
    ) -> chex.Array:
        """Returns float[B, H', W', features].

        Args:
          images: float[B, H, W, C].
          scales: float32[B], factor of the block before the input is added; None: one.
          train: see `layers.Norm`, as `mask`.
          mask: float32[H, W], zero for pixels outside the image.
        """
        activation, channels = ACTIVATIONS[self.activation], images.shape[-1]
        state = images
        if self.expansion > 1:
            width = make_divisible(channels * self.expansion, self.divisor)
            state = layers.Convolution(width, (1, 1), self.style, name="expansion")(state)
            state = activation(layers.Norm(self.style, name="expansion_norm")(state, train, mask))
        mask = None if mask is None else mask[:: self.stride, :: self.stride]
        settings = {"strides": (self.stride,) * 2, "is_depthwise": True, "name": "depthwise"}
        state = layers.Convolution(state.shape[-1], (self.size,) * 2, self.style, **settings)(state)
        state = layers.Norm(self.style, name="depthwise_norm")(state, train, mask)
        if self.has_squeeze:
            # MobileNetV3 of Once-for-all applies the activation before the squeeze.
            state = SqueezeExcitation(self.divisor, self.style, name="squeeze")(activation(state), mask)
        else:
            state = activation(state)
        state = layers.Convolution(self.features, (1, 1), self.style, name="projection")(state)
        state = layers.Norm(self.style, name="projection_norm")(state, train, mask)
        if not (self.has_residual and self.stride == 1 and channels == self.features):
            return state
        if scales is not None:
            state *= scales[:, None, None, None].astype(state.dtype)
        return images + state


def make_divisible(width: int, divisor: int) -> int:
    """Returns the multiple of `divisor` nearest to `width`, but the next one if it is below 90 % of `width`."""
    found = max(divisor, (width + divisor // 2) // divisor * divisor)
    return found + divisor if 10 * found < 9 * width else found
