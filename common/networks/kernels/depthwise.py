"""Depthwise convolution, as fast as each platform has it.

XLA has grouped convolutions, which suit GPU and TPU. On CPU it runs them, and their derivatives by the images, one
product at a time: there a sum of moved images, one for each weight of the kernel, takes a tenth of the time, as it is
one pass over the batch. Derivatives by the weights are loops over parts of the batch and over the weights.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
from jax import lax

Paddings = tuple[tuple[int, int], tuple[int, int]]

_NUMBERS = 2**15  # of float32 that stay in a core's cache


# Compiled on its own, so that convolutions of one shape, of which a network has many, are traced once.
@functools.partial(jax.jit, static_argnames=("stride", "dilation", "paddings"))
def convolve(images: chex.Array, weights: chex.Array, *, stride: int, dilation: int, paddings: Paddings) -> chex.Array:
    """Returns float[B, H', W', C], each channel convolved with its own kernel.

    Args:
      images: float[B, H, W, C].
      weights: float[height, width, 1, C].
      stride: vertical and horizontal.
      dilation: pixels from one weight to the next.
      paddings: zeros above and below, left and right.
    """
    settings = {"stride": stride, "dilation": dilation, "paddings": paddings}
    return lax.platform_dependent(
        images,
        weights,
        cpu=functools.partial(by_weights, **settings),
        default=functools.partial(grouped, **settings),
    )


def grouped(images: chex.Array, weights: chex.Array, *, stride: int, dilation: int, paddings: Paddings) -> chex.Array:
    """`convolve` as a grouped convolution."""
    return lax.conv_general_dilated(
        images,
        weights,
        (stride, stride),
        paddings,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )


def by_weights(
    images: chex.Array, weights: chex.Array, *, stride: int, dilation: int, paddings: Paddings
) -> chex.Array:
    """`convolve` as a sum over the weights of the kernel."""
    return _by_weights(stride, dilation, paddings, images, weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _by_weights(stride, dilation, paddings, images, weights):
    return _correlate(pad(images, paddings), weights, stride, dilation)


def _forward(stride, dilation, paddings, images, weights):
    return _by_weights(stride, dilation, paddings, images, weights), (images, weights)


def _backward(stride, dilation, paddings, kept, gradients):
    images, weights = kept
    of_weights = _of_weights(pad(images, paddings), gradients, weights.shape[:2], stride, dilation)
    # What each pixel gave: gradients as far apart as the windows were, convolved with the kernel turned around.
    around = []
    for axis, (before, _) in enumerate(paddings):
        extent = (weights.shape[axis] - 1) * dilation
        length = (gradients.shape[axis + 1] - 1) * stride + 1
        around.append((extent - before, images.shape[axis + 1] + before - length, stride - 1))
    of_images = _correlate(spread(gradients, around), weights, 1, dilation, is_turned=True)
    return of_images, of_weights.reshape(weights.shape).astype(weights.dtype)


_by_weights.defvjp(_forward, _backward)


def _correlate(padded, weights, stride, dilation, *, is_turned=False):
    """Returns float[B, H', W', C] of images that are padded already."""
    batch, *sides, channels = padded.shape
    sides = [(side - (size - 1) * dilation - 1) // stride + 1 for side, size in zip(sides, weights.shape)]
    padded = lax.optimization_barrier(padded)  # else it would be padded again for each weight
    sums = 0.0
    for row, column in itertools.product(*map(range, weights.shape[:2])):
        start = (0, row * dilation, column * dilation, 0)
        stop = [first + (side - 1) * stride + 1 for first, side in zip(start[1:3], sides)]
        seen = lax.slice(padded, start, (batch, *stop, channels), (1, stride, stride, 1))
        weight = weights[-1 - row, -1 - column] if is_turned else weights[row, column]
        sums += (seen * weight[None, None]).astype(jnp.float32)
    return lax.optimization_barrier(sums.astype(padded.dtype))  # else each that reads it would sum it up again


def _of_weights(padded, gradients, sizes, stride, dilation):
    """Returns float32[height * width, C], for each weight the sum of what it saw times the gradients.

    Products are summed up by a product with ones, which takes a fifth of the time of a sum over all axes but the last.
    """
    _, *sides, channels = gradients.shape
    rows, columns = ((side - 1) * stride + 1 for side in sides)
    count = images_at_once(len(gradients), math.prod(gradients.shape[1:]))
    ones = jnp.ones(count * sides[0], jnp.float32)
    starts = jnp.array(list(itertools.product(*map(range, sizes)))) * dilation

    def sum_of_products(first, place):
        start = (first, starts[place, 0], starts[place, 1], 0)
        seen = lax.dynamic_slice(padded, start, (count, rows, columns, channels))[:, ::stride, ::stride]
        products = (seen * lax.dynamic_slice_in_dim(gradients, first, count)).astype(jnp.float32)
        return ones @ lax.optimization_barrier(products).reshape(len(ones), -1)

    sums = sum_parts(sum_of_products, batch=len(gradients), count=count, places=len(starts))
    return jnp.sum(sums.reshape(len(starts), sides[1], channels), axis=1)


def sum_parts(
    products: Callable[[chex.Numeric, chex.Numeric], chex.Array], *, batch: int, count: int, places: int
) -> chex.Array:
    """Returns float32[places, ...], products(first, place) summed over all parts of a batch.

    One part after another, each with all places, so that it stays in a core's cache.

    Args:
      products: (number of the first image of a part, place) -> float32[...].
      batch: images.
      count: images of a part, of which there are a whole number.
      places: how many.
    """
    if count == batch:
        return lax.map(lambda place: products(0, place), jnp.arange(places))

    def add(step, sums):
        return sums.at[step % places].add(products(step // places * count, step % places))

    shape = jax.eval_shape(products, 0, 0).shape
    return lax.fori_loop(0, batch // count * places, add, jnp.zeros((places, *shape), jnp.float32))


def images_at_once(batch: int, size: int) -> int:
    """Returns how many images of `size` numbers: a divisor of the batch, by which there are few numbers."""
    return max(count for count in range(1, batch + 1) if batch % count == 0 and count * size <= max(_NUMBERS, size))


def pad(images: chex.Array, paddings: Paddings) -> chex.Array:
    """Returns float[B, H, W, C] with zeros around its height and width."""
    return spread(images, [(*padding, 0) for padding in paddings])


def spread(images: chex.Array, paddings: Sequence[tuple[int, int, int]]) -> chex.Array:
    """Pads (or trims) float[B, H, W, C] by (before, after, between) zeros of its height and width."""
    return lax.pad(images, jnp.zeros((), images.dtype), [(0, 0, 0), *paddings, (0, 0, 0)])
