"""Ensemble of multilayer perceptrons that predict fitness, trained in one program for all members."""

import itertools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import chex
import jax
import jax.numpy as jnp
import optax

from common import config as configs
from common import history as history_lib
from common import regression_targets
from common.baselines import path_encoding

_AT_LEAST_1 = configs.Range(at_least=1)
Encoding = Annotated[
    Literal[path_encoding.ENCODINGS],
    "inputs of the predictor: paths in spaces that have them, else one-hot decisions; or the space's features",
]


@configs.dataclass
class Config:
    """Settings of searches guided by neural predictors."""

    count: Annotated[int, "architectures proposed a round", _AT_LEAST_1] = 10
    num_initial: Annotated[int, "random architectures at the start", _AT_LEAST_1] = 10
    encoding: Encoding = "one_hot"
    target: Annotated[
        Literal[tuple(regression_targets.TARGETS)],
        "regression target: scores of the ranks of fitness, or scaled fitness",
    ] = "z_score"
    num_members: Annotated[int, "networks of the ensemble", _AT_LEAST_1] = 5
    num_layers: Annotated[int, "hidden layers of a network", _AT_LEAST_1] = 2
    width: Annotated[int, "units of a hidden layer", _AT_LEAST_1] = 64
    num_steps: Annotated[int, "training steps a round", _AT_LEAST_1] = 100
    batch_size: Annotated[int, "measured architectures a training step", _AT_LEAST_1] = 32
    learning_rate: Annotated[float, "of Adam at the start of a round", configs.Range(above=0)] = 0.01


def fit(
    key: chex.PRNGKey, history: history_lib.History, encode: Callable[[chex.Array], chex.Array], *, config: Config
) -> Any:
    """Returns the parameters of an ensemble trained from scratch on the measured rows, encoded as float32[N, F].

    Minimizes the absolute error by Adam, whose learning rate falls to 0 along a cosine; each member has initial
    parameters and random batches, sampled with replacement, of its own.
    """
    init_key, train_key = jax.random.split(key)
    is_measured = history_lib.is_measured(history)
    features = encode(jnp.maximum(history.archs, 0))
    targets = regression_targets.targets(history.fitness, is_measured, target=config.target)
    order = jnp.argsort(~is_measured, stable=True)
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.num_steps))

    def loss(params, rows):
        return jnp.sum(jnp.mean(jnp.abs(predict(params, features[rows]) - targets[rows]), axis=1))

    def step(carry, key):
        params, state = carry
        shape, num_measured = (config.num_members, config.batch_size), jnp.maximum(jnp.sum(is_measured), 1)
        rows = order[jax.random.randint(key, shape, 0, num_measured)]
        updates, state = optimizer.update(jax.grad(loss)(params, rows), state)
        return (optax.apply_updates(params, updates), state), None

    params = _initial(init_key, features.shape[1], config)
    keys = jax.random.split(train_key, config.num_steps)
    return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]


def predict(params: Any, features: chex.Array) -> chex.Array:
    """Returns float32[M, B], the predictions of each member for float32[B, F] or float32[M, B, F] `features`."""
    hidden = jnp.broadcast_to(features, (params[0][0].shape[0], *features.shape[-2:]))
    for at, (weights, biases) in enumerate(params):
        hidden = jnp.einsum("mbi,mio->mbo", hidden, weights) + biases[:, None]
        hidden = jax.nn.relu(hidden) if at < len(params) - 1 else hidden
    return hidden[..., 0]


def _initial(key, num_features, config):
    """For each layer (weights float32[M, in, out], biases float32[M, out]); the last one has out 1."""
    sizes = (num_features, *[config.width] * config.num_layers, 1)
    keys = jax.random.split(key, len(sizes) - 1)
    shapes = [(config.num_members, *pair) for pair in itertools.pairwise(sizes)]
    weights = [jax.random.normal(key, shape) * (2.0 / shape[1]) ** 0.5 for key, shape in zip(keys, shapes)]
    return [(weight, jnp.zeros((config.num_members, weight.shape[2]))) for weight in weights]
