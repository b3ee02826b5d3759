"""Affine warps of images, byte-equal to SciPy and Pillow.

The pixel at (row, column) p of the result is that at matrix (p - centre) + centre + shift of the image; centres of
pixels have integer coordinates.
"""

import functools
import itertools

import chex
import jax.numpy as jnp
import numpy as np


def spline(images: chex.Array, matrix: chex.Array, shift: chex.Array, centre: chex.Array) -> chex.Array:
    """Warps by cubic splines, as `scipy.ndimage.affine_transform` by default; black outside the image.

    Args:
      images: uint8[B, H, W, C].
      matrix: float32[B, 2, 2].
      shift: float32[B, 2], as `centre`.
    """
    size = images.shape[1:3]
    down, across = (jnp.asarray(_spline_coefficients(length)) for length in size)
    coefficients = jnp.einsum("ih,jw,bhwc->bijc", down, across, images.astype(jnp.float32), precision="highest")
    places = _places(size, matrix, shift, centre)
    # SciPy's doubles hit the border of the image exactly; these floats may miss it by rounding.
    last = jnp.array(size, jnp.float32)[None, :, None, None] - 1
    near = jnp.round(places)
    places = jnp.where(jnp.abs(places - near) < 1e-5 * last, near, places)
    is_inside = jnp.all((places >= 0) & (places <= last), axis=1)
    values = _combine(coefficients, places, _basis, _mirror)
    values = jnp.where(is_inside[..., None], jnp.floor(values + 0.5), 0.0)
    return jnp.clip(values, 0, 255).astype(jnp.uint8)


def pillow(
    images: chex.Array, matrix: chex.Array, shift: chex.Array, centre: chex.Array, *, is_smooth: chex.Array, fill: int
) -> chex.Array:
    """Warps as Pillow's `Image.transform`: nearest neighbour, or bicubic where `is_smooth` (bool[B]).

    `fill` is the value outside the image; the other arguments and the result are those of `spline`.
    """
    size = images.shape[1:3]
    places = _places(size, matrix, shift, centre) + 0.5
    is_inside = jnp.all((places >= 0) & (places < jnp.array(size)[None, :, None, None]), axis=1)
    places = jnp.where(is_smooth[:, None, None, None], places - 0.5, jnp.floor(places))
    values = _combine(images.astype(jnp.float32), places, _bicubic, _clip)
    values = jnp.where(is_inside[..., None], values, fill)
    return jnp.clip(values, 0, 255).astype(jnp.uint8)


def _places(size, matrix, shift, centre):
    """Returns float32[B, 2, H, W], the source coordinates of the pixels of the result."""
    grid = jnp.stack(jnp.meshgrid(*(jnp.arange(length, dtype=jnp.float32) for length in size), indexing="ij"))
    offset = grid[None] - centre[..., None, None]
    moved = matrix[:, :, 0, None, None] * offset[:, :1] + matrix[:, :, 1, None, None] * offset[:, 1:]
    return moved + (centre + shift)[..., None, None]


def _combine(values, places, weigh, keep_inside):
    """Returns float32[B, H, W, C], weighted sums of the 4x4 values around each place."""
    batch_size, height, width, channels = values.shape
    first = jnp.floor(places)
    weights = weigh(places - first)
    rows, columns = (
        [keep_inside(first[:, axis].astype(jnp.int32) + tap - 1, length) for tap in range(4)]
        for axis, length in enumerate((height, width))
    )
    flat = values.reshape(batch_size, height * width, channels)
    total = jnp.zeros_like(flat)
    for y, x in itertools.product(range(4), range(4)):
        at = (rows[y] * width + columns[x]).reshape(batch_size, height * width, 1)
        weight = (weights[:, 0, y] * weights[:, 1, x]).reshape(batch_size, height * width, 1)
        total += weight * jnp.take_along_axis(flat, at, axis=1, mode="promise_in_bounds")
    return total.reshape(values.shape)


def _basis(share):
    """Returns the cubic B-spline weights of the four values around a place: [B, 2, H, W] -> [B, 2, 4, H, W]."""
    other = 1 - share
    inner = [2 / 3 - distance**2 * (2 - distance) / 2 for distance in (share, other)]
    return jnp.stack([other**3 / 6, *inner, share**3 / 6], axis=2)


def _bicubic(share):
    """Returns Pillow's bicubic weights (a = -1), in the shape of `_basis`."""
    square, cube = share**2, share**3
    weights = [-share + 2 * square - cube, 1 - 2 * square + cube, share + square - cube, cube - square]
    return jnp.stack(weights, axis=2)


def _mirror(index, length):
    """Reflects indices about the first and the last pixel."""
    index = jnp.abs(index)
    return jnp.clip(jnp.where(index > length - 1, 2 * (length - 1) - index, index), 0, length - 1)


def _clip(index, length):
    return jnp.clip(index, 0, length - 1)


@functools.cache
def _spline_coefficients(length):
    """Returns float32[length, length], the matrix from values to spline coefficients."""
    values = np.zeros((length, length))
    for tap, weight in ((-1, 1 / 6), (0, 2 / 3), (1, 1 / 6)):
        at = np.abs(np.arange(length) + tap)
        at = np.where(at > length - 1, 2 * (length - 1) - at, at)
        np.add.at(values, (np.arange(length), at), weight)
    return np.linalg.inv(values).astype(np.float32)
