"""Initial parameters, as in TensorFlow's NAO or as PyTorch's default, and dropout.

Parameters are declared one by one, and dropout draws 16 random bits per unit, so that a seed gives the networks
that it always gave: `nn.Dense` and `nn.Dropout`, about as fast, use other random streams.
"""

import math

import chex
import jax
import jax.numpy as jnp
from jax.nn import initializers

from nao_jax import config as configs

Initializer = initializers.Initializer
_RANGE = 0.1
_LEVELS = 2**16


def table(config: configs.Model) -> Initializer:
    """Returns how embeddings are drawn."""
    return initializers.normal(1.0) if config.initializer == "torch" else uniform(_RANGE)


def weights(config: configs.Model, *, fan_in: int) -> Initializer:
    """Returns how the weights of a linear layer are drawn."""
    return uniform(fan_in**-0.5 if config.initializer == "torch" else _RANGE)


def biases(config: configs.Model, *, fan_in: int) -> Initializer:
    """Returns how the biases of a linear layer are drawn."""
    return uniform(fan_in**-0.5) if config.initializer == "torch" else initializers.zeros


def recurrent_weights(config: configs.Model, *, is_decoder: bool) -> Initializer:
    """Returns how the weights of a long short-term memory are drawn, from [inputs; hidden state] to gates."""
    if config.initializer == "torch":
        return uniform(config.hidden_size**-0.5)
    if config.initializer == "orthogonal" and is_decoder:
        return initializers.orthogonal()
    return uniform(_RANGE)


def recurrent_biases(config: configs.Model) -> Initializer:
    """Returns how the biases of a long short-term memory are drawn.

    PyTorch's has two bias vectors of which only the sum matters. Ours has one, drawn as their sum.
    """
    if config.initializer != "torch":
        return initializers.zeros
    bias = uniform(config.hidden_size**-0.5)

    def init(key: chex.PRNGKey, shape, dtype=float):
        return sum(bias(each, shape, dtype) for each in jax.random.split(key))

    return init


def uniform(bound: float) -> Initializer:
    """Returns an initializer that draws evenly from [-bound, bound)."""

    def init(key: chex.PRNGKey, shape, dtype=float):
        return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)

    return init


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
