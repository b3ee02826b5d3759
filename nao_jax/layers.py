"""Parameter initializers, as in the TensorFlow code of NAO or the defaults of PyTorch, and dropout.

`nn.Dense` and `nn.Dropout` are about as fast but use other random streams, which would change the search of every
seed.
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
    """Returns the initializer of embeddings."""
    return initializers.normal(1.0) if config.initializer == "torch" else uniform(_RANGE)


def weights(config: configs.Model, *, fan_in: int) -> Initializer:
    """Returns the initializer of the weights of a linear layer."""
    return uniform(fan_in**-0.5 if config.initializer == "torch" else _RANGE)


def biases(config: configs.Model, *, fan_in: int) -> Initializer:
    """Returns the initializer of the biases of a linear layer."""
    return uniform(fan_in**-0.5) if config.initializer == "torch" else initializers.zeros


def recurrent_weights(config: configs.Model, *, is_decoder: bool) -> Initializer:
    """Returns the initializer of the weights of an LSTM, from [inputs; hidden state] to gates."""
    if config.initializer == "torch":
        return uniform(config.hidden_size**-0.5)
    if config.initializer == "orthogonal" and is_decoder:
        return initializers.orthogonal()
    return uniform(_RANGE)


def recurrent_biases(config: configs.Model) -> Initializer:
    """Returns the initializer of the biases of an LSTM: of one vector, the sum of the two of PyTorch."""
    if config.initializer != "torch":
        return initializers.zeros
    bias = uniform(config.hidden_size**-0.5)

    def init(key: chex.PRNGKey, shape, dtype=float):
        return sum(bias(each, shape, dtype) for each in jax.random.split(key))

    return init


def uniform(bound: float) -> Initializer:
    """Returns an initializer that samples uniformly from [-bound, bound)."""

    def init(key: chex.PRNGKey, shape, dtype=float):
        return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)

    return init


def drop(key: chex.PRNGKey, units: chex.Array, *, rate: float) -> chex.Array:
    """Applies dropout (Srivastava et al., 2014), with 16 random bits per unit.

    Args:
      units: float32, of any shape.
      rate: probability to set a unit to zero, in [0, 1); rounded to a multiple of 2^-16.
    """
    num_words = math.ceil(units.size / 2)
    words = jax.random.bits(key, (num_words,), jnp.uint32)
    halves = jnp.concatenate([words & (_LEVELS - 1), words >> 16])[: units.size].reshape(units.shape)
    threshold = round(rate * _LEVELS)
    return jnp.where(halves >= threshold, units * (_LEVELS / (_LEVELS - threshold)), 0.0)
