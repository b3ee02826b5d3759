"""Depthwise convolution, as fast as each platform has it.

XLA has grouped convolutions, which suit GPU and TPU. On CPU it runs them, and their derivatives by the
images, one product at a time: there a loop over the weights of the kernel, each of which multiplies the moved
images of a whole batch, takes a third of the time or less.
"""

import functools

import chex
import jax
import jax.numpy as jnp
from jax import lax

Paddings = tuple[tuple[int, int], tuple[int, int]]


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
    """`convolve` as a loop over the weights of the kernel."""
    return _by_weights(stride, dilation, paddings, images, weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _by_weights(stride, dilation, paddings, images, weights):
    return _correlate(_pad(images, paddings), weights, stride, dilation)


def _forward(stride, dilation, paddings, images, weights):
    return _by_weights(stride, dilation, paddings, images, weights), (images, weights)


def _backward(stride, dilation, paddings, kept, gradients):
    images, weights = kept
    padded = _pad(images, paddings)

    def sum_of_products(at):
        seen = _seen(padded, gradients.shape, at, weights.shape[1], stride, dilation)
        return jnp.sum(seen * gradients, axis=(0, 1, 2), dtype=jnp.float32)

    of_weights = lax.map(sum_of_products, jnp.arange(weights.shape[0] * weights.shape[1]))
    # What each pixel gave: gradients as far apart as the windows were, convolved with the kernel turned around.
    extents = [(side - 1) * dilation for side in weights.shape[:2]]
    spread = _spread(gradients, [(extent, extent, stride - 1) for extent in extents])
    of_padded = _correlate(spread, weights[::-1, ::-1], 1, dilation)
    unseen = [length - given for length, given in zip(padded.shape[1:3], of_padded.shape[1:3])]
    trim = [(-before, rest - after, 0) for (before, after), rest in zip(paddings, unseen)]
    return _spread(of_padded, trim), of_weights.reshape(weights.shape).astype(weights.dtype)


_by_weights.defvjp(_forward, _backward)


def _correlate(padded, weights, stride, dilation):
    """Returns float[B, H', W', C] of images that are padded already."""
    batch, *sides, channels = padded.shape
    sides = [(side - (size - 1) * dilation - 1) // stride + 1 for side, size in zip(sides, weights.shape)]
    outputs = (batch, *sides, channels)
    flat = weights.reshape(-1, channels)

    def add(at, sums):
        weight = lax.dynamic_slice_in_dim(flat, at, 1)[None, None]
        return sums + (_seen(padded, outputs, at, weights.shape[1], stride, dilation) * weight).astype(jnp.float32)

    return lax.fori_loop(0, flat.shape[0], add, jnp.zeros(outputs, jnp.float32)).astype(padded.dtype)


def _seen(padded, outputs, at, width, stride, dilation):
    """Returns what weight `at` of a kernel of `width` columns is multiplied with, of the shape `outputs`."""
    start = (0, at // width * dilation, at % width * dilation, 0)
    rows, columns = ((side - 1) * stride + 1 for side in outputs[1:3])
    seen = lax.dynamic_slice(padded, start, (outputs[0], rows, columns, outputs[3]))
    return seen[:, ::stride, ::stride]


def _pad(images, paddings):
    return _spread(images, [(*padding, 0) for padding in paddings])


def _spread(images, paddings):
    """Pads (or trims) float[B, H, W, C] by (before, after, between) zeros of its height and width."""
    return lax.pad(images, jnp.zeros((), images.dtype), [(0, 0, 0), *paddings, (0, 0, 0)])
