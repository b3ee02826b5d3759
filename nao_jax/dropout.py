"""Dropout, with few random bits (Srivastava et al., 2014)."""

import math

import chex
import jax
import jax.numpy as jnp

_LEVELS = 2**16


def drop(key: chex.PRNGKey, units: chex.Array, *, rate: float) -> chex.Array:
    """Sets a share of the units to zero and scales the others so that the mean stays.

    Two units share a random word of 32 bits, so the share is a multiple of 2^-16; the scale fits it
    exactly.

    Args:
      key: a key.
      units: float32, of any shape.
      rate: the share, in [0, 1).
    """
    num_words = math.ceil(units.size / 2)
    words = jax.random.bits(key, (num_words,), jnp.uint32)
    halves = jnp.concatenate([words & (_LEVELS - 1), words >> 16])[: units.size].reshape(units.shape)
    threshold = round(rate * _LEVELS)
    return jnp.where(halves >= threshold, units * (_LEVELS / (_LEVELS - threshold)), 0.0)
