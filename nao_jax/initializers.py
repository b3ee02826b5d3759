"""The first parameters of NAO's networks: as TensorFlow's NAO draws them, or as PyTorch does by default."""

import chex
import jax
from jax.nn import initializers

from nao_jax import config as configs

Initializer = initializers.Initializer
_RANGE = 0.1


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
