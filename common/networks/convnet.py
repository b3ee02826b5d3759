"""Networks of the ConvNet space as pure functions of the architecture.

A layer is a convolution with zero padding, a bias and a ReLU; 2x2 max pooling follows some layers. After the last layer
the feature maps are averaged over positions and a linear layer gives the logits. All networks of one depth run in one
program: every layer holds the weights of the wide layer with the large kernel, and a mask selects those of the network.
A masked network equals the plain network of its own size in outputs, gradients and the scale of initial parameters.
"""

from typing import Annotated

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common.config import Range


@configs.dataclass
class Config:
    """Settings that all networks of a table share."""

    widths: Annotated[tuple[int, ...], "channels of a narrow and a wide layer, ascending", Range(at_least=1)] = (4, 8)
    kernels: Annotated[
        tuple[int, ...], "side of the small and of the large kernel, odd, ascending", Range(at_least=1)
    ] = (1, 3)
    pooled: Annotated[tuple[int, ...], "layers that max pooling follows, counted from 1"] = (1, 3)
    image_size: Annotated[int, "height and width of the images, which have one channel", Range(at_least=1)] = 8
    num_classes: Annotated[int, "number of logits", Range(at_least=1)] = 10

    def __post_init__(self):
        is_odd, times = all(side % 2 for side in self.kernels), len(self.pooled)
        configs.require(
            (self.widths[0] <= self.widths[1], f"widths must be ascending; got {self.widths}"),
            (self.kernels[0] <= self.kernels[1] and is_odd, f"kernels must be odd and ascending; got {self.kernels}"),
            (self.image_size % 2**times == 0, f"image_size must halve {times} times evenly; got {self.image_size}"),
        )


@chex.dataclass(frozen=True)
class Layer:
    """Parameters of a layer. K: positions of the large kernel, 1 for the linear layer."""

    weights: chex.Array  # float32[outputs, K, inputs], positions in row-major order
    biases: chex.Array  # float32[outputs]


def init(key: chex.PRNGKey, config: Config, arch: chex.Array) -> list[Layer]:
    """Returns the initial parameters of a network: its layers, then the linear layer.

    Weights are normal with variance 2 / fan-in (He et al., arXiv:1502.01852), 1 / fan-in in the linear layer; biases
    and masked weights are zero.

    Args:
      arch: int32[D], the layer kinds of a network of depth D (its row without the zeros).
    """
    params = []
    for at, mask in enumerate(masks(config, arch)):
        gain = 1.0 if at == arch.shape[0] else 2.0
        fan_in = jnp.sum(mask.weights[0])
        weights = jax.random.normal(jax.random.fold_in(key, at), mask.weights.shape) * jnp.sqrt(gain / fan_in)
        params.append(Layer(weights=weights * mask.weights, biases=jnp.zeros_like(mask.biases)))
    return params


def masks(config: Config, arch: chex.Array) -> list[Layer]:
    """Returns the mask of the parameters of a network: 1 where `arch` (as in `init`) has one, 0 elsewhere."""
    narrow, wide = config.widths
    from_middle = np.abs(np.arange(config.kernels[1]) - config.kernels[1] // 2)
    is_small = np.maximum(from_middle[:, None], from_middle[None, :]).ravel() <= config.kernels[0] // 2
    inputs = jnp.ones(1)
    found = []
    for kind in arch:
        is_wide, is_large = kind > 2, kind % 2 == 0
        outputs = (jnp.arange(wide) < jnp.where(is_wide, wide, narrow)).astype(jnp.float32)
        kernel = jnp.where(is_large, 1.0, is_small.astype(np.float32))
        found.append(Layer(weights=outputs[:, None, None] * kernel[None, :, None] * inputs[None, None], biases=outputs))
        inputs = outputs
    logits = jnp.ones(config.num_classes)
    return [*found, Layer(weights=logits[:, None, None] * inputs[None, None], biases=logits)]


def logits(config: Config, params: list[Layer], mask: list[Layer], images: chex.Array) -> chex.Array:
    """Returns float32[num_classes, B], the logits of `images`.

    The batch is the last axis of the images, float32[image_size, image_size, B]: shifted windows are then contiguous,
    and a convolution is one matrix product with few rows and many columns, which is fast on CPU.
    """
    params = jax.tree.map(jnp.multiply, params, mask)
    maps = images[None]
    for at, layer in enumerate(params[:-1], start=1):
        # ReLU and max pooling commute; after the pooling there are fewer values.
        maps = jax.nn.relu(convolve_and_pool(config, at, layer, maps))
    pooled = jnp.mean(maps, axis=(1, 2))
    return params[-1].weights[:, 0] @ pooled + params[-1].biases[:, None]


def convolve_and_pool(config: Config, at: int, layer: Layer, maps: chex.Array) -> chex.Array:
    """Returns float[outputs, H', W', B], layer `at`, counted from 1, of float[inputs, H, W, B], without the ReLU."""
    maps = _convolve(layer, maps)
    if at in config.pooled:
        maps = jnp.maximum(maps[:, ::2], maps[:, 1::2])
        maps = jnp.maximum(maps[:, :, ::2], maps[:, :, 1::2])
    return maps


def _convolve(layer, maps):
    channels, height, width, batch = maps.shape
    side = int(np.sqrt(layer.weights.shape[1]))
    padded = jnp.pad(maps, ((0, 0), (side // 2,) * 2, (side // 2,) * 2, (0, 0)))
    places = [(row, column) for row in range(side) for column in range(side)]
    windows = jnp.stack([padded[:, row : row + height, column : column + width] for row, column in places])
    sums = layer.weights.reshape(-1, side**2 * channels) @ windows.reshape(side**2 * channels, -1)
    return (sums + layer.biases[:, None]).reshape(-1, height, width, batch)
