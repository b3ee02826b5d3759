"""Max pooling with CPU-specific forward and backward passes.

On CPU XLA reduces windows one pixel at a time, and its gradient is slower still. Here the forward pass is the maximum
of shifted images, and the backward pass sums over the windows whose maximum a pixel was.

Measured with jax 0.10.2, forward and backward, 3x3, batch 96 of 32x32, 36 channels, milliseconds on one CPU core: 303
-> 91, at stride 2 132 -> 52. Average pooling gained nothing and is XLA's.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from common.networks.kernels import depthwise
from common.networks.kernels.depthwise import Paddings


# Jitted separately, so that the many pools of one shape in a network are traced once.
@functools.partial(jax.jit, static_argnames=("size", "stride", "paddings"))
def pool(images: chex.Array, *, size: int, stride: int, paddings: Paddings) -> chex.Array:
    """Returns float[B, H', W', C], the maximum of each window; padding is ignored.

    Args:
      images: float[B, H, W, C].
      size: height and width of the windows, each of which must contain a pixel of the image.
      stride: vertical and horizontal.
      paddings: pixels above and below, left and right.
    """
    settings = {"size": size, "stride": stride, "paddings": paddings}
    return lax.platform_dependent(
        images, cpu=functools.partial(for_cpu, **settings), default=functools.partial(by_xla, **settings)
    )


def by_xla(images: chex.Array, *, size: int, stride: int, paddings: Paddings) -> chex.Array:
    """Returns `pool` by XLA's window reduction."""
    lowest = np.array(-np.inf, images.dtype)  # a constant: reduce_window has no gradient for a traced value
    return lax.reduce_window(
        images, lowest, lax.max, (1, size, size, 1), (1, stride, stride, 1), ((0, 0), *paddings, (0, 0))
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def for_cpu(images: chex.Array, size: int, stride: int, paddings: Paddings) -> chex.Array:
    """Returns `pool` as the maximum of shifted images; the gradient goes to the first of equal pixels, as by XLA."""
    return functools.reduce(jnp.maximum, _shifted(images, size, stride, paddings))


def _forward(images, size, stride, paddings):
    largest = for_cpu(images, size, stride, paddings)
    return largest, (images, largest)


def _backward(size, stride, paddings, kept, gradients):
    images, largest = kept
    first = jnp.full(largest.shape, size**2 - 1, jnp.int32)  # place of the first maximum of each window
    for place, shifted in reversed(list(enumerate(_shifted(images, size, stride, paddings)))):
        first = jnp.where(shifted == largest, place, first)
    # Dilated by the stride, so that the windows of a pixel are its neighbours.
    around = [(size - 1, size - 1, stride - 1)] * 2
    first, gradients = lax.optimization_barrier(
        (depthwise.spread(first, around, -1), depthwise.spread(gradients, around))
    )
    sides = [side - size + 1 for side in first.shape[1:3]]
    sums = 0.0
    for place, (row, column) in enumerate(itertools.product(range(size), repeat=2)):
        start = size - 1 - row, size - 1 - column
        windows, change = (_slice(array, start, sides, 1) for array in (first, gradients))
        sums += jnp.where(windows == place, change, 0)
    rest = [length + before + after - side for length, (before, after), side in zip(images.shape[1:3], paddings, sides)]
    trim = [(-before, more - after, 0) for (before, after), more in zip(paddings, rest)]
    return (depthwise.spread(sums, trim),)


for_cpu.defvjp(_forward, _backward)


def _shifted(images, size, stride, paddings):
    """Yields, for each place in a window, the pixels of all windows there."""
    padded = lax.optimization_barrier(
        depthwise.pad(images, paddings, -np.inf)
    )  # otherwise XLA pads again for each place
    sides = [(length - size) // stride + 1 for length in padded.shape[1:3]]
    for start in itertools.product(range(size), repeat=2):
        yield _slice(padded, start, sides, stride)


def _slice(images, start, sides, stride):
    stop = [first + (side - 1) * stride + 1 for first, side in zip(start, sides)]
    return images[:, start[0] : stop[0] : stride, start[1] : stop[1] : stride]
