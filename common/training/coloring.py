"""Pillow's operations on pixel values over a batch; see `common.training.autoaugment`."""

import chex
import jax.numpy as jnp

# The last four interpolate from another image.
OPERATIONS = ("autocontrast", "invert", "solarize", "posterize", "contrast", "color", "brightness", "sharpness")
_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}


def change(images: chex.Array, operations: chex.Array, magnitudes: chex.Array) -> chex.Array:
    """Applies one operation to each of uint8[B, H, W, C].

    Args:
      images: of 1 or 3 channels.
      operations: int32[B], indices in `OPERATIONS`; negative: the image is unchanged.
      magnitudes: float32[B]; a threshold, bits, or a factor.
    """
    whole = images.astype(jnp.int32)
    operations, magnitudes = (values[:, None, None, None] for values in (operations, magnitudes))
    grey = to_grey(whole)
    count = grey[0].size
    mean = (2 * jnp.sum(grey, axis=(1, 2, 3), keepdims=True) + count) // (2 * count)
    least, most = (reduce(whole, axis=(1, 2), keepdims=True) for reduce in (jnp.min, jnp.max))
    width = most - least
    stretched = jnp.floor(((whole - least) * 255 + 0.5) / jnp.maximum(width, 1).astype(jnp.float32))
    num_lost_bits = jnp.clip(8 - jnp.round(magnitudes), 0, 8).astype(jnp.int32)
    origin = jnp.zeros_like(whole)
    for name, values in (("contrast", mean), ("color", grey), ("sharpness", smooth(whole))):
        origin = jnp.where(operations == _NUMBER[name], values, origin)
    result = jnp.where(operations >= _NUMBER["contrast"], extrapolate(origin, whole, magnitudes), whole)
    for name, values in (
        ("autocontrast", jnp.where(width > 0, stretched.astype(jnp.int32), whole)),
        ("invert", 255 - whole),
        ("solarize", jnp.where(whole < magnitudes, whole, 255 - whole)),
        ("posterize", whole >> num_lost_bits << num_lost_bits),
    ):
        result = jnp.where(operations == _NUMBER[name], values, result)
    return result.astype(jnp.uint8)


def equalize(images: chex.Array) -> chex.Array:
    """Equalizes the histogram of each channel."""
    batch_size, height, width, channels = images.shape
    values = jnp.moveaxis(images, -1, 1).reshape(batch_size * channels, height * width).astype(jnp.int32)
    rows = jnp.arange(len(values))[:, None]
    counts = jnp.zeros((len(values), 256), jnp.int32).at[rows, values].add(1)
    last = jnp.take_along_axis(counts, jnp.max(values, axis=1, keepdims=True), axis=1)
    step = (height * width - last) // 255
    below = jnp.cumsum(counts, axis=1) - counts
    table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
    spread = jnp.where(step > 0, jnp.take_along_axis(table, values, axis=1), values)
    return jnp.moveaxis(spread.reshape(batch_size, channels, height, width), 1, -1).astype(jnp.uint8)


def to_grey(images: chex.Array) -> chex.Array:
    """Returns int32[B, H, W, 1], the luma (ITU-R 601-2) of int32[B, H, W, C]."""
    if images.shape[-1] == 1:
        return images
    weighted = images * jnp.array([19595, 38470, 7471])[None, None, None]
    return (jnp.sum(weighted, axis=-1, keepdims=True) + 2**15) >> 16


def smooth(images: chex.Array) -> chex.Array:
    """Returns the mean of each 3x3 square of int32[B, H, W, C], its centre counted 5 times; the border is unchanged."""
    inner = images[:, 1:-1, 1:-1]
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    total = 4 * inner + rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    means = jnp.floor((total.astype(jnp.float32) + 6.5) / 13).astype(jnp.int32)
    return images.at[:, 1:-1, 1:-1].set(means)


def extrapolate(origin: chex.Array, images: chex.Array, factor: chex.Array) -> chex.Array:
    """Returns `origin` + factor * (images - origin), clipped to bytes and rounded down."""
    values = origin + factor * (images - origin).astype(jnp.float32)
    return jnp.clip(values, 0, 255).astype(jnp.int32)
