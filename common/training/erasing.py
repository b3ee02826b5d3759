"""Random erasing (arXiv:1708.04896): a rectangle of an image becomes noise, with the ranges of timm and torchvision."""

import math

import chex
import jax
import jax.numpy as jnp

AREAS = (0.02, 1 / 3)  # of the image
LEAST_RATIO = 0.3  # of height to width; the largest is its inverse
_NUM_TRIES = 10


def erase(key: chex.PRNGKey, values: chex.Array, probability: float) -> chex.Array:
    """Returns normalized images float32[B, H, W, C] of which each has, with a probability, a rectangle of noise.

    The noise is normal, with mean 0 and deviation 1, anew for each pixel and channel.
    """
    box_key, noise_key = jax.random.split(key)
    boxes = draw_boxes(box_key, values.shape[0], values.shape[1:3], probability)
    noise = jax.random.normal(noise_key, values.shape)
    return jnp.where(is_inside(boxes, values.shape[1:3])[..., None], noise, values)


def draw_boxes(key: chex.PRNGKey, batch_size: int, image_size: tuple[int, int], probability: float) -> chex.Array:
    """Returns int32[B, 2, 2], the start and end (exclusive) of each rectangle by (rows, columns); empty: none.

    Areas are uniform within `AREAS`, and so are the logarithms of aspect ratios. The first of ten samples that fits
    into the image is taken, at a uniform place.
    """
    coin_key, area_key, ratio_key, place_key = jax.random.split(key, 4)
    shape, size = (batch_size, _NUM_TRIES), jnp.array(image_size)
    area = jax.random.uniform(area_key, shape, minval=AREAS[0], maxval=AREAS[1]) * image_size[0] * image_size[1]
    bound = math.log(LEAST_RATIO)
    ratio = jnp.exp(jax.random.uniform(ratio_key, shape, minval=bound, maxval=-bound))
    sides = jnp.round(jnp.sqrt(jnp.stack([area * ratio, area / ratio], axis=2))).astype(jnp.int32)
    fits = jnp.all(sides < size[None, None], axis=2)
    sides = jnp.take_along_axis(sides, jnp.argmax(fits, axis=1)[:, None, None], axis=1)[:, 0]
    is_erased = jax.random.bernoulli(coin_key, probability, (batch_size,)) & jnp.any(fits, axis=1)
    first = jax.random.uniform(place_key, (batch_size, 2)) * (size[None] - sides + 1)
    first = first.astype(jnp.int32)
    return jnp.where(is_erased[:, None, None], jnp.stack([first, first + sides], axis=2), 0)


def is_inside(boxes: chex.Array, image_size: tuple[int, int]) -> chex.Array:
    """Returns bool[B, H, W]: whether a pixel lies in the box (int32[B, 2, 2]) of its image."""
    rows, columns = (
        (jnp.arange(size)[None] >= boxes[:, axis, :1]) & (jnp.arange(size)[None] < boxes[:, axis, 1:])
        for axis, size in enumerate(image_size)
    )
    return rows[:, :, None] & columns[:, None, :]
