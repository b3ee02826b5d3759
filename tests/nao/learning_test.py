"""Rows without a value leave no trace in a fit."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import history as histories
from common import spaces, types
from nao_jax import config as configs
from nao_jax import learning

CAPACITY = 6


def test_rows_without_a_value_train_nothing():
    space = spaces.get("convnet")
    config = configs.Config(fit_first=3, batch_size=4, num_unlabelled=4, num_mutated=0, num_seeds=2)
    small = {"embedding_size": 4, "hidden_size": 4, "is_bidirectional": False, "decoder": "plain", "predictor": "mlp"}
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, predictor_layers=0, **small))
    setting = learning.setting(space, config)
    archs = np.asarray(space.sample(jax.random.key(0), 40))
    archs = np.unique(archs, axis=0)[:8]
    pool = jnp.asarray(space.enumerate())
    networks = jax.jit(lambda pool, key: learning.first(setting, pool, key))(pool, jax.random.key(1))

    @jax.jit
    def learn(history):
        return learning.learn(setting, networks, jax.random.key(2), history, archs[4:8], is_first=jnp.bool_(True))

    def after(rows, ok):
        fitness = jnp.array([0.5, 0.1, 0.7, 0.9])[np.array(rows)]
        evaluation = types.Evaluation(fitness=fitness, cost=jnp.zeros(len(rows)), ok=jnp.array(ok))
        return learn(histories.append(histories.empty(CAPACITY, archs.shape[1]), archs[rows], evaluation)).params

    whole = after([0, 1, 2, 3], [True, False, True, True])
    chex.assert_trees_all_equal(whole, after([0, 2, 3], [True] * 3))
    changed = after([0, 2, 1], [True] * 3)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(changed), strict=True))
