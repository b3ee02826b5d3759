"""The block of mobile networks: an inverted residual (arXiv:1801.04381), with what MobileNetV3 adds to it."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common.networks import layers, styles

ACTIVATIONS = {"relu": jax.nn.relu, "relu6": jax.nn.relu6, "hard_swish": jax.nn.hard_swish}
SQUEEZE = 4  # a squeeze has a fourth of the channels


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the means of all channels say (MobileNetV3)."""

    divisor: int
    style: styles.Style

    @nn.compact
    def __call__(self, images: chex.Array) -> chex.Array:
        """Returns images of the same shape."""
        channels = images.shape[-1]
        squeezed = make_divisible(channels // SQUEEZE, self.divisor)
        means = jnp.mean(images.astype(jnp.float32), axis=(1, 2))
        hidden = jax.nn.relu(layers.Linear(squeezed, self.style, name="squeeze")(means))
        scales = jax.nn.hard_sigmoid(layers.Linear(channels, self.style, name="excite")(hidden))
        return images * scales[:, None, None].astype(images.dtype)


class Block(nn.Module):
    """An inverted residual: 1x1 to `expansion` times the channels, depthwise, 1x1; its input added where it fits.

    Attributes:
      features: channels that it puts out.
      expansion: 1 leaves the first convolution out.
      size: height and width of the depthwise kernel.
      stride: of the depthwise convolution.
      activation: after the first two convolutions, a key of `ACTIVATIONS`.
      has_squeeze: whether squeeze-and-excitation follows the depthwise convolution.
      has_residual: whether the input is added where stride is 1 and widths are equal.
      divisor: inner widths are multiples of it.
      style: see `styles.Style`.
    """

    features: int
    expansion: int
    size: int
    stride: int
    activation: str
    style: styles.Style
    has_squeeze: bool = False
    has_residual: bool = True
    divisor: int = 1

    @nn.compact
    def __call__(self, images: chex.Array, scales: chex.Array | None, train: bool) -> chex.Array:
        """Returns float[B, H', W', features].

        Args:
          images: float[B, H, W, C].
          scales: float32[B], what the block is multiplied with before its input is added; None: one.
          train: whether it trains.
        """
        activation, channels = ACTIVATIONS[self.activation], images.shape[-1]
        state = images
        if self.expansion > 1:
            width = make_divisible(channels * self.expansion, self.divisor)
            state = layers.Convolution(width, (1, 1), self.style, name="expansion")(state)
            state = activation(layers.Norm(self.style, name="expansion_norm")(state, train))
        state = layers.Convolution(
            state.shape[-1],
            (self.size,) * 2,
            self.style,
            strides=(self.stride,) * 2,
            is_depthwise=True,
            name="depthwise",
        )(state)
        state = layers.Norm(self.style, name="depthwise_norm")(state, train)
        if self.has_squeeze:
            # MobileNetV3 in Once-for-all: the activation comes first, then the scales.
            state = SqueezeExcitation(self.divisor, self.style, name="squeeze")(activation(state))
        else:
            state = activation(state)
        state = layers.Convolution(self.features, (1, 1), self.style, name="projection")(state)
        state = layers.Norm(self.style, name="projection_norm")(state, train)
        if not (self.has_residual and self.stride == 1 and channels == self.features):
            return state
        if scales is not None:
            state *= scales[:, None, None, None].astype(state.dtype)
        return images + state


def make_divisible(width: int, divisor: int) -> int:
    """Returns the multiple of `divisor` next to `width`, or the one above where that is a tenth smaller or more."""
    found = max(divisor, (width + divisor // 2) // divisor * divisor)
    return found + divisor if 10 * found < 9 * width else found
