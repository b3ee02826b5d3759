"""LaNAS as a `Searcher`: learn the partition, descend, select in the leaf, backpropagate, repeat.

Paper: arXiv:1906.06832, Algorithms 1 and 2.
"""

import dataclasses
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, front_improvement, types
from common import history as histories
from common import objectives as objectives_lib
from common import regression_targets as targets
from lanas_jax import adam, candidates, diagnostics, front_acquisition, grid, kernel, partition, pools, selection
from lanas_jax import config as configs
from lanas_jax import process as processes
from lanas_jax import tree as trees


@chex.dataclass(frozen=True)
class State:
    """State of a LaNAS search.

    Attributes:
      tree: the partition and its statistics.
      leaves: int32[N], the leaf of each row of the history: where the last fit routed it, or where it was
        selected since; -1 if neither. Rows returned by `propose` are expected to be appended next; values
        of rows from elsewhere enter at the next fit.
      is_counted: bool[N], rows whose value is in the tree's statistics.
      fitted_size: int32[], size of the history at the last fit; 0 before the first.
      pool_leaves: int32[P], the leaf of each row of the pool (P = 0 without a pool).
      pool_means: float32[P], the prediction of the kernel regressor for each row of the pool.
      regressor: the adam regressor's state, or a `process.Process`, or None.
      posterior: the kernel regressor's `kernel.Posterior` at the last fit, or None.
      tried: float32[], candidates sampled.
      accepted: float32[], candidates among them in the chosen region.
      fallbacks: float32[], proposals that fell back to an ancestor's region.
    """

    tree: trees.Tree
    leaves: chex.Array
    is_counted: chex.Array
    fitted_size: chex.Array
    pool_leaves: chex.Array
    pool_means: chex.Array
    regressor: Any
    posterior: Any
    tried: chex.Array
    accepted: chex.Array
    fallbacks: chex.Array


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace,
    config: configs.Config | None = None,
    *,
    pool: np.ndarray | None = None,
    name: str = "lanas",
    objectives: objectives_lib.Objectives | None = None,
) -> types.Searcher:
    """Returns LaNAS on `space`.

    Args:
      config: the settings, by default `Config()`.
      pool: int32[P, L], valid canonical rows to choose from with the "pool" sampler; by default all of the
        space, which must then be small enough to list.
      objectives: of the search, by default the fitness. For several see `lanas_jax.front_acquisition`; acquisitions
        other than expected improvement select by the dominance that the leaf's model predicts.

    Raises:
      ValueError: the space cannot be listed and no pool is given, or the pool has invalid rows.
    """
    config = config or configs.Config()
    if objectives is not None and len(objectives) > 1:
        config = dataclasses.replace(
            config,
            height=2 if config.front_height is None else config.front_height,
            num_initial=config.front_num_initial or min(5, config.num_initial),
        )
    setting = pools.setting(space, config)
    listed = pools.list_pool(setting, pool, objectives)
    return types.Searcher(
        name=name,
        count=config.count,
        init=jax.tree_util.Partial(functools.partial(start, setting), listed),
        propose=jax.tree_util.Partial(functools.partial(_propose, setting), listed),
        diagnostics=functools.partial(diagnostics.of_round, has_sampler=config.sampler != "pool"),
        objectives=objectives,
    )


@compilation.in_32_bits
def start(setting: pools.Setting, pool: pools.Pool, key: chex.PRNGKey, history: histories.History) -> State:
    """Returns the initial `State`; a `ValueError` if the capacity is too small for the settings."""
    config = setting.config
    capacity = history.status.shape[0]
    if config.num_initial > capacity:
        raise ValueError(
            f"budget is {capacity}, below num_initial, {config.num_initial}: the tree would never be fitted; raise the "
            "budget or lower num_initial"
        )
    if 2 ** (config.height - 1) > capacity:
        raise ValueError(
            f"height {config.height} makes {2 ** (config.height - 1)} leaves, more than the budget of {capacity}; take "
            f"a height of at most {capacity.bit_length()}"
        )
    num_features, num_pooled = pool.features.shape[1], pool.archs.shape[0]
    regressor = posterior = None
    if config.regressor == "adam":
        regressor = adam.init(key, config.num_nodes, num_features)
    elif config.regressor == "kernel":
        regressor = processes.empty(capacity, config.max_rows or processes.MAX_ROWS)
        posterior = kernel.posterior(regressor, jnp.zeros((capacity, num_features)), jnp.zeros((capacity,)))
        num_features = 1
    return State(
        tree=trees.empty(config.height, num_features),
        leaves=jnp.full((capacity,), -1, jnp.int32),
        is_counted=jnp.zeros((capacity,), bool),
        fitted_size=jnp.zeros((), jnp.int32),
        pool_leaves=jnp.zeros((num_pooled,), jnp.int32),
        pool_means=jnp.zeros((num_pooled,)),
        regressor=regressor,
        posterior=posterior,
        tried=jnp.zeros((), jnp.float32),
        accepted=jnp.zeros((), jnp.float32),
        fallbacks=jnp.zeros((), jnp.float32),
    )


