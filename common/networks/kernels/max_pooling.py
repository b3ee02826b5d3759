"""The largest value of each window, as fast as each platform has it.

XLA's windows suit GPU and TPU. On CPU it goes through them one pixel at a time, and their derivative is slower still:
there the largest of moved images, and a derivative that asks each pixel which windows it was the largest of, take a
third of the time.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Paddings = tuple[tuple[int, int], tuple[int, int]]


# Compiled on its own, so that pools of one shape, of which a network has many, are traced once.
@functools.partial(jax.jit, static_argnames=("size", "stride", "paddings"))
def pool(images: chex.Array, *, size: int, stride: int, paddings: Paddings) -> chex.Array:
    """Returns float[B, H', W', C], the largest value of each window; what is padded counts for nothing.

    Args:
      images: float[B, H, W, C].
      size: height and width of the windows, each of which has a pixel of the image.
      stride: vertical and horizontal.
      paddings: pixels above and below, left and right.
    """
    settings = {"size": size, "stride": stride, "paddings": paddings}
    return lax.platform_dependent(
        images, cpu=functools.partial(by_moves, **settings), default=functools.partial(by_windows, **settings)
    )


def by_windows(images: chex.Array, *, size: int, stride: int, paddings: Paddings) -> chex.Array:
    """`pool` as XLA's reduction of windows."""
    lowest = np.array(-np.inf, images.dtype)  # a constant: of a traced value reduce_window has no derivative
    return lax.reduce_window(
        images, lowest, lax.max, (1, size, size, 1), (1, stride, stride, 1), ((0, 0), *paddings, (0, 0))
    )


def by_moves(images: chex.Array, *, size: int, stride: int, paddings: Paddings) -> chex.Array:
    """`pool` as the largest of moved images. Of equal pixels the first has the derivative, as of `by_windows`."""
    return _by_moves(size, stride, paddings, images)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _by_moves(size, stride, paddings, images):
    return functools.reduce(jnp.maximum, _moved(images, size, stride, paddings))


def _forward(size, stride, paddings, images):
    largest = _by_moves(size, stride, paddings, images)
    return largest, (images, largest)


def _backward(size, stride, paddings, kept, gradients):
    images, largest = kept
    first = jnp.full(largest.shape, size**2 - 1, jnp.int32)  # place of the first largest pixel of each window
    for place, moved in reversed(list(enumerate(_moved(images, size, stride, paddings)))):
        first = jnp.where(moved == largest, place, first)
    # The windows that see a pixel, as far apart as they are in the padded image.
    around = [(size - 1, size - 1, stride - 1)] * 2
    first, gradients = lax.optimization_barrier((_spread(first, around, -1), _spread(gradients, around, 0)))
    sides = [side - size + 1 for side in first.shape[1:3]]
    sums = 0.0
    for place, (row, column) in enumerate(itertools.product(range(size), repeat=2)):
        start = size - 1 - row, size - 1 - column
        windows, change = (_slice(array, start, sides, 1) for array in (first, gradients))
        sums += jnp.where(windows == place, change, 0)
    rest = [length + before + after - side for length, (before, after), side in zip(images.shape[1:3], paddings, sides)]
    trim = [(-before, more - after, 0) for (before, after), more in zip(paddings, rest)]
    return (_spread(sums, trim, 0),)


_by_moves.defvjp(_forward, _backward)


def _moved(images, size, stride, paddings):
    """Yields, for each place in a window, the pixel that each window has there."""
    padded = _spread(images, [(*padding, 0) for padding in paddings], -np.inf)
    padded = lax.optimization_barrier(padded)  # else it would be padded again for each place
    sides = [(length - size) // stride + 1 for length in padded.shape[1:3]]
    for start in itertools.product(range(size), repeat=2):
        yield _slice(padded, start, sides, stride)


def _slice(images, start, sides, stride):
    stop = [first + (side - 1) * stride + 1 for first, side in zip(start, sides)]
    return images[:, start[0] : stop[0] : stride, start[1] : stop[1] : stride]


def _spread(images, paddings, value):
    """Pads (or trims) float[B, H, W, C] by (before, after, between) values of its height and width."""
    return lax.pad(images, jnp.array(value, images.dtype), [(0, 0, 0), *paddings, (0, 0, 0)])