@compilation.in_32_bits
def _propose(setting, pool, key, state, history, *, count):
    config = setting.config
    if config.failures != "none":
        history = histories.with_failures(history)
    is_measured = histories.is_measured(history)
    is_row = history.status != types.EMPTY
    features = jnp.where(is_row[:, None], setting.features(jnp.maximum(history.archs, 0)), 0.0)
    fitness = history.fitness
    if pool.goal is not None:
        fitness = front_improvement.dominance(objectives_lib.values(history), is_measured)
    values = targets.targets(fitness, is_measured, target=config.target)
    since_fit = history.size - state.fitted_size
    is_due = (history.size >= config.num_initial) & ((state.fitted_size == 0) | (since_fit >= config.num_select))
    state = jax.lax.cond(
        is_due,
        lambda state: learn(setting, pool, state, history, features, values),
        lambda state: _backpropagate(state, is_measured, values) if pool.goal is None else state,
        state,
    )
    draw = candidates.from_pool if config.sampler == "pool" else candidates.from_leaf
    return jax.lax.cond(
        history.size >= config.num_initial,
        lambda state: draw(setting, pool, key, state, history, (features, values, is_measured), count=count),
        lambda state: (candidates.at_random(setting, pool, key, history, count=count), state),
        state,
    )


def learn(
    setting: pools.Setting,
    pool: pools.Pool,
    state: State,
    history: histories.History,
    features: chex.Array,
    values: chex.Array,
) -> State:
    """Learning phase: returns the state with the tree fitted to all of the history, and the pool routed.

    Args:
      pool: the rows of a listed space.
      features: float32[N, F], of the rows of the history; 0 for empty rows.
      values: float32[N], the regression targets.
    """
    config, pool_inputs = setting.config, pool.features
    is_measured = histories.is_measured(history)
    if config.regressor == "adam":
        num_steps = jnp.where(state.fitted_size == 0, config.adam_steps_first, config.adam_steps)
        tree, leaves, regressor = adam.fit(
            state.regressor, features, values, is_measured, num_steps=num_steps, config=config
        )
    elif config.regressor == "kernel":
        regressor = processes.update(state.regressor, features, values, is_measured)
        posterior = kernel.posterior(regressor, features, values)
        # Measured rows are split by their predictions from all others, as the pool is by rows it does not hold.
        left_out = kernel.predict(posterior, features).at[regressor.rows].set(posterior.left_out, mode="drop")
        features, pool_inputs = left_out[:, None], grid.predict(posterior, pool.grid)[:, None]
        tree, leaves = partition.fit(features, values, is_measured, config=config)
        state = state.replace(posterior=posterior, pool_means=pool_inputs[:, 0])
    else:
        tree, leaves = partition.fit(features, values, is_measured, config=config)
        regressor = None
    # Pending and failed rows are routed by prediction: they are visits without a value.
    is_row = history.status != types.EMPTY
    leaves = jnp.where(is_row & ~is_measured, trees.route(tree, features), leaves)
    if config.reset == "recompute" or pool.goal is not None:
        weight = is_measured.astype(jnp.float32)
        at = jnp.maximum(leaves, trees.num_inner(tree))
        tree = tree.replace(
            visits=trees.count_leaves(tree, at, is_row.astype(jnp.float32)),
            num_valued=trees.count_leaves(tree, at, weight),
            total=trees.count_leaves(tree, at, values * weight),
        )
    if pool.goal is not None:
        tree = front_acquisition.with_hypervolumes(pool.goal, tree, history, leaves)
    return state.replace(
        tree=tree,
        leaves=leaves,
        is_counted=is_measured,
        fitted_size=history.size,
        pool_leaves=trees.route(tree, pool_inputs),
        regressor=regressor,
    )


def _backpropagate(state, is_measured, values):
    """Backpropagates new values: completes the visits counted when their rows were selected."""
    is_new = is_measured & ~state.is_counted & (state.leaves >= 0)
    tree = selection.back_propagate(state.tree, state.leaves, values, is_new)
    return state.replace(tree=tree, is_counted=state.is_counted | is_new)
